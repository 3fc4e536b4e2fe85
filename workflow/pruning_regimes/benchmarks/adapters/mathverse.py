"""MathVerse: the options stand within the question."""

from __future__ import annotations

from typing import Any

from pruning_regimes.benchmarks.adapters import inline

LETTERS = "ABCD"


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds options, none for free-form questions; four letters without text where they cannot be read."""
    if not row["question_type"].startswith("multi"):
        return {**row, "options": None}
    options = inline.split(row["question"])[1]
    if LETTERS.find(row["answer"].strip()) >= len(options):
        options = [""] * len(LETTERS)
    return {**row, "options": options}
