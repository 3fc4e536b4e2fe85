"""MMBench: the index tells which rows are one question with its options rotated."""

from __future__ import annotations

from typing import Any

ROLL = 1_000_000


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds base, the index of the question as first asked, and roll, the number of the rotation (0: as first asked)."""
    roll, base = divmod(int(row["index"]), ROLL)
    return {**row, "base": str(base), "roll": roll}
