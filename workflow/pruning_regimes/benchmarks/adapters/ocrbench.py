"""OCRBench: upstream's own file has a list of answers or one text."""

from __future__ import annotations

from typing import Any


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """The answer becomes a list."""
    answer = row["answer"]
    return {**row, "answer": [answer] if isinstance(answer, str) else answer}
