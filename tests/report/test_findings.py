"""The summary and the recommendation say what the tables hold."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from pruning_regimes import regimes, tables
from pruning_regimes.regimes.recommendation import recommendation
from pruning_regimes.report import findings, sentences
from tests.helpers.figure_tables import costed
from tests.simulations import FAMILIES, MARGIN, NULL, SENSITIVE, THREE, Plan, study

STATISTICS = {"confidence": 0.95, "margin": MARGIN, "keep": 0.85}


def stability(overlaps: dict[str, list[float]]) -> pl.DataFrame:
    """A stability table: criterion -> mean overlap at 4, 8, 16, ... samples."""
    limits = {"jaccard_low": 0.0, "jaccard_high": 1.0, "expected_jaccard": 0.1}
    rows = [
        {
            "model": "m",
            "criterion": name,
            "budget": "1",
            "n_removed": 1,
            "n_samples": 4 * 2**i,
            "jaccard": value,
            **limits,
        }
        for name, values in overlaps.items()
        for i, value in enumerate(values)
    ]
    return tables.frame("stability", rows)


def found(plan: Plan, p: float = 0.2) -> dict[str, pl.DataFrame]:
    """All tables of a simulated study; its benchmark z is of the group general."""
    of, _ = study(plan, 0)
    of = replace(of, groups={"x": "math", "y": "math", "z": "general"})
    kept = regimes.retention(of)
    agreement = {"model": "m", "domain_a": "math", "domain_b": "general", "budget": None, "n_removed": None}
    return {
        "retention": kept,
        "sensitivity": regimes.sensitivity(of, kept, FAMILIES, 300, 0),
        "advantage": regimes.advantage(of, FAMILIES),
        "domain_effect": regimes.domain_effect(of, {"a": ("math", ""), "b": ("general", "")}),
        "segments": regimes.segments(of, kept, FAMILIES, MARGIN, 50, 0),
        "recommendation": recommendation(of, FAMILIES, STATISTICS["keep"]),
        "pareto": costed(kept),
        "stability": stability({"a": [0.5, 0.95, 0.99], "b": [0.9, 0.8, 0.7]}),
        "agreement": tables.frame("agreement", [{**agreement, "n_samples": 9, "within": 0.9, "between": 0.8, "p": p}]),
    }


def test_the_summary_tells_the_regimes_with_their_numbers() -> None:
    study_ = found(THREE)
    text = findings.summary(study_, STATISTICS, 0.9)
    assert "## m (28 decoder layers)" in text
    math, general = text.split("### math benchmarks")[1].split("### general benchmarks")
    for part, group in ((math, "math"), (general, "general")):
        for row in study_["segments"].filter(pl.col("group") == group).iter_rows(named=True):
            assert f"the study is **{row['regime']}**" in part
    row = study_["segments"].row(0, named=True)
    assert f"Without 1 to 3 layers (4% to 11% of all), the study is **ranking-sensitive**: {row['sd']:.2f}"[:60] in math
    assert ", the mean over 2 benchmarks (1000 questions); chance is 25.0%" in math
    assert "] (500 questions); chance is 25.0%" in general
    advantage = study_["advantage"].filter(pl.col("group") == "math", pl.col("budget") == "12").row(0, named=True)
    assert f"12 ({advantage['advantage']:+.2f} [{advantage['advantage_low']:.2f}, " in math
    assert all(line.startswith(("#", "-", "Retention is 1")) or not line for line in text.splitlines())


def test_the_summary_tells_what_domains_and_samples_do() -> None:
    study_ = found(SENSITIVE)
    text = findings.summary(study_, STATISTICS, 0.9)
    assert "math and general do not show to rank the layers differently: Kendall's tau is 0.80" in text
    assert "rank the layers differently: Kendall" in findings.summary(found(SENSITIVE, p=0.001), STATISTICS, 0.9)
    mean = study_["domain_effect"].filter(pl.col("budget").is_null()).row(0, named=True)
    assert f"a keeps {mean['effect_a']:+.3f}" in text
    assert "a 8, b more than all" in text


@pytest.mark.parametrize(("low", "high", "said"), [(0.01, 0.2, "kept better"), (-0.2, -0.01, "reverse"), (-1, 1, "no")])
def test_the_verdict_on_domains_follows_the_interval(low: float, high: float, said: str) -> None:
    study_ = found(NULL)
    effect = study_["domain_effect"].with_columns(effect_low=pl.lit(low), effect_high=pl.lit(high))
    assert f": {said}" in findings.summary({**study_, "domain_effect": effect}, STATISTICS, 0.9).replace(
        ": taken together, domains are ", ": ").replace(": the ", ": ")  # fmt: skip


def test_the_summary_tells_what_time_and_weights_are_left() -> None:
    text = findings.summary(found(NULL), STATISTICS, 0.9)
    cost = text.split("### Cost")[1].splitlines()
    assert "takes the dense model 0.5 s, one at a time (A processor); its weights are 9.00 GB." in cost[2]
    assert "takes without 1 layer 0.97 and 0.97; " in cost[3] and "without 12 layers 0.61 and 0.61" in cost[3]


def test_what_cannot_be_said_is_said() -> None:
    study_ = found(NULL)
    empty = {name: study_[name].clear() for name in ("sensitivity", "advantage", "domain_effect", "stability")}
    text = findings.summary({**study_, **empty}, STATISTICS, 0.9)
    assert "Whether ranking criteria differ is not tested" in text and "Structure is not compared" in text
    assert "it takes two criteria that look at one group's domain each" in text and "Calibration samples" not in text
    undefined = findings.summary(found(Plan(dense=0.27, n_questions=60)), STATISTICS, 0.9)
    assert "Retention is undefined" in undefined


def test_collapsed_criteria_are_named() -> None:
    study_ = found(NULL)
    kept = study_["retention"].with_columns(
        collapsed=(pl.col("n_removed") == 12) & pl.col("criterion").is_in(["a", "random"])
    )
    text = findings.summary({**study_, "retention": kept}, STATISTICS, 0.9)
    assert "Without 12 layers, 2 of 8 criteria cannot be told from chance: a, random." in text
    assert "Without 10 layers, " not in text


def test_enough_samples_are_those_from_which_on_all_larger_draws_agree() -> None:
    needed = sentences.enough_samples(stability({"a": [0.95, 0.8, 0.9], "b": [0.99], "c": [0.1, 0.2]}), 0.9)
    assert needed == {"a": 16, "b": 4, "c": None}


def test_the_recommendation_names_the_command_that_exports() -> None:
    study_ = found(NULL)
    text = findings.recommendation(study_["recommendation"], STATISTICS, "snakemake --cores 8 results/checkpoints/")
    rows = study_["recommendation"].filter(pl.col("group") == "all", "keeps").sort("n_removed")
    last = rows.row(-1, named=True)
    command = f"    snakemake --cores 8 results/checkpoints/m/{last['criteria'][0]}/{last['budget']}"
    assert command in text.split("### All groups")[1].splitlines()
    for row in study_["recommendation"].iter_rows(named=True):
        assert f"| {row['n_removed']} ({row['n_removed'] / 28:.0%}) | {' = '.join(row['criteria'])} |" in text
    nothing = study_["recommendation"].with_columns(keeps=False)
    text = findings.recommendation(nothing, STATISTICS, "")
    assert "no budget keeps 85% of retention" in text and "checkpoint" not in text
