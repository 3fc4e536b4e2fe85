"""The scores of one benchmark by one model, ready to be resampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pruning_regimes.jobs.errors import DataError
from pruning_regimes.tables.contracts import UNPARSED


@dataclass(frozen=True)
class Scored:
    """The scores of one benchmark by one model as a matrix.

    Questions that share an image are one cluster, which is resampled as a whole (Miller 2024, 2411.00640).

    Attributes:
        group: the benchmark's group.
        sums: [V, C] float64, sum of the scores of each cluster's questions, one row per variant.
        sizes: [C] float64, questions of each cluster.
        rows: variant_id -> row.
        chance: expected score of a blind guess, the mean over questions.
        failed: variant_id -> questions with an error instead of an answer, which score 0.
        unparsed: variant_id -> share of questions whose answer could not be read, which score 0 too.
    """

    group: str
    sums: np.ndarray
    sizes: np.ndarray
    rows: Mapping[str, int]
    chance: float
    failed: Mapping[str, int]
    unparsed: Mapping[str, float]

    @property
    def n_questions(self) -> int:
        """Questions of the benchmark."""
        return int(self.sizes.sum())

    def at(self, variants: Sequence[str]) -> list[int]:
        """Rows of some variants.

        Raises: DataError if one has no scores.
        """
        unscored = [variant for variant in variants if variant not in self.rows]
        if unscored:
            raise DataError(f"Variant {unscored[0]} has no scores; run its predictions.")
        return [self.rows[variant] for variant in variants]


def scored(group: str, table: pl.DataFrame) -> Scored:
    """Arrange a scores table as variants x clusters of questions.

    Raises: DataError if a variant lacks a question that another one answered (the comparison would not be paired), or
        has two scores for one.
    """
    twice = table.filter(pl.struct("variant_id", "sample_id").is_duplicated())
    if len(twice):
        raise DataError(f"Scores of variant {twice['variant_id'][0]} hold question '{twice['sample_id'][0]}' twice.")
    wide = table.pivot("sample_id", index="variant_id", values="score", sort_columns=True)
    values = wide.drop("variant_id").to_numpy().astype(float)
    if np.isnan(values).any():
        variant = wide["variant_id"][int(np.isnan(values).any(1).argmax())]
        raise DataError(
            f"Scores of variant {variant} lack questions that other variants answered; run its predictions."
        )
    questions = table.unique("sample_id").sort("sample_id")
    sums, sizes = clustered_sums(values, questions["cluster"])
    by_variant = table.group_by("variant_id")
    return Scored(
        group,
        sums,
        sizes,
        {variant: row for row, variant in enumerate(wide["variant_id"])},
        float(questions["chance"].mean()),
        dict(by_variant.agg(pl.col("error").count()).rows()),
        dict(by_variant.agg((pl.col("method") == UNPARSED).mean()).rows()),
    )


def clustered_sums(values: np.ndarray, clusters: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Sums of scores over the questions of each cluster, and their number.

    Args:
        values: [V, N].
        clusters: the cluster of each question, [N].

    Returns: [V, C] and [C] float64, in the order of the clusters' names.
    """
    _, cluster = np.unique(clusters.to_numpy(), return_inverse=True)
    sums = np.zeros((len(values), cluster.max() + 1))
    np.add.at(sums, (slice(None), cluster), values)
    return sums, np.bincount(cluster).astype(float)


def percentile_limits(draws: np.ndarray, confidence: float) -> tuple[Any, Any]:
    """Percentile limits of bootstrap draws [R] or [R, K], of which a few may be NaN; two floats, or two [K]."""
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    if np.isnan(draws).any():
        return tuple(np.nanquantile(draws, tails, axis=0))
    return tuple(np.quantile(draws, tails, axis=0))


def resampled_accuracies(sums: np.ndarray, sizes: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Accuracy of every variant on the same bootstrap resamples of the clusters.

    Args:
        sums, sizes: as of `Scored`.

    Returns: [R, V].
    """
    n = len(sizes)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    return weights @ sums.T / (weights @ sizes)[:, None]
