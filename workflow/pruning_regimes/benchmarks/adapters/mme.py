"""MME: two questions with opposite answers for each image."""

from __future__ import annotations

from typing import Any


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds pair, which the two questions of an image share; the answer becomes yes or no."""
    answer = row["answer"].strip().rstrip(".").lower()
    return {**row, "pair": f"{row['category']}/{row['question_id']}", "answer": answer}
