"""VQAv2: each annotator's answer is a record."""

from __future__ import annotations

from typing import Any


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """The answers become a list of texts."""
    return {**row, "answers": [given["answer"] for given in row["answers"]]}
