"""Variants: the distinct layer sets that the criteria and budgets of one model ask for, and how they overlap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from math import comb
from statistics import fmean

import polars as pl

from pruning_regimes.models.identity import variant_id
from pruning_regimes.tables import frame
from pruning_regimes.tables.contracts import DENSE, DENSE_BUDGET


def collect(model: str, revision: str, layer_lists: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The variants table of a model: the dense model, then every criterion, replicate and budget.

    Args:
        model, revision: the model's identity.
        layer_lists: criterion -> layers table.
    """
    n_layers = next(iter(layer_lists.values()))["layer"].max() + 1

    def row(criterion: str, replicate: int, budget: str, removed: list[int]) -> dict:
        kept = [layer for layer in range(n_layers) if layer not in removed]
        return {
            "criterion": criterion,
            "replicate": replicate,
            "budget": budget,
            "n_removed": len(removed),
            "removed": sorted(removed),
            "kept": kept,
            "variant_id": variant_id(model, revision, kept),
        }

    rows = [row(DENSE, 0, DENSE_BUDGET, [])]
    for criterion, layers in layer_lists.items():
        for (replicate, budget), part in layers.group_by("replicate", "budget", maintain_order=True):
            rows.append(row(criterion, replicate, budget, part.filter("removed")["layer"].to_list()))
    return frame("variants", rows)


def dense_id(variants: pl.DataFrame) -> str:
    """The id of the dense model in a variants table."""
    return variants.filter(pl.col("criterion") == DENSE)["variant_id"][0]


def overlap(variants: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Jaccard overlap of the layer sets of each pair of criteria at each budget, per model.

    Where a criterion has replicates, the mean over pairs of different replicates. `expected_jaccard` is the mean
    overlap of two random layer sets of that size.

    Args:
        variants: model -> variants table.
    """
    rows = []
    for model, table in variants.items():
        n_layers = len(table["kept"][0])
        pruned = table.filter(pl.col("criterion") != DENSE)
        for (budget, count), part in pruned.group_by("budget", "n_removed", maintain_order=True):
            sets: dict[str, list[frozenset[int]]] = {}
            for name, removed in zip(part["criterion"], part["removed"], strict=True):
                sets.setdefault(name, []).append(frozenset(removed))
            for a, b in product(sets, sets):
                pairs = [
                    (x, y)
                    for (i, x), (j, y) in product(enumerate(sets[a]), enumerate(sets[b]))
                    if a != b or i != j or len(sets[a]) == 1
                ]
                rows.append(
                    {
                        "model": model,
                        "budget": budget,
                        "n_removed": count,
                        "criterion_a": a,
                        "criterion_b": b,
                        "jaccard": fmean(jaccard(x, y) for x, y in pairs),
                        "expected_jaccard": expected_jaccard(n_layers, count),
                    }
                )
    return frame("overlap", rows)


def jaccard(a: Iterable[int], b: Iterable[int]) -> float:
    """Shared layers of two layer sets, as a share of all in either."""
    a, b = set(a), set(b)
    return len(a & b) / len(a | b)


def expected_jaccard(n_layers: int, count: int) -> float:
    """Mean Jaccard overlap of two independent uniform sets of `count` out of `n_layers` (hypergeometric)."""
    ways = comb(n_layers, count)
    return sum(
        comb(count, shared) * comb(n_layers - count, count - shared) / ways * shared / (2 * count - shared)
        for shared in range(max(0, 2 * count - n_layers), count + 1)
    )
