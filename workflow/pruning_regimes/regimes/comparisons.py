"""Comparisons of criteria at one budget: do rankings differ, does structure win, does a domain's own criterion help it?

All of them are paired: the criteria answer the same questions.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from pruning_regimes.regimes.retention import Cell, Results, averaging
from pruning_regimes.tables import frame


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p-values, in their order."""
    order = np.argsort(p)
    corrected, largest = np.empty(len(p)), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - place) * p[index]))
        corrected[index] = largest
    return corrected.tolist()


def permuted_totals(scores: np.ndarray, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Totals of variants whose labels are permuted within each cluster of questions.

    Each cluster draws from a cyclic group of permutations of its own, conjugated by a random relabelling: subgroups
    make the test as exact as all permutations would, and turn it into a few products of matrices.

    Args:
        scores: [C, V].

    Returns: [P, V].
    """
    n_variants = scores.shape[1]
    # Where all variants score the same, a permutation changes nothing.
    differ = (scores != scores[:, :1]).any(1)
    varied = scores[differ]
    totals = np.broadcast_to(scores[~differ].sum(0), (permutations, n_variants)).copy()
    label = rng.permuted(np.tile(np.arange(n_variants), (len(varied), 1)), axis=1)
    place = np.argsort(label, axis=1)
    shifts = rng.integers(n_variants, size=(permutations, len(varied)), dtype=np.uint16)
    for shift in range(n_variants):
        source = np.take_along_axis(label, (place + shift) % n_variants, 1)
        # Not in float32, which would tell apart permutations of the same total.
        totals += (shifts == shift).astype(np.float64) @ np.take_along_axis(varied, source, 1)
    return totals


def sensitivity(
    of: Results, kept: pl.DataFrame, families: Mapping[str, str], permutations: int, seed: int
) -> pl.DataFrame:
    """The sensitivity table of one model: the variance of retention between ranking criteria, beyond sampling noise.

    The statistic is the variance over ranking criteria of a group's retention. Under the hypothesis that it does not
    matter which layers go, the answers of the variants are exchangeable within a cluster of questions; permuting them
    gives its distribution, the mean of which is the noise. Replicates are averaged, so that they are one criterion.

    Args:
        kept: the model's retention table.
        families: criterion -> ranking, structure or control.

    Returns: no rows for a group whose retention is undefined, nor for a budget with fewer than two ranking criteria.
    """
    rows = []
    for group, found in of.of_groups.items():
        if found.shares is None:
            continue
        tests = []
        for budget, cells in of.budgets.items():
            ranking = [cell for cell in cells if families[cell.criterion] == "ranking"]
            if len(ranking) < 2:
                continue
            variants, weights = averaging(ranking)
            scores = found.shares[:, variants]
            rng = np.random.default_rng([seed, zlib.crc32(f"{of.model}/{group}/{budget}".encode())])
            retention = weights @ scores.sum(0)
            variance = retention.var(ddof=1)
            permuted = (permuted_totals(scores, permutations, rng) @ weights.T).var(axis=1, ddof=1)
            # Rounding must not tell a permutation that changes nothing from none.
            beyond = np.count_nonzero(permuted >= variance - 1e-9)
            collapsed = kept.filter(
                pl.col("group") == group, pl.col("benchmark").is_null(), pl.col("budget") == budget, "collapsed"
            )
            tests.append(
                {
                    **_place(of, group, cells[0]),
                    "n_criteria": len(ranking),
                    "n_variants": len(variants),
                    "spread": float(np.ptp(retention)),
                    "sd": float(np.sqrt(max(0.0, variance - permuted.mean()))),
                    "noise": float(np.sqrt(permuted.mean())),
                    "p": (1 + beyond) / (1 + permutations),
                    "n_collapsed": len(collapsed),
                }
            )
        corrected = holm([test["p"] for test in tests])
        rows += [
            {**test, "p_holm": p, "sensitive": p <= 1 - of.confidence} for test, p in zip(tests, corrected, strict=True)
        ]
    return frame("sensitivity", rows)


def advantage(of: Results, families: Mapping[str, str]) -> pl.DataFrame:
    """The advantage table of one model: mean retention of structure criteria minus that of ranking criteria.

    Returns: no rows for a group whose retention is undefined, nor for a budget that lacks either.
    """
    rows = []
    for group, found in of.of_groups.items():
        if found.retention is None:
            continue
        for cells in of.budgets.values():
            split = {
                family: [cell for cell in cells if families[cell.criterion] == family]
                for family in ("structure", "ranking")
            }
            if not all(split.values()):
                continue
            values = np.vstack([found.retention, found.retentions])
            structure, ranking = (
                np.mean([values[:, list(cell.at)].mean(1) for cell in members], axis=0) for members in split.values()
            )
            difference = structure - ranking
            low, high = of.limits(difference[1:])
            rows.append(
                {
                    **_place(of, group, cells[0]),
                    "n_structure": len(split["structure"]),
                    "n_ranking": len(split["ranking"]),
                    "advantage": difference[0],
                    "advantage_low": low,
                    "advantage_high": high,
                }
            )
    return frame("advantage", rows)


def domain_effect(of: Results, own: Mapping[str, tuple[str, str]]) -> pl.DataFrame:
    """The domain effect table of one model: does a domain's criterion keep its group better than the other's does?

    Args:
        own: criterion -> the one domain that it looks at, and what else it is made of. Two criteria are compared if
            they look at different domains, both of which are groups of benchmarks, and are made alike.

    Returns: per pair a row for each budget and one for their mean; none if the retention of either group is undefined.
    """
    return frame("domain_effect", list(_effects(of, own)))


def _effects(of: Results, own: Mapping[str, tuple[str, str]]) -> Iterator[dict[str, Any]]:
    defined = {name: found for name, found in of.of_groups.items() if found.retention is not None}
    for a, b in combinations(own, 2):
        (group_a, made_a), (group_b, made_b) = own[a], own[b]
        if made_a != made_b or group_a == group_b or not {group_a, group_b} <= defined.keys():
            continue
        pair = {"model": of.model, "n_layers": of.n_layers, "criterion_a": a, "criterion_b": b}
        pair |= {"group_a": group_a, "group_b": group_b}
        effects, same = [], []
        for budget, cells in of.budgets.items():
            at = {cell.criterion: list(cell.at) for cell in cells}
            difference = {
                group: values[:, at[a]].mean(1) - values[:, at[b]].mean(1)
                for group in (group_a, group_b)
                for values in [np.vstack([defined[group].retention, defined[group].retentions])]
            }
            effects.append(np.array([difference[group_a], -difference[group_b]]))  # [2, 1 + R]
            same.append(at[a] == at[b])
            place = {"budget": budget, "n_removed": cells[0].n_removed, "same_layers": same[-1]}
            yield {**pair, **place, **_effect(of, effects[-1])}
        whole = {"budget": None, "n_removed": None, "same_layers": all(same)}
        yield {**pair, **whole, **_effect(of, np.mean(effects, axis=0))}


def _effect(of: Results, effects: np.ndarray) -> dict[str, float]:
    found = {}
    for name, values in (("effect_a", effects[0]), ("effect_b", effects[1]), ("effect", effects.sum(0))):
        found[name] = float(values[0])
        found[f"{name}_low"], found[f"{name}_high"] = of.limits(values[1:])
    return found


def _place(of: Results, group: str, cell: Cell) -> dict[str, Any]:
    place = {"model": of.model, "group": group, "budget": cell.budget}
    return {**place, "n_removed": cell.n_removed, "n_layers": of.n_layers}
