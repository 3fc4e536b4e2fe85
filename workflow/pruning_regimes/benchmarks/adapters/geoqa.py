"""GeoQA: the question, its options and how to answer are one text."""

from __future__ import annotations

from typing import Any

from pruning_regimes.benchmarks.adapters import inline
from pruning_regimes.jobs.errors import DataError


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds stem (the question alone) and options.

    Raises: DataError if the options cannot be read.
    """
    stem, options = inline.split(row["text"])
    if not options:
        raise DataError(f"GeoQA's question '{row['question_id']}' holds no options 'A:', 'B:', ... after 'Choices:'.")
    return {**row, "stem": stem.rpartition("Question:")[2].strip(), "options": options}
