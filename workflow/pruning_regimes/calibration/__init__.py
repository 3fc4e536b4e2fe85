"""Calibration domains: from their source to the calibration table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pruning_regimes import tables
from pruning_regimes.benchmarks.sampling import check_enough


def load(domain: str, entry: Mapping[str, Any], seed: int) -> pl.DataFrame:
    """The calibration samples of a domain's config entry.

    Raises: DataError if the source is not there or damaged, or holds fewer samples than the config asks for.
    """
    # Imported here, since the config is checked with what is known of sets before anything else is loaded.
    if entry["source"] == "demo":
        from pruning_regimes.demo import datasets

        return datasets.calibration_table(entry["benchmarks"], entry["samples"], seed)
    if entry["source"] in ("public", "custom"):
        from pruning_regimes.calibration import draws

        return getattr(draws, entry["source"])(domain, entry, seed)
    samples = tables.read(Path(entry["path"]).expanduser(), "calibration")
    check_enough(f"domains.{domain}.samples", "samples", entry["path"], len(samples), entry["samples"])
    return samples.sample(entry["samples"], seed=seed).sort("sample_id")
