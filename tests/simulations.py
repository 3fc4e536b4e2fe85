"""Studies whose truth is known, to see that the statistics find it.

`python -m tests.simulations` writes the table of the docs.

A variant answers a question right if a normal score falls below what its true accuracy asks for; part of the score is
the question's own (its difficulty, shared by all variants, and by all questions of its cluster), so that answers are
correlated as those of pruned models are.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist, fmean

import numpy as np
import polars as pl

from pruning_regimes import regimes, tables
from pruning_regimes.regimes.segments import overlaps
from pruning_regimes.tables.contracts import DENSE, DENSE_BUDGET
from tests.helpers import ROOT

DOCS = ROOT / "workflow" / "docs" / "simulations.md"
RANKING = {"a": 1, "b": 1, "c": 1, "d": 1, "random": 3}  # criterion -> replicates
STRUCTURAL = {"e": 1, "f": 1, "g": 1}
FAMILIES = dict.fromkeys(RANKING, "ranking") | dict.fromkeys(STRUCTURAL, "structure")
N_LAYERS = 28
BUDGETS = (1, 2, 3, 5, 6, 7, 9, 10, 12)
LEVELS = (0.97, 0.94, 0.9, 0.85, 0.8, 0.72, 0.62, 0.5, 0.4)
CUTS = (3, 6)
MARGIN = 0.05
_inverse = np.vectorize(NormalDist().inv_cdf)


@dataclass(frozen=True)
class Plan:
    """What is true of a simulated study.

    Attributes:
        sds: per budget, standard deviation of retention between layer sets.
        advantages: per budget, what structure criteria retain more.
        n_questions: of each of three benchmarks.
        cluster: questions that share an image.
        dense, chance: accuracy of the dense model and of a blind guess.
        correlation: of the answers of two variants to one question, on the normal scale.
    """

    sds: tuple[float, ...] = (0.0,) * len(BUDGETS)
    advantages: tuple[float, ...] = (0.0,) * len(BUDGETS)
    n_questions: int = 500
    cluster: int = 1
    dense: float = 0.8
    chance: float = 0.25
    correlation: float = 0.6
    benchmarks: tuple[str, ...] = field(default=("x", "y", "z"))


NULL = Plan()
SMALL = Plan(n_questions=40)
CLUSTERED = Plan(cluster=4)
THREE = Plan(
    sds=(0.15,) * CUTS[0] + (0.0,) * (CUTS[1] - CUTS[0]) + (0.04,) * (len(BUDGETS) - CUTS[1]),
    advantages=(0.0,) * CUTS[1] + (0.2,) * (len(BUDGETS) - CUTS[1]),
)
SENSITIVE = Plan(sds=(0.15,) * len(BUDGETS))
STRUCTURED = Plan(sds=(0.04,) * len(BUDGETS), advantages=(0.2,) * len(BUDGETS))
TWO = Plan(sds=(0.15,) * 4 + (0.0,) * 5)


def study(plan: Plan, seed: int, resamples: int = 200) -> tuple[regimes.Results, Mapping[tuple[str, str], float]]:
    """Simulate a study.

    Returns: what is retained, and the true retention of each (criterion, budget).
    """
    rng = np.random.default_rng(seed)
    cells = [(DENSE, 0, DENSE_BUDGET, 0)]
    orders = {(c, r): rng.permutation(N_LAYERS) for c, n in {**RANKING, **STRUCTURAL}.items() for r in range(n)}
    sets, means, sds = [frozenset[int]()], [1.0], [0.0]
    for budget, level, sd, advantage in zip(BUDGETS, LEVELS, plan.sds, plan.advantages, strict=True):
        for (criterion, replicate), order in orders.items():
            # Sets of ranking criteria are nested, those of others are chosen anew.
            chosen = order if criterion in RANKING else rng.permutation(N_LAYERS)
            cells.append((criterion, replicate, str(budget), budget))
            sets.append(frozenset(chosen[:budget].tolist()))
            means.append(level + advantage * (criterion in STRUCTURAL))
            sds.append(sd)
    ids = [f"v{place}" for place in range(len(cells))]
    factor = np.linalg.cholesky(overlaps(sets) + 1e-9 * np.eye(len(sets)))
    retained = np.array(means) + np.array(sds) * (factor @ rng.standard_normal(len(sets)))
    retained = np.clip(retained, -0.3, (1 - plan.chance) / (plan.dense - plan.chance) - 0.01)
    by_cell: dict[tuple[str, str], list[float]] = {}
    for (criterion, _, budget, _), own in zip(cells, retained, strict=True):
        by_cell.setdefault((criterion, budget), []).append(float(own))
    truth = {cell: fmean(own) for cell, own in by_cell.items()}
    rows = [
        {"criterion": c, "replicate": r, "budget": b, "n_removed": n, "removed": sorted(gone),
         "kept": [layer for layer in range(N_LAYERS) if layer not in gone], "variant_id": i}
        for (c, r, b, n), gone, i in zip(cells, sets, ids, strict=True)
    ]  # fmt: skip
    thresholds = _inverse(plan.chance + retained * (plan.dense - plan.chance))
    n_clusters = plan.n_questions // plan.cluster
    benchmarks = {}
    for name in plan.benchmarks:
        shared = np.repeat(rng.standard_normal(n_clusters), plan.cluster)
        alone = rng.standard_normal((len(ids), n_clusters * plan.cluster))
        right = np.sqrt(plan.correlation) * shared + np.sqrt(1 - plan.correlation) * alone < thresholds[:, None]
        benchmarks[name] = regimes.Scored(
            "math",
            right.reshape(len(ids), n_clusters, plan.cluster).sum(2).astype(float),
            np.full(n_clusters, float(plan.cluster)),
            {variant: place for place, variant in enumerate(ids)},
            plan.chance,
            dict.fromkeys(ids, 0),
            dict.fromkeys(ids, 0.0),
        )
    return regimes.results("m", tables.frame("variants", rows), benchmarks, resamples, 0.95, seed), truth


def found_segments(plan: Plan, seed: int, resamples: int = 50) -> list[dict]:
    """The segments of a simulated study."""
    of, _ = study(plan, seed, resamples=100)
    return regimes.segments(of, regimes.retention(of), FAMILIES, MARGIN, resamples, seed).to_dicts()


def names(segments: list[dict]) -> tuple[str, ...]:
    """Their regimes."""
    return tuple(segment["regime"] for segment in segments)


THREE_NAMES = ("ranking-sensitive", "convergent", "structure-dominated")


def recovered(segments: list[dict]) -> bool:
    """Whether the planted regimes were found, each cut within one budget."""
    if names(segments) != THREE_NAMES:
        return False
    at = [BUDGETS.index(int(segment["first_budget"])) for segment in segments[1:]]
    return all(abs(place - cut) <= 1 for place, cut in zip(at, CUTS, strict=True))


def inside(segments: list[dict]) -> list[bool]:
    """Whether the interval of each cut holds the true one."""
    true = [(BUDGETS[cut - 1] + BUDGETS[cut]) / 2 for cut in CUTS]
    return [
        segment["start_low"] <= cut <= segment["start_high"] for segment, cut in zip(segments[1:], true, strict=True)
    ]


def declared(plan: Plan, seed: int, permutations: int = 500) -> tuple[list[bool], list[bool]]:
    """Per budget: whether ranking sensitivity is declared, and whether p <= 0.05 before the correction."""
    of, _ = study(plan, seed, resamples=100)
    table = regimes.sensitivity(of, regimes.retention(of), FAMILIES, permutations, seed)
    return table["sensitive"].to_list(), (table["p"] <= 0.05).to_list()


def covered(plan: Plan, seed: int, resamples: int = 500) -> list[bool]:
    """Per pruned (criterion, budget): whether the interval of a group's retention holds the truth."""
    of, truth = study(plan, seed, resamples)
    rows = regimes.retention(of).filter(pl.col("benchmark").is_null(), pl.col("criterion") != DENSE)
    return [
        row["retention_low"] <= truth[row["criterion"], row["budget"]] <= row["retention_high"]
        for row in rows.iter_rows(named=True)
    ]


PAGE = """\
# Simulated studies

Made by `python -m tests.simulations --studies {n}`. What is true of these studies is known, so that it can be seen how
often the statistics find it. Each has five ranking criteria (one of three replicates) and three structure criteria,
nine budgets of 28 layers, and three benchmarks of 500 questions with a dense accuracy of 80% and a chance of 25%;
answers of two variants to a question correlate by 0.6 on the normal scale. Planted are

- *three regimes*: retention differs between layer sets by a standard deviation of 0.15 at the first three budgets, not
  at all at the next three, and at the last three structure criteria retain 0.2 more (sd 0.04);
- *null*: no criterion matters at any budget;
- *shared images*: null, but each four questions share an image, and their difficulty.

| what | of | found | asked for |
|---|---|---:|---|
{rows}

What the first {n} studies were taken for:

| planted | found (share of studies) |
|---|---|
{taken}
"""
TAKEN = {
    "three regimes": THREE,
    "three regimes, reversed": Plan(sds=THREE.sds[::-1], advantages=THREE.advantages[::-1]),
    "ranking-sensitive, then convergent": TWO,
    "ranking-sensitive": SENSITIVE,
    "structure-dominated": STRUCTURED,
    "null": NULL,
    "null, 40 questions per benchmark": SMALL,
    "null, 16 questions per benchmark": Plan(n_questions=16),
}


def page(n: int) -> str:
    """The page of the docs, from n studies of each kind."""
    found = {name: [found_segments(plan, seed) for seed in range(n)] for name, plan in TAKEN.items()}
    three = found["three regimes"]
    held = [holds for segments in three if names(segments) == THREE_NAMES for holds in inside(segments)]
    rows = [
        ("all cut points within one budget, regimes right", "three regimes", fmean(map(recovered, three)), ">= 95%"),
        ("95% interval of a cut point holds it", "three regimes", fmean(held), ""),
    ]
    for name, plan in (("null", NULL), ("shared images", CLUSTERED)):
        tests = [declared(plan, seed) for seed in range(n)]
        rows.append(("ranking sensitivity declared, of all budgets", name, np.mean([a for a, _ in tests]), "<= 6%"))
        rows.append(("p <= 0.05 before Holm's correction", name, np.mean([b for _, b in tests]), "about 5%"))
    for name, plan in (("three regimes", THREE), ("null", NULL), ("shared images", CLUSTERED)):
        share = np.mean([covered(plan, seed) for seed in range(n)])
        rows.append(("95% interval of retention holds the truth", name, share, "93% to 97%"))
    taken = []
    for name, studies in found.items():
        counts = Counter(", ".join(names(segments)) or "retention undefined" for segments in studies)
        taken.append(f"| {name} | {'; '.join(f'{what} ({count / n:.1%})' for what, count in counts.most_common())} |")
    lines = [f"| {what} | {of} | {share:.1%} | {asked} |" for what, of, share, asked in rows]
    return PAGE.format(n=n, rows="\n".join(lines), taken="\n".join(taken))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Simulate studies and write the page of the docs.")
    parser.add_argument("--studies", type=int, default=1000)
    DOCS.write_text(page(parser.parse_args().studies))
