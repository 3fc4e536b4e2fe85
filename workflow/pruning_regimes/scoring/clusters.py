"""Questions that share an image are one cluster: their answers are not independent (Miller 2024, 2411.00640)."""

from __future__ import annotations

import hashlib

import polars as pl


def clusters(questions: pl.DataFrame) -> dict[str, str]:
    """The cluster of each question, by the first question of it.

    Two questions are in one cluster if they share an image, or each shares one with a third; a question without images
    is a cluster of its own.

    Args:
        questions: the benchmark table.

    Returns: sample_id -> cluster.
    """
    parent: dict[str, str] = {}
    first: dict[bytes, str] = {}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for sample, images in questions.select("sample_id", "images").iter_rows():
        parent[sample] = sample
        for image in images:
            shared = first.setdefault(hashlib.sha256(image).digest(), sample)
            parent[root(sample)] = root(shared)
    return {sample: root(sample) for sample in parent}


def clustered(scores: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """A scores table with the clusters of its questions."""
    return scores.with_columns(cluster=pl.col("sample_id").replace_strict(clusters(questions), return_dtype=pl.String))
