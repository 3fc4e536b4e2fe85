"""DocVQA: a question may be of several types."""

from __future__ import annotations

from typing import Any


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds question_type, the first of the question's types."""
    return {**row, "question_type": next(iter(row["question_types"] or ()), "unknown")}
