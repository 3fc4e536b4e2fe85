"""Miniature copies of public benchmarks and calibration sets: invented rows in the schema that each has on the hub."""

from __future__ import annotations

from pathlib import Path

from miniatures.general import GENERAL
from miniatures.math import MATH
from pruning_regimes.benchmarks import registry
from pruning_regimes.benchmarks.sources import pattern

MAKERS = GENERAL | MATH
NAMES = tuple(MAKERS)


def write(name: str, directory: Path, n: int) -> None:
    """Write a benchmark's miniature of about n rows as Parquet files in the hub's layout."""
    made = MAKERS[name](n)
    source = registry.entry(name)["sources"][0]
    parts = made if isinstance(made, dict) else {(source.get("config", "default"), source["split"]): made}
    for (config, split), table in parts.items():
        folder = Path(pattern({**source, "config": config, "data_files": None})).parent
        (directory / folder).mkdir(parents=True, exist_ok=True)
        table.to_parquet(directory / folder / f"{split}-00000-of-00001.parquet")
