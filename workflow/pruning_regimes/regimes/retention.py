"""Retention: what pruned variants keep of the dense model's accuracy, with bootstrap confidence limits.

Retention of a benchmark is (accuracy - chance) / (dense accuracy - chance); of a group, the mean over its benchmarks.
Intervals are percentile intervals of a bootstrap over questions, stratified by benchmark and paired: every variant and
the dense model are scored on the same resampled questions (Miller 2024, 2411.00640).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from pruning_regimes.regimes.scored import Scored, percentile_limits, resampled_accuracies
from pruning_regimes.tables import frame
from pruning_regimes.tables.contracts import DENSE


@dataclass(frozen=True)
class Retained:
    """Accuracy and retention of every variant of a model, on one benchmark or as a mean over the benchmarks of a group.

    Attributes:
        n_questions, chance, dense_accuracy: of the benchmark; sum and means of a group.
        failed: [V], questions with an error instead of an answer.
        unparsed: [V], share of questions whose answer could not be read.
        accuracy: [V]; accuracies: [R, V] bootstrap draws.
        retention: [V], and its draws retentions [R, V], of which a few may be NaN; None where retention is undefined.
        influence: [C, V], what each cluster of questions adds to the retention's deviation from its expectation (the
            delta method), so that its sums of squares are variances; None where retention is undefined.
        shares: [C, V], what each cluster adds to the retention itself, but for what chance adds; None likewise.
    """

    n_questions: int
    chance: float
    dense_accuracy: float
    failed: np.ndarray
    unparsed: np.ndarray
    accuracy: np.ndarray
    accuracies: np.ndarray
    retention: np.ndarray | None = None
    retentions: np.ndarray | None = None
    influence: np.ndarray | None = None
    shares: np.ndarray | None = None


def retained(benchmark: Scored, variants: Sequence[str], resamples: int, confidence: float, seed: Any) -> Retained:
    """Accuracy and retention on one benchmark.

    Retention is undefined where the lower confidence limit of the dense accuracy is not above chance: it would divide
    by noise.

    Args:
        variants: variant ids, the dense model's first; their order is that of all axes V.

    Raises: DataError if a variant has no scores.
    """
    sums = benchmark.sums[benchmark.at(variants)]
    draws = resampled_accuracies(sums, benchmark.sizes, resamples, np.random.default_rng(seed))
    accuracy = sums.sum(1) / benchmark.n_questions
    found = {
        "n_questions": benchmark.n_questions,
        "chance": benchmark.chance,
        "dense_accuracy": float(accuracy[0]),
        "failed": np.array([benchmark.failed[variant] for variant in variants]),
        "unparsed": np.array([benchmark.unparsed[variant] for variant in variants]),
        "accuracy": accuracy,
        "accuracies": draws,
    }
    if np.quantile(draws[:, 0], (1 - confidence) / 2) <= benchmark.chance:
        return Retained(**found)
    above = accuracy[0] - benchmark.chance
    retention = (accuracy - benchmark.chance) / above
    # The few resamples in which the dense model is not above chance have none.
    dense = np.where(draws[:, 0] > benchmark.chance, draws[:, 0] - benchmark.chance, np.nan)
    deviations = sums - accuracy[:, None] * benchmark.sizes  # [V, C]
    scale = benchmark.n_questions * above
    return Retained(
        **found,
        retention=retention,
        retentions=(draws - benchmark.chance) / dense[:, None],
        influence=(deviations - retention[:, None] * deviations[0]).T / scale,
        shares=sums.T / scale,
    )


def mean(members: Sequence[Retained]) -> Retained:
    """The mean over a group's benchmarks, each weighing the same; retention only if it is defined for all."""
    found: dict[str, Any] = {
        "n_questions": sum(member.n_questions for member in members),
        "failed": sum(member.failed for member in members),
    }
    for name in ("chance", "dense_accuracy", "unparsed", "accuracy", "accuracies"):
        found[name] = np.mean([getattr(member, name) for member in members], axis=0)
    if all(member.retention is not None for member in members):
        for name in ("retention", "retentions"):
            found[name] = np.mean([getattr(member, name) for member in members], axis=0)
        for name in ("influence", "shares"):
            found[name] = np.concatenate([getattr(member, name) for member in members]) / len(members)
    return Retained(**found)


@dataclass(frozen=True)
class Cell:
    """A criterion at a budget.

    Attributes:
        at: places of its variants on the axes V, one per replicate.
    """

    criterion: str
    budget: str
    n_removed: int
    at: tuple[int, ...]


@dataclass(frozen=True)
class Results:
    """What a model's variants retain.

    Attributes:
        model: its config key.
        n_layers: decoder layers of the whole model.
        removed: the layers that each variant lacks, along the axes V.
        cells: of all criteria and budgets, by number of layers removed, the dense model's first.
        groups: benchmark -> its group.
        benchmarks: benchmark -> what is retained on it.
        confidence: level of all intervals.
    """

    model: str
    n_layers: int
    removed: Sequence[frozenset[int]]
    cells: Sequence[Cell]
    groups: Mapping[str, str]
    benchmarks: Mapping[str, Retained]
    confidence: float

    @cached_property
    def of_groups(self) -> dict[str, Retained]:
        """group -> mean over its benchmarks."""
        names = dict.fromkeys(self.groups.values())
        return {
            group: mean([self.benchmarks[name] for name, other in self.groups.items() if other == group])
            for group in names
        }

    @cached_property
    def budgets(self) -> dict[str, list[Cell]]:
        """budget -> its cells, the fewest layers first; without the dense model."""
        found: dict[str, list[Cell]] = {}
        for cell in self.cells:
            if cell.criterion != DENSE:
                found.setdefault(cell.budget, []).append(cell)
        return found

    def limits(self, draws: np.ndarray) -> tuple[Any, Any]:
        """Percentile limits of bootstrap draws [R] or [R, K], of which a few may be NaN; two floats, or two [K]."""
        return percentile_limits(draws, self.confidence)


def averaging(cells: Sequence[Cell]) -> tuple[np.ndarray, np.ndarray]:
    """How the retention of criteria is made of that of their variants.

    Returns: the distinct variants [V], and weights [K, V]: a criterion's replicates count alike, and together as one.
    """
    variants = np.unique([place for cell in cells for place in cell.at])
    weights = np.zeros((len(cells), len(variants)))
    for row, cell in zip(weights, cells, strict=True):
        np.add.at(row, np.searchsorted(variants, cell.at), 1 / len(cell.at))
    return variants, weights


def results(
    model: str,
    variants: pl.DataFrame,
    benchmarks: Mapping[str, Scored],
    resamples: int,
    confidence: float,
    seed: int,
) -> Results:
    """Resample the scores of one model.

    Args:
        variants: the variants table.
        benchmarks: benchmark -> its scores.

    Raises: DataError if a variant has no scores.
    """
    distinct = variants.unique("variant_id", keep="first", maintain_order=True)
    ids, removed = distinct["variant_id"].to_list(), [frozenset(layers) for layers in distinct["removed"]]
    places = {variant: place for place, variant in enumerate(ids)}
    by_cell = variants.group_by("criterion", "budget", "n_removed", maintain_order=True).agg("variant_id")
    cells = [
        Cell(criterion, budget, n_removed, tuple(places[variant] for variant in found))
        for criterion, budget, n_removed, found in by_cell.iter_rows()
    ]
    # A random stream per benchmark, so that adding one leaves the others' intervals as they are.
    kept = {
        name: retained(benchmark, ids, resamples, confidence, [seed, zlib.crc32(f"{model}/{name}".encode())])
        for name, benchmark in benchmarks.items()
    }
    groups = {name: benchmark.group for name, benchmark in benchmarks.items()}
    ordered = sorted(cells, key=lambda cell: cell.n_removed)
    return Results(model, len(variants["kept"][0]), removed, ordered, groups, kept, confidence)


def retention(of: Results) -> pl.DataFrame:
    """The retention table of one model: per criterion and budget, for every benchmark and every group.

    A criterion's replicates are averaged within each resample.
    """
    order = list(dict.fromkeys(cell.criterion for cell in of.cells))
    cells = sorted(of.cells, key=lambda cell: order.index(cell.criterion))
    parts = []
    for group, whole in of.of_groups.items():
        members = {name: found for name, found in of.benchmarks.items() if of.groups[name] == group}
        for name, found in [*members.items(), (None, whole)]:
            columns = {"model": of.model, "group": group, "benchmark": name}
            for field in ("criterion", "budget", "n_removed"):
                columns[field] = [getattr(cell, field) for cell in cells]
            columns |= {"n_layers": of.n_layers, "n_replicates": [len(cell.at) for cell in cells]}
            parts.append(frame("retention", pl.DataFrame({**columns, **_measured(of, found, cells)})))
    # As the criteria come, whatever the benchmark.
    whole = pl.concat(part.with_row_index("cell") for part in parts)
    return whole.sort("cell", maintain_order=True).drop("cell")


def _measured(of: Results, found: Retained, cells: Sequence[Cell]) -> dict[str, Any]:
    """The measured columns of the retention table."""
    variants, weights = averaging(cells)
    replicates = np.zeros((len(found.accuracy), len(cells)))
    replicates[variants] = weights.T
    low, high = of.limits(found.accuracies @ replicates)
    columns = {
        "n_questions": found.n_questions,
        "n_failed": [int(found.failed[list(cell.at)].max()) for cell in cells],
        "unparsed_rate": found.unparsed @ replicates,
        "chance": found.chance,
        "dense_accuracy": found.dense_accuracy,
        "accuracy": found.accuracy @ replicates,
        "accuracy_low": low,
        "accuracy_high": high,
    }
    if found.retention is None:
        return columns | dict.fromkeys(("retention", "retention_low", "retention_high", "collapsed"))
    low, high = of.limits(found.retentions @ replicates)
    kept = {"retention": found.retention @ replicates, "retention_low": low, "retention_high": high}
    return {**columns, **kept, "collapsed": low <= 0}
