"""Benchmarks: from their source to the benchmark table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pruning_regimes import tables
from pruning_regimes.demo import datasets
from pruning_regimes.errors import DataError


def load(benchmark: str, entry: Mapping[str, Any], seed: int) -> pl.DataFrame:
    """The questions of a benchmark's config entry.

    Raises: DataError if the source holds fewer questions than the config asks for, or a question twice.
    """
    if entry["source"] == "demo":
        return datasets.benchmark_table(benchmark, entry["samples"], seed)
    questions = tables.read(Path(entry["path"]).expanduser(), "benchmark")
    twice = questions.filter(pl.col("sample_id").is_duplicated())
    if len(twice):
        raise DataError(
            f"benchmarks.{benchmark}.path: {entry['path']} has the sample_id '{twice['sample_id'][0]}' more than once; "
            "each question needs its own."
        )
    if len(questions) < entry["samples"]:
        raise DataError(
            f"benchmarks.{benchmark}.samples: {entry['samples']} questions are asked for, but {entry['path']} holds "
            f"{len(questions)}; ask for at most {len(questions)}."
        )
    return questions.sample(entry["samples"], seed=seed).sort("sample_id")
