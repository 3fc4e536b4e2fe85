"""The three schemas of public calibration sets: what is asked, shown and answered in a raw row."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from pruning_regimes.benchmarks import sources
from pruning_regimes.jobs.errors import DataError

MARK = re.compile(r"<image(?: ?\d+)?>\s*")
QA = {"question": "question", "images": ["images", "image"], "answer": "answer"}
IMAGES = {"llava": ["image"], "cauldron": ["images"]}
# The column that only rows of this schema have.
TOLD_BY = {"llava": "conversations", "cauldron": "texts"}


def image_columns(schema: str, columns: Mapping[str, Any]) -> list[str]:
    """Columns that hold images."""
    if schema in IMAGES:
        return IMAGES[schema]
    named = columns.get("images", QA["images"])
    return [named] if isinstance(named, str) else list(named)


def schema_of(columns: Collection[str]) -> str:
    """The schema of raw rows, by their columns; qa if it is none of the others."""
    return next((schema for schema, column in TOLD_BY.items() if column in columns), "qa")


def sample(at: str, schema: str, columns: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Question, images and answer of a raw row; the first turn of a conversation counts.

    Args:
        at: what to call the row in an error.
        schema: llava, cauldron or qa.
        columns: for qa, names that differ from the standard ones.

    Raises: DataError if the row is not of the schema.
    """
    try:
        if schema == "llava":
            turns = row["conversations"]
            asked = next(turn["value"] for turn in turns if turn["from"] in ("human", "user"))
            said = next((turn["value"] for turn in turns if turn["from"] in ("gpt", "assistant")), None)
        elif schema == "cauldron":
            asked, said = row["texts"][0]["user"], row["texts"][0].get("assistant")
        else:
            asked, said = row[columns.get("question", QA["question"])], row.get(columns.get("answer", QA["answer"]))
    except (KeyError, IndexError, TypeError, StopIteration, AttributeError) as error:
        raise DataError(f"{at} is not of the schema '{schema}'; it has the columns {', '.join(row)}.") from error
    if not isinstance(asked, str) or not MARK.sub("", asked).strip():
        raise DataError(f"{at} has no question.")
    images = sources.usable(at, sources.images(row, image_columns(schema, columns)))
    answer = None if said is None else str(said)
    return {"question": MARK.sub("", asked).strip(), "images": images, "answer": answer}
