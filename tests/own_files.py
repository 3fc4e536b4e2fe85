"""Files that a user without a study would have: questions with images in a folder, and scores of answers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from pruning_regimes.demo import datasets

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
