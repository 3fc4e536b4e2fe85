"""The calibration samples of several domains as a measurement takes them, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from pruning_regimes import tables


class CalibrationSamples(NamedTuple):
    """Calibration samples of domains.

    Attributes:
        samples: domain -> its calibration table.
        provenance: domain -> the provenance of that table.
    """

    samples: dict[str, pl.DataFrame]
    provenance: dict[str, dict[str, Any]]


def read_samples(domains: Sequence[str], files: Sequence[str | Path]) -> CalibrationSamples:
    """Read each domain's calibration table from its file."""
    paths = dict(zip(domains, files, strict=True))
    return CalibrationSamples(
        {domain: tables.read(path, "calibration") for domain, path in paths.items()},
        {domain: tables.provenance(path) for domain, path in paths.items()},
    )
