"""Calibration samples of known sets, and of the user's own files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pruning_regimes.benchmarks import sources
from pruning_regimes.benchmarks.custom import open_file
from pruning_regimes.benchmarks.sampling import check_enough
from pruning_regimes.calibration import registry
from pruning_regimes.calibration.schemas import image_columns, sample
from pruning_regimes.tables import frame


def public(domain: str, entry: Mapping[str, Any], seed: int) -> pl.DataFrame:
    """Samples of known sets, in equal shares; the first ones give one more where that is not whole.

    Raises: DataError if a set is not there, holds too few, or a row is not of its schema.
    """
    names, found = entry.get("datasets", [domain]), []
    for number, name in enumerate(names):
        about = registry.entry(name)
        share = entry["samples"] // len(names) + (number < entry["samples"] % len(names))
        columns = image_columns(about["schema"], about.get("columns", {}))
        path = entry.get("path")
        # With several sets, a local copy has a folder for each.
        below = str(Path(path) / name) if path and len(names) > 1 else path
        rows = sources.rows(about, below, entry.get("revision"), columns)
        found += _drawn(domain, name, about, rows, share, seed)
    return frame("calibration", found)


def custom(domain: str, entry: Mapping[str, Any], seed: int) -> pl.DataFrame:
    """Samples of the user's own file.

    Raises: as `public`.
    """
    about = {"schema": entry["schema"], "columns": entry.get("columns", {})}
    rows = open_file(f"domains.{domain}.path", entry, image_columns(about["schema"], about["columns"]))
    return frame("calibration", _drawn(domain, Path(entry["path"]).stem, about, rows, entry["samples"], seed))


def _drawn(
    domain: str, name: str, about: Mapping[str, Any], rows: sources.Rows, n_samples: int, seed: int
) -> list[dict[str, Any]]:
    total = len(rows.light())
    check_enough(f"domains.{domain}.samples", "samples", name, total, n_samples)
    chosen = sorted(np.random.default_rng(seed).choice(total, n_samples, replace=False).tolist())
    return [
        {
            "sample_id": f"{name}-{position:06d}",
            **sample(f"Row {position} of '{name}'", about["schema"], about.get("columns", {}), row),
            "source": name,
        }
        for position, row in zip(chosen, rows.take(chosen), strict=True)
    ]
