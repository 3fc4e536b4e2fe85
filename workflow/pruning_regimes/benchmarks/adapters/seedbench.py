"""SEED-Bench: the dimensions that its question types measure."""

from __future__ import annotations

from typing import Any

DIMENSIONS = (
    "Scene Understanding",
    "Instance Identity",
    "Instance Attributes",
    "Instance Location",
    "Instances Counting",
    "Spatial Relation",
    "Instance Interaction",
    "Visual Reasoning",
    "Text Understanding",
    "Action Recognition",
    "Action Prediction",
    "Procedure Understanding",
)


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds dimension; question types count from one, those after the ninth are of videos."""
    return {**row, "dimension": DIMENSIONS[int(row["question_type_id"]) - 1]}
