"""Benchmarks: from their source to the benchmark table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pruning_regimes import tables
from pruning_regimes.benchmarks.sampling import check_enough
from pruning_regimes.jobs.errors import DataError


def load(benchmark: str, entry: Mapping[str, Any], seed: int) -> pl.DataFrame:
    """The questions of a benchmark's config entry.

    Raises: DataError if the source is not there or damaged, holds fewer questions than the config asks for, or a
        question twice.
    """
    # Imported here, since the config is checked with what is known of benchmarks before anything else is loaded.
    if entry["source"] == "demo":
        from pruning_regimes.demo import datasets

        return datasets.benchmark_table(benchmark, entry["samples"], seed)
    if entry["source"] == "public":
        from pruning_regimes.benchmarks import public

        return _unique(f"benchmarks.{benchmark}", "its data set", public.load(benchmark, entry, seed))
    if entry["source"] == "custom":
        from pruning_regimes.benchmarks import custom

        return _unique(f"benchmarks.{benchmark}.path", entry["path"], custom.load(benchmark, entry, seed))
    questions = _unique(
        f"benchmarks.{benchmark}.path", entry["path"], tables.read(Path(entry["path"]).expanduser(), "benchmark")
    )
    wanted = entry.get("samples", len(questions))
    check_enough(f"benchmarks.{benchmark}.samples", "questions", entry["path"], len(questions), wanted)
    return questions.sample(wanted, seed=seed).sort("sample_id")


def _unique(at: str, name: str, questions: pl.DataFrame) -> pl.DataFrame:
    twice = questions.filter(pl.col("sample_id").is_duplicated())
    if len(twice):
        raise DataError(
            f"{at}: {name} has the sample_id '{twice['sample_id'][0]}' more than once; each question needs its own."
        )
    return questions
