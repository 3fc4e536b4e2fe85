"""Retention: what pruned variants keep of the dense model's accuracy, with bootstrap confidence limits.

Retention of a benchmark is (accuracy - chance) / (dense accuracy - chance); of a group, the mean over its benchmarks.
Intervals are percentile intervals of a bootstrap over questions, stratified by benchmark and paired: every variant and
the dense model are scored on the same resampled questions (Miller 2024, 2411.00640).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pruning_regimes.errors import DataError
from pruning_regimes.scoring.verdict import UNPARSED
from pruning_regimes.tables import frame
from pruning_regimes.variants import dense_id


@dataclass(frozen=True)
class Scored:
    """The scores of one benchmark by one model as a matrix.

    Attributes:
        group: the benchmark's group.
        scores: [V, Q] float64, one row per variant.
        rows: variant_id -> row.
        chance: expected score of a blind guess, the mean over questions.
        failed: variant_id -> questions with an error instead of an answer, which score 0.
        unparsed: variant_id -> share of questions whose answer could not be read, which score 0 too.
    """

    group: str
    scores: np.ndarray
    rows: Mapping[str, int]
    chance: float
    failed: Mapping[str, int]
    unparsed: Mapping[str, float]


def scored(group: str, table: pl.DataFrame) -> Scored:
    """Arrange a scores table as variants x questions.

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
    chance = table.unique("sample_id")["chance"].mean()
    rows = {variant: row for row, variant in enumerate(wide["variant_id"])}
    by_variant = table.group_by("variant_id")
    failed = dict(by_variant.agg(pl.col("error").count()).rows())
    unparsed = dict(by_variant.agg((pl.col("method") == UNPARSED).mean()).rows())
    return Scored(group, values, rows, float(chance), failed, unparsed)


def resampled_accuracies(scores: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Accuracy of every variant on the same bootstrap resamples of the questions.

    Args:
        scores: [V, Q].

    Returns: [R, V].
    """
    n_questions = scores.shape[1]
    weights = rng.multinomial(n_questions, np.full(n_questions, 1 / n_questions), size=resamples)
    return weights.astype(np.float64) @ scores.T / n_questions


@dataclass(frozen=True)
class Measured:
    """Accuracy and retention of one (criterion, budget) on one benchmark or, as a mean, on a group of them.

    Attributes:
        n_failed: questions with an error instead of an answer, of the replicate that has the most.
        unparsed_rate: share of questions whose answer could not be read, the mean over replicates.
        accuracies, retentions: [R] bootstrap draws; retention and its draws are None where it is undefined; a
            draw alone may be NaN.
    """

    n_questions: int
    n_failed: int
    unparsed_rate: float
    chance: float
    dense_accuracy: float
    accuracy: float
    accuracies: np.ndarray
    retention: float | None
    retentions: np.ndarray | None

    def row(self, confidence: float) -> dict[str, Any]:
        """The measured columns of the retention table, with percentile limits."""
        tails = [(1 - confidence) / 2, (1 + confidence) / 2]
        low, high = np.quantile(self.accuracies, tails)
        retention_limits = (None, None) if self.retentions is None else np.nanquantile(self.retentions, tails)
        return {
            "n_questions": self.n_questions,
            "n_failed": self.n_failed,
            "unparsed_rate": self.unparsed_rate,
            "chance": self.chance,
            "dense_accuracy": self.dense_accuracy,
            "accuracy": self.accuracy,
            "accuracy_low": low,
            "accuracy_high": high,
            "retention": self.retention,
            "retention_low": retention_limits[0],
            "retention_high": retention_limits[1],
        }


def measure(benchmark: Scored, draws: np.ndarray, variants: Sequence[str], dense: str, confidence: float) -> Measured:
    """Accuracy and retention of the mean over variants (a criterion's replicates) on one benchmark.

    Retention is undefined where the lower confidence limit of the dense accuracy is not above chance: it would divide
    by noise.

    Args:
        draws: [R, V] resampled accuracies of the benchmark.
        variants: variant ids, one per replicate.
        dense: variant id of the dense model.

    Raises: DataError if a variant has no scores.
    """
    unscored = [variant for variant in (dense, *variants) if variant not in benchmark.rows]
    if unscored:
        raise DataError(f"Variant {unscored[0]} has no scores; run its predictions.")
    at, dense_at = [benchmark.rows[variant] for variant in variants], benchmark.rows[dense]
    n_questions = benchmark.scores.shape[1]
    accuracy, dense_accuracy = float(benchmark.scores[at].mean()), float(benchmark.scores[dense_at].mean())
    accuracies, dense_accuracies = draws[:, at].mean(1), draws[:, dense_at]
    retention = retentions = None
    if np.quantile(dense_accuracies, (1 - confidence) / 2) > benchmark.chance:
        retention = (accuracy - benchmark.chance) / (dense_accuracy - benchmark.chance)
        # The few resamples in which the dense model is not above chance have none either.
        above = np.where(dense_accuracies > benchmark.chance, dense_accuracies - benchmark.chance, np.nan)
        retentions = (accuracies - benchmark.chance) / above
    n_failed = max(benchmark.failed[variant] for variant in variants)
    unparsed = float(np.mean([benchmark.unparsed[variant] for variant in variants]))
    return Measured(
        n_questions, n_failed, unparsed, benchmark.chance, dense_accuracy, accuracy, accuracies, retention, retentions
    )


def mean(members: Sequence[Measured]) -> Measured:
    """The mean over a group's benchmarks, each weighing the same; retention only if it is defined for all."""
    defined = all(member.retention is not None for member in members)
    return Measured(
        n_questions=sum(member.n_questions for member in members),
        n_failed=sum(member.n_failed for member in members),
        unparsed_rate=float(np.mean([member.unparsed_rate for member in members])),
        chance=float(np.mean([member.chance for member in members])),
        dense_accuracy=float(np.mean([member.dense_accuracy for member in members])),
        accuracy=float(np.mean([member.accuracy for member in members])),
        accuracies=np.mean([member.accuracies for member in members], axis=0),
        retention=float(np.mean([member.retention for member in members])) if defined else None,
        retentions=np.mean([member.retentions for member in members], axis=0) if defined else None,
    )


def retention(
    model: str,
    variants: pl.DataFrame,
    benchmarks: Mapping[str, Scored],
    resamples: int,
    confidence: float,
    seed: int,
) -> pl.DataFrame:
    """The retention table of one model: per criterion and budget, for every benchmark and every group.

    A criterion's replicates are averaged within each resample.

    Args:
        variants: the variants table.
        benchmarks: benchmark -> its scores.
    """
    n_layers = len(variants["kept"][0])
    dense = dense_id(variants)
    # A random stream per benchmark, so that adding one leaves the others' intervals as they are.
    draws = {
        name: resampled_accuracies(
            benchmark.scores, resamples, np.random.default_rng([seed, zlib.crc32(f"{model}/{name}".encode())])
        )
        for name, benchmark in benchmarks.items()
    }
    rows: list[dict[str, Any]] = []
    cells = variants.group_by("criterion", "budget", "n_removed", maintain_order=True).agg("variant_id")
    for criterion, budget, n_removed, ids in cells.iter_rows():
        measured = {
            name: measure(benchmark, draws[name], ids, dense, confidence) for name, benchmark in benchmarks.items()
        }
        for group in dict.fromkeys(benchmark.group for benchmark in benchmarks.values()):
            members = {name: value for name, value in measured.items() if benchmarks[name].group == group}
            for name, value in [*members.items(), (None, mean(list(members.values())))]:
                rows.append(
                    {
                        "model": model,
                        "group": group,
                        "benchmark": name,
                        "criterion": criterion,
                        "budget": budget,
                        "n_removed": n_removed,
                        "n_layers": n_layers,
                        "n_replicates": len(ids),
                        **value.row(confidence),
                    }
                )
    return frame("retention", pl.DataFrame(rows, infer_schema_length=None))
