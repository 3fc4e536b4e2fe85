"""DynaMath: which variant of a question a row is, stands in the name of its file."""

from __future__ import annotations

import re
from typing import Any

from pruning_regimes.benchmarks.adapters import inline
from pruning_regimes.jobs.errors import DataError

# The last such part of the path: a folder further up may be called alike.
VARIANT = re.compile(r".*(?:sample_variant|sample|trial)(\d+)[-/]")
# What stands before the options, here on the question's own line.
HEADING = re.compile(r"\bchoices?\s?:", re.IGNORECASE)


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds question_id, variant, sample_id and options, which a multiple-choice question holds in its text.

    Raises: DataError if the file's name does not tell the variant.
    """
    found = VARIANT.search(row["_file"])
    if found is None:
        raise DataError(
            f"DynaMath: the name of '{row['_file']}' does not tell the variant; expected one such as "
            "sample3-00000-of-00001.parquet."
        )
    chosen = row["answer_type"] == "multiple choice"
    options = inline.split(HEADING.sub("Choices:", row["question"]))[1] if chosen else None
    return {
        **row,
        "options": options,
        "question_id": str(row["id"]),
        "variant": int(found[1]),
        "sample_id": f"{row['id']}-{found[1]}",
    }
