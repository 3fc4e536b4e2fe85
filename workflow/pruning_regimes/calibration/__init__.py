"""Calibration domains: from their source to the calibration table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pruning_regimes import tables
from pruning_regimes.errors import DataError


def load(domain: str, entry: Mapping[str, Any], seed: int) -> pl.DataFrame:
    """The calibration samples of a domain's config entry.

    Raises: DataError if the source is not there or damaged, or holds fewer samples than the config asks for.
    """
    # Imported here, since the config is checked with what is known of sets before anything else is loaded.
    if entry["source"] == "demo":
        from pruning_regimes.demo import datasets

        return datasets.calibration_table(entry["benchmarks"], entry["samples"], seed)
    if entry["source"] == "public":
        return _public(domain, entry, seed)
    if entry["source"] == "custom":
        from pruning_regimes.benchmarks.custom import open_file
        from pruning_regimes.calibration.schemas import image_columns

        columns, at = entry.get("columns", {}), f"domains.{domain}.path"
        rows = open_file(at, entry, image_columns(entry["schema"], columns))
        about = {"schema": entry["schema"], "columns": columns}
        return tables.frame(
            "calibration", _drawn(domain, Path(entry["path"]).stem, about, rows, entry["samples"], seed)
        )
    samples = tables.read(Path(entry["path"]).expanduser(), "calibration")
    _enough(domain, entry["path"], len(samples), entry["samples"])
    return samples.sample(entry["samples"], seed=seed).sort("sample_id")


def _public(domain: str, entry: Mapping[str, Any], seed: int) -> pl.DataFrame:
    """Samples of known sets, in equal shares; the first ones give one more where that is not whole."""
    from pruning_regimes.benchmarks import sources
    from pruning_regimes.calibration import registry
    from pruning_regimes.calibration.schemas import image_columns

    names = entry.get("datasets", [domain])
    found = []
    for number, name in enumerate(names):
        about = registry.entry(name)
        share = entry["samples"] // len(names) + (number < entry["samples"] % len(names))
        columns = image_columns(about["schema"], about.get("columns", {}))
        path = entry.get("path")
        # With several sets, a local copy has a folder for each.
        below = str(Path(path) / name) if path and len(names) > 1 else path
        rows = sources.rows(about, below, entry.get("revision"), columns)
        found += _drawn(domain, name, about, rows, share, seed)
    return tables.frame("calibration", found)


def _drawn(
    domain: str, name: str, about: Mapping[str, Any], rows: Any, n_samples: int, seed: int
) -> list[dict[str, Any]]:
    from pruning_regimes.calibration.schemas import sample

    total = len(rows.light())
    _enough(domain, name, total, n_samples)
    chosen = sorted(np.random.default_rng(seed).choice(total, n_samples, replace=False).tolist())
    return [
        {
            "sample_id": f"{name}-{position:06d}",
            **sample(f"Row {position} of '{name}'", about["schema"], about.get("columns", {}), row),
            "source": name,
        }
        for position, row in zip(chosen, rows.take(chosen), strict=True)
    ]


def _enough(domain: str, name: str, there: int, wanted: int) -> None:
    if there < wanted:
        raise DataError(
            f"domains.{domain}.samples: {wanted} samples are asked for, but {name} holds {there}; "
            f"ask for at most {there}."
        )
