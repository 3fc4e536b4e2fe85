"""The study's Parquet tables, checked against their contracts on write and on read.

Tables are written atomically (a reader never sees half a file)
and carry their provenance in the file's metadata.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from pruning_regimes import __version__
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.tables.contracts import NULLABLE, SCHEMAS


def frame(table: str, rows: Any) -> pl.DataFrame:
    """A frame with exactly the columns of a table, from rows, columns or another frame.

    Raises: DataError if a column is missing or cannot take its dtype, or if a value is missing (null, NaN, a null
        within a list) where none may be.
    """
    schema = SCHEMAS[table]
    if isinstance(rows, pl.DataFrame):
        missing = [name for name in schema if name not in rows.columns]
        if missing:
            raise DataError(f"Table '{table}' lacks the column '{missing[0]}'; it needs {', '.join(schema)}.")
        try:
            for name, dtype in schema.items():
                if dtype.is_integer() and rows[name].dtype.is_float() and (rows[name] % 1 != 0).any():
                    raise DataError(f"Table '{table}' holds fractions in the column '{name}' of whole numbers.")
            out = rows.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
        except pl.exceptions.PolarsError as error:
            raise DataError(f"Table '{table}' holds a value of the wrong type: {str(error).splitlines()[0]}") from error
    else:
        try:
            out = pl.DataFrame(rows, schema=schema, orient="row" if isinstance(rows, list) else None)
        except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
            raise DataError(f"Table '{table}' holds a value of the wrong type: {str(error).splitlines()[0]}") from error
    for name, dtype in schema.items():
        empty = 0 if name in NULLABLE.get(table, ()) else out[name].null_count()
        if dtype.is_float():
            empty += out[name].is_nan().sum()
        elif isinstance(dtype, pl.List):
            empty += out[name].list.eval(pl.element().is_null()).list.any().sum()
        if empty:
            raise DataError(f"Table '{table}' has {empty} empty values in the column '{name}'.")
    return out


def write(rows: Any, table: str, path: str | os.PathLike[str], provenance: Mapping[str, Any]) -> None:
    """Check rows against a table's contract and write them atomically with their provenance.

    Raises: DataError if the rows do not keep the contract.
    """
    checked = frame(table, rows)
    described = json.dumps({"table": table, **environment(), **portable(provenance)}, sort_keys=True)
    with replacing(path) as temporary:
        checked.write_parquet(temporary, compression="zstd", metadata={"provenance": described})


def read(path: str | os.PathLike[str], table: str, rows: pl.Expr | None = None) -> pl.DataFrame:
    """Read a table and check its contract.

    Args:
        rows: what holds of the rows that are read; all are if left out.

    Raises: DataError if the file is not there, is no Parquet file, or does not keep the contract.
    """
    if not Path(path).is_file():
        raise DataError(f"Table '{table}' was expected at {path}, but there is no such file.")
    with parquet(path):
        found = pl.read_parquet(path) if rows is None else pl.scan_parquet(path).filter(rows).collect()
    try:
        return frame(table, found)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


@contextmanager
def parquet(path: str | os.PathLike[str]) -> Iterator[None]:
    """Tell which file it was where a Parquet file cannot be read.

    Raises: DataError instead of what polars raises.
    """
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{path} cannot be read as a Parquet table ({reason}); delete it if it is a result, and run again."
        ) from error


def n_rows(path: str | os.PathLike[str], table: str) -> int:
    """Number of rows of a table, from its header alone.

    Raises: DataError if the file is no Parquet file or lacks a column of the table.
    """
    with parquet(path):
        missing = [name for name in SCHEMAS[table] if name not in pl.read_parquet_schema(path)]
        count = pl.scan_parquet(path).select(pl.len()).collect().item()
    if missing:
        raise DataError(f"{path} lacks the column '{missing[0]}'; a table '{table}' has {', '.join(SCHEMAS[table])}.")
    return count


def provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The provenance that `write` put into a table."""
    return json.loads(pl.read_parquet_metadata(path)["provenance"])


class replacing:
    """Context manager: write to a temporary sibling, moved onto the path if the block succeeds, deleted if not."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.temporary = self.path.with_name(f".{self.path.stem}.{os.getpid()}{self.path.suffix}")

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.temporary

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            os.replace(self.temporary, self.path)
        else:
            self.temporary.unlink(missing_ok=True)


@lru_cache
def environment() -> dict[str, Any]:
    """What made a table besides its inputs: package, commit if any, libraries, day."""
    libraries = {}
    for name in ("torch", "transformers", "datasets", "polars", "numpy"):
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "package_version": __version__,
        "git_commit": _commit(),
        "python": platform.python_version(),
        "libraries": libraries,
        "date": datetime.now(UTC).date().isoformat(),
    }


def portable(value: Any) -> Any:
    """The same, with the last part of each absolute path in its place: a table names no machine."""
    if isinstance(value, Mapping):
        return {key: portable(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(below) for below in value]
    if isinstance(value, str) and Path(value).expanduser().is_absolute():
        return Path(value).name
    return value


def _commit() -> str | None:
    # Only where git tracks this file: an installed package may lie inside somebody else's repository.
    file = Path(__file__)
    git = ("git", "-C", str(file.parent))
    try:
        for command in ((*git, "ls-files", "--error-unmatch", file.name), (*git, "rev-parse", "HEAD")):
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
