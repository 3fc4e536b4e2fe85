"""Calibration samples and questions that are drawn on the spot."""

from __future__ import annotations

from functools import cache

import polars as pl

from pruning_regimes.demo import datasets

SAMPLES = 6  # per domain and benchmark; prompts of unequal lengths, so that batches are padded
BENCHMARKS = ("counting", "reading")


@cache
def domains() -> dict[str, pl.DataFrame]:
    """Calibration tables of two domains."""
    return {
        "math": datasets.calibration_table(["arithmetic", "chart"], SAMPLES, 0),
        "general": datasets.calibration_table(["reading", "attributes"], SAMPLES, 0),
    }


@cache
def benchmarks() -> dict[str, pl.DataFrame]:
    """Benchmark tables."""
    return {name: datasets.benchmark_table(name, SAMPLES, 0) for name in BENCHMARKS}


def questions() -> pl.DataFrame:
    """The questions of both, in one table."""
    return pl.concat(benchmarks().values())
