"""Calibration domains: from their source to the calibration table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pruning_regimes import tables
from pruning_regimes.demo import datasets
from pruning_regimes.errors import DataError


def load(domain: str, entry: Mapping[str, Any], seed: int) -> pl.DataFrame:
    """The calibration samples of a domain's config entry.

    Raises: DataError if the source holds fewer samples than the config asks for.
    """
    if entry["source"] == "demo":
        return datasets.calibration_table(entry["benchmarks"], entry["samples"], seed)
    samples = tables.read(Path(entry["path"]).expanduser(), "calibration")
    if len(samples) < entry["samples"]:
        raise DataError(
            f"domains.{domain}.samples: {entry['samples']} samples are asked for, but {entry['path']} holds "
            f"{len(samples)}; ask for at most {len(samples)}."
        )
    return samples.sample(entry["samples"], seed=seed).sort("sample_id")
