"""The data contracts: one schema per Parquet table, checked on write and on read.

Nothing else in the package knows a column's dtype. Tables are written atomically (a reader never sees half a file)
and carry their provenance in the file's metadata.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from pruning_regimes import __version__
from pruning_regimes.errors import DataError

TOKEN_GROUPS = ("all", "image", "text", "last")
DENSE = "dense"
DENSE_BUDGET = "0"

SCHEMAS: dict[str, dict[str, Any]] = {
    # A calibration sample. images: encoded files (PNG, JPEG, ...).
    "calibration": {
        "sample_id": pl.String,
        "question": pl.String,
        "images": pl.List(pl.Binary),
        "answer": pl.String,
        "source": pl.String,
    },
    # A model's decoder: where its layers are, and which of them may not be removed, with the reasons.
    "decoder": {
        "model": pl.String,
        "model_id": pl.String,
        "revision": pl.String,
        "model_class": pl.String,
        "decoder_path": pl.String,
        "layer_classes": pl.List(pl.String),
        "n_layers": pl.Int32,
        "hidden_size": pl.Int32,
        "protected": pl.List(pl.Int32),
        "reasons": pl.List(pl.String),
    },
    # sample x decoder layer x token group: means over the group's tokens, float32 arithmetic.
    "similarity": {
        "sample_id": pl.String,
        "layer": pl.Int32,
        "token_group": pl.Enum(TOKEN_GROUPS),
        "n_tokens": pl.Int32,
        "cosine": pl.Float32,
        "relative_update": pl.Float32,
        "angular_distance": pl.Float32,
    },
    # sample x start x length, 1..L: how far the last token turns from the input of layer `start` to that of layer
    # `start + length`, or to the output of the last layer before the final norm; in units of pi, float32 arithmetic.
    "blocks": {
        "sample_id": pl.String,
        "start": pl.Int32,
        "length": pl.Int32,
        "angular_distance": pl.Float32,
    },
    # model x domain x token group x layer: mean over samples and the samples' spread.
    "profile": {
        "model": pl.String,
        "domain": pl.String,
        "token_group": pl.Enum(TOKEN_GROUPS),
        "layer": pl.Int32,
        "n_samples": pl.Int32,
        "cosine": pl.Float64,
        "cosine_p10": pl.Float64,
        "cosine_p90": pl.Float64,
    },
    # The layer list of a criterion: replicate x budget x layer. order: 0 is removed first; null if kept.
    "layers": {
        "replicate": pl.Int32,
        "budget": pl.String,
        "layer": pl.Int32,
        "removed": pl.Boolean,
        "order": pl.Int32,
        "score": pl.Float64,
    },
    "variants": {
        "criterion": pl.String,
        "replicate": pl.Int32,
        "budget": pl.String,
        "n_removed": pl.Int32,
        "removed": pl.List(pl.Int32),
        "kept": pl.List(pl.Int32),
        "variant_id": pl.String,
    },
    # A benchmark question. question: what the model is asked, with `<image 1>` where an image stands within the text
    # (others come first). chance: expected score of a blind guess. choices: null for open answers. metadata: JSON
    # object; `question` is the question without what the prompt adds.
    "benchmark": {
        "sample_id": pl.String,
        "question": pl.String,
        "images": pl.List(pl.Binary),
        "choices": pl.List(pl.String),
        "answers": pl.List(pl.String),
        "answer_type": pl.String,
        "category": pl.String,
        "chance": pl.Float64,
        "metadata": pl.String,
    },
    "predictions": {
        "variant_id": pl.String,
        "sample_id": pl.String,
        "prompt_digest": pl.String,
        "response": pl.String,
        "n_tokens": pl.Int32,
        "finish_reason": pl.String,
        "error": pl.String,
    },
    # method: how the answer was extracted from the response; "unparsed" if it could not be, "error" without a response.
    "scores": {
        "variant_id": pl.String,
        "sample_id": pl.String,
        "category": pl.String,
        "chance": pl.Float64,
        "extracted": pl.String,
        "method": pl.String,
        "score": pl.Float64,
        "error": pl.String,
    },
    # A benchmark's own metrics, and what is needed to trust them: variant x metric. n: rows or groups it is over.
    "metrics": {
        "variant_id": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
        "n": pl.Int32,
    },
    # What a judge said of answers that the rules could not read; reply: its own words.
    "judgements": {
        "variant_id": pl.String,
        "sample_id": pl.String,
        "judge": pl.String,
        "prompt_digest": pl.String,
        "reply": pl.String,
        "correct": pl.Boolean,
        "error": pl.String,
    },
    # One row per benchmark, and one per group (benchmark null): the mean over its benchmarks.
    "retention": {
        "model": pl.String,
        "group": pl.String,
        "benchmark": pl.String,
        "criterion": pl.String,
        "budget": pl.String,
        "n_removed": pl.Int32,
        "n_layers": pl.Int32,
        "n_replicates": pl.Int32,
        "n_questions": pl.Int32,
        "n_failed": pl.Int32,
        "unparsed_rate": pl.Float64,
        "chance": pl.Float64,
        "dense_accuracy": pl.Float64,
        "accuracy": pl.Float64,
        "accuracy_low": pl.Float64,
        "accuracy_high": pl.Float64,
        "retention": pl.Float64,
        "retention_low": pl.Float64,
        "retention_high": pl.Float64,
    },
    # Jaccard overlap of the layer sets of two criteria at one budget (mean over pairs of replicates).
    "overlap": {
        "model": pl.String,
        "budget": pl.String,
        "n_removed": pl.Int32,
        "criterion_a": pl.String,
        "criterion_b": pl.String,
        "jaccard": pl.Float64,
        "expected_jaccard": pl.Float64,
    },
}
NULLABLE = {
    "calibration": {"answer"},
    "layers": {"order", "score"},
    "benchmark": {"choices", "metadata"},
    "predictions": {"error"},
    "scores": {"extracted", "error"},
    "judgements": {"correct", "error"},
    "retention": {"benchmark", "retention", "retention_low", "retention_high"},
}


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
    described = json.dumps({"table": table, **environment(), **_portable(provenance)}, sort_keys=True)
    with replacing(path) as temporary:
        checked.write_parquet(temporary, compression="zstd", metadata={"provenance": described})


def read(path: str | os.PathLike[str], table: str) -> pl.DataFrame:
    """Read a table and check its contract.

    Raises: DataError if the file is not there, is no Parquet file, or does not keep the contract.
    """
    if not Path(path).is_file():
        raise DataError(f"Table '{table}' was expected at {path}, but there is no such file.")
    try:
        found = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read as a Parquet table: {str(error).splitlines()[0]}") from error
    try:
        return frame(table, found)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def n_rows(path: str | os.PathLike[str], table: str) -> int:
    """Number of rows of a table, from its header alone.

    Raises: DataError if the file is no Parquet file or lacks a column of the table.
    """
    try:
        missing = [name for name in SCHEMAS[table] if name not in pl.read_parquet_schema(path)]
        count = pl.scan_parquet(path).select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read as a Parquet table: {str(error).splitlines()[0]}") from error
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


def _portable(value: Any) -> Any:
    """The same, with the last part of each absolute path in its place: a table names no machine."""
    if isinstance(value, Mapping):
        return {key: _portable(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [_portable(below) for below in value]
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
