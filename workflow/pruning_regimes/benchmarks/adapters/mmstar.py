"""MMStar: the options stand within the question."""

from __future__ import annotations

from typing import Any

from pruning_regimes.benchmarks.adapters import inline

LETTERS = "ABCD"


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds stem (the question without options) and options.

    Where the options cannot be read, they are the four letters that the harnesses allow, without text.
    """
    stem, options = inline.split(row["question"])
    if LETTERS.find(row["answer"].strip()) >= len(options):
        stem, options = row["question"].strip(), [""] * len(LETTERS)
    return {**row, "stem": stem, "options": options}
