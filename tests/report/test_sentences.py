"""Sentences for the captions say what the tables hold."""

from __future__ import annotations

import polars as pl

from pruning_regimes import tables
from pruning_regimes.report import findings, sentences
from tests.helpers.figure_tables import overlaps
from tests.report.test_findings import found
from tests.simulations import FAMILIES, THREE


def profile(cosines: list[float]) -> pl.DataFrame:
    rows = [
        {"model": "m", "domain": domain, "token_group": group, "layer": layer, "n_samples": 9, "cosine": cosine}
        for domain in ("math", "general")
        for group, sign in (("all", 1), ("last", -1))
        for layer, cosine in enumerate([sign * cosine for cosine in cosines])
    ]
    rows = [{**row, "cosine_p10": row["cosine"], "cosine_p90": row["cosine"]} for row in rows]
    return tables.frame("profile", rows)


def gap(limits: list[tuple[float, float] | None]) -> pl.DataFrame:
    rows = [
        {
            "model": "m", "domain": "general", "reference": "math", "token_group": "all", "layer": layer, "ratio": 1.0,
            "ratio_low": None if pair is None else pair[0], "ratio_high": None if pair is None else pair[1],
        }
        for layer, pair in enumerate(limits)
    ]  # fmt: skip
    return tables.frame("gap", rows)


def blocks() -> pl.DataFrame:
    distances = {(0, 2): 0.3, (1, 2): 0.2, (2, 2): 0.25, (0, 3): 0.5, (1, 3): 0.4, (0, 4): 0.6, (0, 5): 0.7}
    smallest = {length: min(d for (_, n), d in distances.items() if n == length) for _, length in distances}
    rows = [
        {
            "model": "m", "domain": "math", "start": start, "length": length, "n_samples": 9,
            "angular_distance": distance, "nearest": distance == smallest[length],
        }
        for (start, length), distance in distances.items()
    ]  # fmt: skip
    return tables.frame("block_profile", rows)


def test_the_layers_of_highest_cosine_are_named_in_order() -> None:
    first, second = sentences.profiles(profile([0.9, 0.5, 0.99, 0.95]))
    assert (
        first
        == "In math, the layers that change their input least, with their cosine, are 2 (0.990), 3 (0.950), 0 (0.900)."
    )
    assert second.startswith("In general, ")


def test_layers_of_a_gap_are_those_whose_interval_leaves_one() -> None:
    (said,) = sentences.gaps(gap([(1.1, 1.2), (0.9, 1.1), (0.5, 0.8), None, (2, 3)]))
    assert "than math ones, each interval by itself: more: 0, 4; less: 2; 2 of 5 are not told apart." in said
    (said,) = sentences.gaps(gap([(0.9, 1.1)]))
    assert "by itself: none; 1 of 1 are not told apart." in said
    assert not list(sentences.gaps(gap([None, None])))  # too few samples


def test_the_nearest_block_of_each_length_is_named_by_its_layers() -> None:
    (said,) = sentences.blocks(blocks())
    assert said.endswith("are 1 to 2 (0.200), 1 to 3 (0.400), 0 to 3 (0.600).")


def test_the_overlap_is_that_of_ranking_criteria() -> None:
    table = overlaps().filter(pl.col("model") == "deep")
    families = {"math_aware": "ranking", "home_made": "ranking", "random": "control"}
    (said,) = sentences.overlaps(table, families)
    assert said.startswith("Mean overlap of two ranking criteria (of random layers): 0.03 without 1 layer (0.1")
    assert not list(sentences.overlaps(table, dict.fromkeys(families, "structure")))


def test_without_a_domain_effect_both_reasons_are_named() -> None:
    (said,) = sentences.effects(found(THREE)["domain_effect"].clear())
    assert "two criteria that look at one group's domain each, and retention that is defined on both groups" in said


def test_each_figure_has_the_sentences_of_its_models() -> None:
    study = {**found(THREE), "profile": profile([0.9, 0.5]), "gap": gap([(1.1, 1.2)]), "block_profile": blocks()}
    study["overlap"] = overlaps().with_columns(model=pl.lit("m")).clear()
    said = findings.by_figure(study, 0.9, FAMILIES)
    assert said.keys() == {"similarity", "blocks", "regimes", "domain_effect", "stability", "pareto"}
    assert all(sentence.startswith("m: ") for some in said.values() for sentence in some)
    assert "m: math benchmarks: Without 1 to 3 layers" in said["regimes"][0]
