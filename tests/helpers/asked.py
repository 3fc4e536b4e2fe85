"""Public benchmarks as tests load and answer them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pruning_regimes import benchmarks, tables


def load(name: str, path: Path, **entry: Any) -> pl.DataFrame:
    """A benchmark's table, from a local copy."""
    return benchmarks.load(name, {"source": "public", "benchmark": name, "path": str(path), **entry}, seed=0)


def rows(questions: pl.DataFrame) -> list[dict[str, Any]]:
    """Its rows, with metadata read."""
    return [{**row, "metadata": json.loads(row["metadata"])} for row in questions.iter_rows(named=True)]


def answered(questions: pl.DataFrame, responses: Sequence[str]) -> pl.DataFrame:
    """The predictions table of one variant."""
    said = {"variant_id": "v", "sample_id": questions["sample_id"], "prompt_digest": "", "response": responses}
    return tables.frame("predictions", pl.DataFrame({**said, "n_tokens": 1, "finish_reason": "stop", "error": None}))


def all_right(questions: pl.DataFrame) -> pl.DataFrame:
    """The scores table of a variant that is always right."""
    right = {"variant_id": "v", "extracted": "x", "method": "whole", "score": 1.0}
    return questions.select(
        "sample_id",
        "category",
        "chance",
        pl.col("sample_id").alias("cluster"),
        *(pl.lit(value).alias(name) for name, value in right.items()),
    ).with_columns(error=pl.lit(None, pl.String))
