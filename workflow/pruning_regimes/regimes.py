"""Retention: what pruned variants keep of the dense model's accuracy, with bootstrap confidence limits.

Retention of a benchmark is (accuracy - chance) / (dense accuracy - chance); of a group, the mean over its benchmarks.
Intervals are percentile intervals of a bootstrap over questions, stratified by benchmark and paired: every variant and
the dense model are scored on the same resampled questions (Miller 2024, 2411.00640).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pruning_regimes.errors import DataError
from pruning_regimes.tables import DENSE, frame


@dataclass(frozen=True)
class Scored:
    """The scores of one benchmark by one model as a matrix.

    Attributes:
        group: the benchmark's group.
        scores: [V, Q] float64, one row per variant.
        rows: variant_id -> row.
        chance: expected score of a blind guess, the mean over questions.
    """

    group: str
    scores: np.ndarray
    rows: Mapping[str, int]
    chance: float


def scored(group: str, table: pl.DataFrame) -> Scored:
    """Arrange a scores table as variants x questions.

    Raises: DataError if a variant lacks a question that another one answered: the comparison would not be paired.
    """
    wide = table.pivot("sample_id", index="variant_id", values="score", sort_columns=True)
    values = wide.drop("variant_id").to_numpy().astype(float)
    if np.isnan(values).any():
        variant = wide["variant_id"][int(np.isnan(values).any(1).argmax())]
        raise DataError(
            f"Scores of variant {variant} lack questions that other variants answered; run its predictions."
        )
    chance = table.unique("sample_id")["chance"].mean()
    return Scored(group, values, {v: i for i, v in enumerate(wide["variant_id"])}, float(chance))


def resampled_accuracies(scores: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Accuracy of every variant on the same bootstrap resamples of the questions.

    Args:
        scores: [V, Q].

    Returns: [R, V].
    """
    n_questions = scores.shape[1]
    weights = rng.multinomial(n_questions, np.full(n_questions, 1 / n_questions), size=resamples)
    return weights.astype(np.float64) @ scores.T / n_questions


def retention(
    model: str,
    variants: pl.DataFrame,
    benchmarks: Mapping[str, Scored],
    resamples: int,
    confidence: float,
    seed: int,
) -> pl.DataFrame:
    """The retention table of one model: per criterion and budget, for every benchmark and every group.

    A criterion's replicates are averaged within each resample. Where the lower confidence limit of the dense
    accuracy is not above chance, retention is undefined and left empty, for the benchmark and for its group.

    Args:
        variants: the variants table.
        benchmarks: benchmark -> its scores.
    """
    tail = (1 - confidence) / 2
    cells = variants.group_by("criterion", "budget", "n_removed", maintain_order=True).agg("variant_id")
    n_layers = len(variants["kept"][0])
    dense_id = variants.filter(pl.col("criterion") == DENSE)["variant_id"][0]
    drawn: dict[str, np.ndarray] = {}
    for name, benchmark in benchmarks.items():
        # A stream per benchmark, so that adding one leaves the others' intervals as they are.
        rng = np.random.default_rng([seed, zlib.crc32(f"{model}/{name}".encode())])
        drawn[name] = resampled_accuracies(benchmark.scores, resamples, rng)

    def limits(values: np.ndarray) -> tuple[float, float]:
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high)

    rows: list[dict[str, Any]] = []
    for cell in cells.iter_rows(named=True):
        groups: dict[str, list[tuple[dict[str, Any], np.ndarray, np.ndarray | None]]] = {}
        for name, benchmark in benchmarks.items():
            at = [benchmark.rows[variant] for variant in cell["variant_id"]]
            dense_at = benchmark.rows[dense_id]
            accuracy = float(benchmark.scores[at].mean())
            dense = float(benchmark.scores[dense_at].mean())
            accuracies = drawn[name][:, at].mean(1)
            dense_accuracies = drawn[name][:, dense_at]
            defined = limits(dense_accuracies)[0] > benchmark.chance
            retentions = None
            if defined:
                # A resampled dense accuracy at chance would divide by nothing; it is as rare as the interval allows.
                above = np.maximum(dense_accuracies - benchmark.chance, 1 / benchmark.scores.shape[1])
                retentions = (accuracies - benchmark.chance) / above
            row = {
                "benchmark": name,
                "n_questions": benchmark.scores.shape[1],
                "chance": benchmark.chance,
                "dense_accuracy": dense,
                "accuracy": accuracy,
                "retention": (accuracy - benchmark.chance) / (dense - benchmark.chance) if defined else None,
            }
            groups.setdefault(benchmark.group, []).append((row, accuracies, retentions))
        for group, members in groups.items():
            defined = all(retentions is not None for _, _, retentions in members)
            means = {
                key: float(np.mean([row[key] for row, _, _ in members]))
                for key in ("chance", "dense_accuracy", "accuracy", *(["retention"] if defined else []))
            }
            whole = {"benchmark": None, "n_questions": sum(row["n_questions"] for row, _, _ in members), **means}
            group_accuracies = np.mean([accuracies for _, accuracies, _ in members], axis=0)
            group_retentions = np.mean([r for _, _, r in members], axis=0) if defined else None
            for row, accuracies, retentions in [*members, (whole, group_accuracies, group_retentions)]:
                low, high = limits(accuracies)
                r_low, r_high = (None, None) if retentions is None else limits(retentions)
                rows.append(
                    {
                        "model": model,
                        "group": group,
                        "criterion": cell["criterion"],
                        "budget": cell["budget"],
                        "n_removed": cell["n_removed"],
                        "n_layers": n_layers,
                        "n_replicates": len(cell["variant_id"]),
                        "retention": None,
                        **row,
                        "accuracy_low": low,
                        "accuracy_high": high,
                        "retention_low": r_low,
                        "retention_high": r_high,
                    }
                )
    return frame("retention", pl.DataFrame(rows, infer_schema_length=None))
