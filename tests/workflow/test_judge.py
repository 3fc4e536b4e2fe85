"""A study with a judge, whose answers are there already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pruning_regimes import tables
from tests.evaluation.test_judge import KEY, Judge, serving
from tests.helpers.studies import STUDY, planned, snakemake

TARGET = "results/scores/demo-llava/chart.parquet"
ENVIRONMENT = {"KEY_OF_JUDGE": KEY, "NO_PROXY": "127.0.0.1"}


def judged(fake: Judge) -> dict[str, Any]:
    """The study with a judge of all answers."""
    settings = {"url": fake.settings["url"], "model": "referee", "key_variable": "KEY_OF_JUDGE", "rows": "all"}
    return {**STUDY, "judge": settings}


def test_a_judges_verdicts_take_the_place_of_the_rules(study: Path) -> None:
    with serving(lambda prompt, _: "Incorrect") as fake:
        config = judged(fake)
        jobs = planned(study, config)
        assert jobs["judgements"] == 2 and "predictions" not in jobs
        snakemake(study, config, TARGET, **ENVIRONMENT)
        assert fake.prompts and set(fake.keys) == {f"Bearer {KEY}"}
    scores = tables.read(study / TARGET, "scores")
    # Of an answer without a word, there is nothing to judge.
    predictions = pl.concat(
        tables.read(file, "predictions") for file in (study / "results/predictions/demo-llava/chart").glob("*.parquet")
    )
    silent = predictions.filter(pl.col("response").str.strip_chars() == "").select("variant_id", "sample_id")
    spoken = scores.join(silent, on=["variant_id", "sample_id"], how="anti")
    assert set(spoken["method"]) == {"judge"} and scores["score"].sum() == 0 < len(spoken)
    # The answers of all variants, of which equal ones are put to the judge once.
    assert len(spoken) >= len(fake.prompts) == len(set(fake.prompts))
    hidden = (file for file in study.rglob("*") if file.is_file())
    assert not any(KEY.encode() in file.read_bytes() for file in hidden)


@pytest.mark.slow
def test_what_was_judged_is_not_put_to_the_judge_again_and_without_it_the_rules_count(study: Path) -> None:
    with serving(lambda prompt, _: "Incorrect") as fake:
        snakemake(study, judged(fake), TARGET, **ENVIRONMENT)
        asked, scores = len(fake.prompts), tables.read(study / TARGET, "scores")
        # A new budget has new answers.
        snakemake(study, judged(fake) | {"budgets": [1, 2, 0.5]}, TARGET, **ENVIRONMENT)
        assert asked < len(fake.prompts) == len(set(fake.prompts))
        assert len(tables.read(study / TARGET, "scores")) > len(scores)
    hidden = (file for file in study.rglob("*") if file.is_file())
    assert not any(KEY.encode() in file.read_bytes() for file in hidden)
    snakemake(study, STUDY, TARGET)
    assert "judge" not in set(tables.read(study / TARGET, "scores")["method"])
