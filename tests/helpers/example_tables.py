"""Tables of example answers, as small as a figure needs them."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
from PIL import Image

from pruning_regimes import tables

PIXELS = (4, 3)


def picture(width: int = PIXELS[0], height: int = PIXELS[1]) -> bytes:
    """A grey PNG file."""
    with io.BytesIO() as file:
        Image.new("RGB", (width, height), "#808080").save(file, "PNG")
        return file.getvalue()


def example(**others: Any) -> dict[str, Any]:
    """A row of the examples table: right with all layers and one less, wrong with three less."""
    return {
        "benchmark": "count_them",
        "sample_id": "a",
        "first_wrong": 3,
        "n_right": 20,
        "n_alike": 5,
        "question": "How many squares?",
        "images": [picture()],
        "reference": "4",
        "n_removed": [0, 1, 3],
        "answers": ["4", "four", "3"],
        "read": ["4", "4", "3"],
        "scores": [1.0, 0.6, 0.0],
        **others,
    }


def examples(*rows: dict[str, Any]) -> pl.DataFrame:
    return tables.frame("examples", list(rows) or [example(), example(question="And circles?", first_wrong=None)])
