"""The data contracts are kept on write and on read."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pruning_regimes import tables
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.tables import contracts

ROWS = [
    {
        "variant_id": "v",
        "sample_id": "s",
        "cluster": "s",
        "category": "c",
        "chance": 0.5,
        "extracted": None,
        "method": "unparsed",
        "score": 1.0,
        "error": None,
    }
]


def test_a_table_comes_back_as_written_with_its_provenance(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "scores.parquet"
    tables.write(ROWS, "scores", path, {"seed": 7})
    assert tables.read(path, "scores").to_dicts() == ROWS
    found = tables.provenance(path)
    assert found["seed"] == 7 and found["table"] == "scores" and found["package_version"]


def test_provenance_names_no_path_of_a_machine(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    tables.write(ROWS, "scores", path, {"model": {"path": str(tmp_path / "model")}, "files": [str(tmp_path / "a.bin")]})
    found = tables.provenance(path)
    assert found["model"] == {"path": "model"} and found["files"] == ["a.bin"]
    assert str(tmp_path).encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (pl.col("score").alias("points"), "score"),
        (pl.lit("many").alias("score"), "wrong type"),
        (pl.lit(None, dtype=pl.String).alias("sample_id"), "sample_id"),
    ],
)
def test_rows_that_break_the_contract_are_refused(change: pl.Expr, word: str) -> None:
    broken = pl.DataFrame(ROWS).with_columns(change)
    if word == "score":
        broken = broken.drop("score")
    with pytest.raises(DataError, match=word):
        tables.frame("scores", broken)


def test_columns_beyond_the_contract_are_dropped() -> None:
    assert tables.frame("scores", pl.DataFrame(ROWS).with_columns(extra=1)).columns == list(contracts.SCHEMAS["scores"])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    tables.write(ROWS, "scores", path, {})
    before = path.read_bytes()
    with pytest.raises(RuntimeError), tables.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_no_table_or_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    with pytest.raises(DataError, match="no such file"):
        tables.read(path, "scores")
    path.write_text("not parquet")
    with pytest.raises(DataError, match=r"scores\.parquet cannot be read"):
        tables.read(path, "scores")
    tables.write(ROWS, "scores", path, {})
    with pytest.raises(DataError, match=r"scores\.parquet: Table 'predictions' lacks the column"):
        tables.read(path, "predictions")
