"""Questions of the user's own: a table of any common format, and images in it or in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pruning_regimes.benchmarks import sampling, sources
from pruning_regimes.benchmarks.questions import chance
from pruning_regimes.jobs.errors import DataError, nearest
from pruning_regimes.tables import frame

FORMATS = (".parquet", ".jsonl", ".json", ".csv")
# The standard names of columns; those with a default may be missing.
COLUMNS = ("question", "answers", "images", "choices", "sample_id", "category", "answer_type")
NEEDED = ("question", "answers")
# How a cell of a CSV file lists several values.
SEPARATOR = "|"


def open_file(at: str, entry: Mapping[str, Any], image_columns: Sequence[str]) -> sources.Rows:
    """The rows of the user's file.

    Args:
        at: the config key that states it.
        entry: has path, and perhaps images (the folder of image files).

    Raises: DataError if its format is not known, or it is damaged.
    """
    path = Path(entry["path"]).expanduser()
    folder = Path(entry["images"]).expanduser() if "images" in entry else path.parent
    if path.is_dir():
        return sources.Saved(path, "train")
    if path.suffix not in FORMATS:
        raise DataError(f"{at}: '{path.name}' ends in '{path.suffix}'; expected one of {', '.join(FORMATS)}.")
    if path.suffix != ".parquet":
        rows = sources.read_rows(path)
        if path.suffix == ".csv":
            rows = [row | {name: listed(row[name], True) for name in image_columns if name in row} for row in rows]
        return sources.Files(rows, folder, image_columns)
    table = sources.Parquet([path])
    named = set(image_columns) & set(table.light_columns)
    return sources.Files(table.light(), folder, image_columns) if named else table


def load(benchmark: str, entry: Mapping[str, Any], seed: int) -> pl.DataFrame:
    """The questions of a config entry with `source: custom`.

    Raises: DataError naming the column or the question that is not as expected.
    """
    at, columns = f"benchmarks.{benchmark}", _columns(f"benchmarks.{benchmark}.columns", entry)
    rows = open_file(f"{at}.path", entry, columns["images"])
    light = rows.light()
    if not light:
        raise DataError(f"{at}.path: '{entry['path']}' holds no rows.")
    _check_columns(at, columns, entry, light, rows)
    sampling.check_enough(f"{at}.samples", "questions", entry["path"], len(light), entry.get("samples"))
    named = [str(row.get(columns["sample_id"], f"{position:06d}")) for position, row in enumerate(light)]
    categories = [str(row.get(columns["category"]) or "all") for row in light]
    chosen = sampling.stratified(categories, named, entry.get("samples"), seed)
    full = rows.take(chosen)
    return frame(
        "benchmark",
        [
            _question(at, columns, entry, row, named[position], categories[position])
            for position, row in zip(chosen, full, strict=True)
        ],
    )


def _columns(at: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    stated = entry.get("columns", {})
    for name in stated:
        if name not in COLUMNS:
            raise DataError(f"{at}.{name}: there is no such column in a benchmark; {nearest(name, COLUMNS)}")
    found = {name: name for name in COLUMNS} | stated
    images = found["images"]
    return found | {"images": [images] if isinstance(images, str) else list(images)}


def _check_columns(
    at: str, columns: Mapping[str, Any], entry: Mapping[str, Any], light: Sequence[sources.Row], rows: sources.Rows
) -> None:
    there = set().union(*light)
    if not isinstance(rows, sources.Files):
        there |= rows.take([0])[0].keys()
    wanted = {name: columns[name] for name in (*NEEDED, *entry.get("columns", {})) if name != "images"}
    wanted |= {f"images {name}": name for name in columns["images"] if "images" in entry.get("columns", {})}
    for name, column in wanted.items():
        if column not in there:
            raise DataError(
                f"{at}.columns.{name.split()[0]}: '{entry['path']}' has no column '{column}'; {nearest(column, there)}"
            )
    if "answer_type" not in entry and columns["answer_type"] not in there:
        raise DataError(f"{at}: the key 'answer_type' is missing, and '{entry['path']}' has no such column.")


def _question(
    at: str, columns: Mapping[str, Any], entry: Mapping[str, Any], row: Mapping[str, Any], name: str, category: str
) -> dict[str, Any]:
    separated = Path(entry["path"]).suffix == ".csv"
    question, answers = row.get(columns["question"]), listed(row.get(columns["answers"]), separated)
    if not question:
        raise DataError(f"{at}: question '{name}' is empty.")
    choices = listed(row.get(columns["choices"]), separated)
    kind = str(row.get(columns["answer_type"]) or entry.get("answer_type"))
    return {
        "sample_id": name,
        "question": str(question),
        "images": sources.usable(f"{at}: question '{name}'", sources.images(row, columns["images"])),
        "choices": choices or None,
        "answers": answers,
        "answer_type": kind,
        "category": category,
        "chance": entry.get("chance", chance(kind, choices)),
        "metadata": json.dumps({"question": str(question)}, ensure_ascii=False),
    }


def listed(value: Any, separated: bool) -> list[str]:
    """A cell as a list: a list as it is, a number as text, nothing as none; text at each "|" if `separated`."""
    if value is None or value == "":
        return []
    if isinstance(value, (list, tuple)):
        return [str(item) for item in value]
    return [part.strip() for part in str(value).split(SEPARATOR)] if separated else [str(value)]
