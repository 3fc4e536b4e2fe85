"""Parts of a table that survive a killed job: files beside it, until the finished table takes their place."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pruning_regimes import tables


class Pieces:
    """The parts of one table.

    Attributes:
        directory: where they are; its name begins with a dot, so that Snakemake and a user leave it alone.
    """

    def __init__(self, path: Path, table: str, what: str) -> None:
        """Look beside a table.

        Args:
            path: the table's file.
            table: its contract.
            what: what was done to its rows, in a word.
        """
        self.directory, self.table = path.with_name(f".{path.stem}.{what}"), table

    @property
    def files(self) -> list[Path]:
        """The files of the parts that are there, the oldest first."""
        return sorted(self.directory.glob("[!.]*.parquet"))

    def read(self) -> list[pl.DataFrame]:
        """The parts that are there, the oldest first."""
        return [tables.read(file, self.table) for file in self.files]

    def add(self, rows: Any, provenance: Mapping[str, Any]) -> None:
        """Keep one more part."""
        tables.write(rows, self.table, self.directory / f"{time.time_ns():020d}.parquet", provenance)

    def clear(self) -> None:
        """Remove them."""
        shutil.rmtree(self.directory, ignore_errors=True)
