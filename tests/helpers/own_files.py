"""What a user without a study would have: questions with images in a folder, scores of answers, similarities."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import polars as pl

from pruning_regimes import tables
from pruning_regimes.demo import datasets
from pruning_regimes.measurement import similarity
from pruning_regimes.models import loading

DOMAINS = {"math": ["counting", "chart"], "general": ["attributes", "reading"]}


def questions(folder: Path, domain: str, n: int) -> Path:
    """A JSONL file of n questions, `DOMAIN.jsonl`, with their images beside it."""
    file = folder / f"{domain}.jsonl"
    with file.open("w") as lines:
        for row in datasets.calibration_table(DOMAINS[domain], n, seed=0).iter_rows(named=True):
            image = folder / f"{row['sample_id']}.png"
            image.write_bytes(row["images"][0])
            asked = {"question": row["question"], "images": [image.name], "answer": row["answer"]}
            lines.write(json.dumps(asked) + "\n")
    return file


def scores(folder: Path, name: str, accuracy: float, n: int = 40) -> Path:
    """A CSV file of n scores, `NAME.csv`."""
    right = np.random.default_rng(len(name) + int(100 * accuracy)).random(n) < accuracy
    file = folder / f"{name}.csv"
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["sample_id", "score"])
        writer.writerows((f"q{i}", int(good)) for i, good in enumerate(right))
    return file


class Drawn:
    """In place of `similarity.measure`: similarities drawn at random, so that no model is run.

    Attributes:
        measured: the id of the first sample of each measurement.
    """

    def __init__(self) -> None:
        self.measured: list[str] = []

    def __call__(self, loaded: loading.Loaded, samples: pl.DataFrame, batch_size: int) -> similarity.Measured:
        self.measured.append(samples["sample_id"][0])
        rng = np.random.default_rng(len(self.measured))
        names = samples["sample_id"].to_list()
        base = {"token_group": "all", "n_tokens": 1, "relative_update": 0.1, "angular_distance": 0.1}
        layers = [{**base, "sample_id": name, "layer": i, "cosine": rng.random()} for name in names for i in range(12)]
        blocks = [
            {"sample_id": name, "start": start, "length": length, "angular_distance": rng.random()}
            for name in names
            for start in range(12)
            for length in range(1, 13 - start)
        ]
        return similarity.Measured(tables.frame("similarity", layers), tables.frame("blocks", blocks))
