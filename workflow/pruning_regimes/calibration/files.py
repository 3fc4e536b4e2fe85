"""A file of calibration samples as a domain's config entry: its source, its schema and how many samples it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pruning_regimes import tables
from pruning_regimes.benchmarks.custom import open_file
from pruning_regimes.calibration.schemas import IMAGES, QA, schema_of
from pruning_regimes.jobs.errors import DataError

MOST = 128  # samples that are taken of a file if nothing is said, as many as a study takes


def entry(domain: str, path: Path, samples: int | None = None) -> dict[str, Any]:
    """The config entry of a domain whose samples are in a file or a saved data set.

    Args:
        path: a calibration table, or what `source: custom` takes.
        samples: how many; all, but 128 at most, if not given.

    Raises: DataError if it cannot be read or holds no rows.
    """
    if path.suffix == ".parquet" and path.is_file() and _is_calibration_table(path):
        n_rows = tables.n_rows(path, "calibration")
        return {"source": "table", "path": str(path), "samples": samples or min(n_rows, MOST)}
    image_columns = [*QA["images"], *(column for columns in IMAGES.values() for column in columns)]
    rows = open_file(f"domains.{domain}.path", {"path": str(path)}, image_columns).light()
    if not rows:
        raise DataError(f"domains.{domain}.path: '{path}' holds no rows.")
    found = {"source": "custom", "path": str(path), "schema": schema_of(rows[0])}
    return {**found, "samples": samples or min(len(rows), MOST)}


def _is_calibration_table(path: Path) -> bool:
    try:
        tables.n_rows(path, "calibration")
    except DataError:
        return False
    return True
