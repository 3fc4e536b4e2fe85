"""IconQA: options are texts in one column, images in columns, or none."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Any

from pruning_regimes.jobs.errors import DataError

IMAGES = ["The first image.", "The second image."]


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds options and gold: the letter of the right option, or the answer's text.

    Raises: DataError if it cannot be told which option is right.
    """
    kind, answer = row["ques_type"], str(row["answer"]).strip()
    if kind == "fill_in_blank":
        return {**row, "options": None, "gold": answer}
    options = IMAGES if kind == "choose_img" else [text.strip() for text in row["choices"].split(",")]
    if answer in options:
        return {**row, "options": options, "gold": ascii_uppercase[options.index(answer)]}
    place = str(row.get("label") if row.get("label") is not None else "")
    if not place.isdigit() or int(place) >= len(options):
        raise DataError(f"IconQA's question '{row['question_id']}': the answer '{answer}' is none of its options.")
    return {**row, "options": options, "gold": ascii_uppercase[int(place)]}
