"""Miniature copies of public benchmarks and calibration sets: invented rows in the schema that each has on the hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset

from pruning_regimes.benchmarks import registry
from pruning_regimes.benchmarks.sources import pattern
from pruning_regimes.calibration import registry as sets
from tests.helpers.miniatures.general import GENERAL
from tests.helpers.miniatures.math import MATH, SETS, UPSTREAM

MAKERS = GENERAL | MATH
NAMES = (*MAKERS, *UPSTREAM)


def write(name: str, directory: Path, n: int) -> None:
    """Write a benchmark's miniature of about n rows: Parquet files in the hub's layout, or upstream's own files."""
    if name in UPSTREAM:
        UPSTREAM[name](directory, n)
        return
    made = MAKERS[name](n)
    source = registry.entry(name)["sources"][0]
    if isinstance(made, Dataset):
        _parquet(made, directory, source)
        return
    for (config, split), table in made.items():
        _parquet(table, directory, {"config": config, "split": split})


def write_set(name: str, directory: Path, n: int) -> None:
    """Write a calibration set's miniature of n rows as a Parquet file in the hub's layout."""
    about = sets.entry(name)
    _parquet(SETS[about["schema"]](n), directory, about["sources"][0])


def _parquet(table: Dataset, directory: Path, source: Mapping[str, Any]) -> None:
    name = pattern(source)
    file = directory / name.replace("*", "00001" if "-of-*" in name else "00000-of-00001")
    file.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(file)
