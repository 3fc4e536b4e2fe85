"""Edges of scores, retention and tables."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pruning_regimes import regimes, tables
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.tables import contracts
from tests.regimes.test_retention import scores, variants
from tests.tables.test_tables import ROWS


def retained(rows: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The retention table of benchmarks of one group."""
    found = {name: regimes.scored("math", table) for name, table in rows.items()}
    return regimes.retention(regimes.results("m", variants(1), found, resamples=500, confidence=0.95, seed=0))


def test_a_dense_model_that_may_be_at_chance_has_no_retention() -> None:
    dense, a, r0 = variants(1)["variant_id"]
    rows = scores(dict.fromkeys([dense, a, r0], 1.0), 20, chance=0.5)
    right = pl.col("sample_id").is_in([f"q{i}" for i in range(12)])
    table = retained({"one": rows.with_columns(score=right.cast(pl.Float64))})
    assert table["dense_accuracy"].unique().to_list() == [0.6] and table["accuracy_low"][0] < 0.5
    assert table["retention"].null_count() == table["retention_high"].null_count() == len(table)


def test_chance_is_the_mean_over_questions() -> None:
    rows = scores({v: 0.95 for v in variants(1)["variant_id"]}, 100, chance=0.5)
    fifth = pl.col("sample_id").str.ends_with("0")
    table = retained({"one": rows.with_columns(chance=pl.when(fifth).then(0.0).otherwise(0.5))})
    assert table["chance"].to_list() == pytest.approx([0.45] * len(table))


def test_benchmarks_are_resampled_independently() -> None:
    rng = np.random.default_rng(0)
    rows = scores({v: 0.9 for v in variants(1)["variant_id"]}, 60, chance=0.0)
    rows = rows.with_columns(score=pl.Series(rng.uniform(0.5, 1.0, len(rows))))
    table = retained({"one": rows, "two": rows}).filter(pl.col("criterion") == "a")
    width = {row["benchmark"]: row["accuracy_high"] - row["accuracy_low"] for row in table.iter_rows(named=True)}
    limits = table.filter(pl.col("benchmark").is_not_null())["accuracy_low"]
    assert limits.n_unique() == 2
    # The mean of two independent ones varies by a factor of the root of two less.
    assert width[None] == pytest.approx(width["one"] / 2**0.5, rel=0.15)


def test_a_reader_of_the_old_table_keeps_it_while_a_new_one_is_written(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    tables.write(ROWS, "scores", path, {})
    before = path.read_bytes()
    with path.open("rb") as reader:
        tables.write([*ROWS, {**ROWS[0], "sample_id": "t"}], "scores", path, {})
        assert os.fstat(reader.fileno()).st_ino != path.stat().st_ino
        assert reader.read() == before


@pytest.mark.parametrize(("n_questions", "right"), [(10, 6), (30, 13)])
def test_the_dense_model_retains_exactly_everything_in_small_benchmarks(n_questions: int, right: int) -> None:
    dense, a, r0 = variants(1)["variant_id"]
    rows = scores(dict.fromkeys([dense, a, r0], 0.0), n_questions, chance=0.25)
    correct = pl.col("sample_id").is_in([f"q{i}" for i in range(right)]) & (pl.col("variant_id") == dense)
    table = retained({"one": rows.with_columns(score=correct.cast(pl.Float64))})
    row = table.filter(pl.col("criterion") == contracts.DENSE).row(0, named=True)
    assert row["retention"] == 1
    assert (row["retention_low"], row["retention_high"]) == pytest.approx((1, 1))


def test_scores_given_twice_or_not_at_all_are_data_errors() -> None:
    dense, a, r0 = variants(1)["variant_id"]
    rows = scores(dict.fromkeys([dense, a, r0], 0.9), 10, chance=0.0)
    with pytest.raises(DataError, match="hold question 'q3' twice"):
        regimes.scored("g", pl.concat([rows, rows.filter(pl.col("sample_id") == "q3")]))
    with pytest.raises(DataError, match=f"^Variant {a} has no scores"):
        retained({"one": rows.filter(pl.col("variant_id") != a)})


LAYER = {"replicate": 0, "budget": "1", "layer": 1, "removed": True, "order": 0, "score": 0.5}
SAMPLE = {"sample_id": "a", "question": "q", "images": [b"x"], "answer": None, "source": "s"}


@pytest.mark.parametrize(
    ("table", "row", "sentence"),
    [
        ("layers", LAYER | {"layer": 1.7}, "fractions in the column 'layer'"),
        ("layers", LAYER | {"score": float("nan")}, "empty values in the column 'score'"),
        ("calibration", SAMPLE | {"images": [b"x", None]}, "empty values in the column 'images'"),
    ],
)
def test_values_that_would_be_bent_silently_are_refused(table: str, row: dict, sentence: str) -> None:
    tables.frame("layers", pl.DataFrame([LAYER | {"layer": 1.0}]))
    tables.frame("calibration", [SAMPLE | {"images": []}])
    with pytest.raises(DataError, match=sentence):
        tables.frame(table, pl.DataFrame([row]))
