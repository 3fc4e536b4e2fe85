"""Geometry3K: with options, the answer is a letter in a column of its own."""

from __future__ import annotations

from typing import Any


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds gold: the letter if the data set has options, else the value."""
    return {**row, "gold": row.get("ground_truth") if row.get("choices") else row["answer"]}
