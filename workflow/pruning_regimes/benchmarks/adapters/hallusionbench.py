"""HallusionBench: a question is known by five fields together."""

from __future__ import annotations

from typing import Any

ANSWERS = {"0": "no", "1": "yes"}
KEYS = ("category", "subcategory", "set_id", "figure_id", "question_id")


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds sample_id, set (whose figures and questions are counted together) and answer, yes or no."""
    keys = [str(row[key]) for key in KEYS]
    return {**row, "sample_id": "_".join(keys), "set": "_".join(keys[:3]), "answer": ANSWERS[str(row["gt_answer"])]}
