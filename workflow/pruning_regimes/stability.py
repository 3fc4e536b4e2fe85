"""How far criteria depend on the calibration samples: a bootstrap over them, and a test of domains against halves.

All of it is computed from stored tables. A bootstrap draw gives every sample a weight, and each criterion chooses anew
from the weighted means; smaller draws tell how many samples would have been enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from pruning_regimes.budgets import budget_name, n_removed
from pruning_regimes.criteria import Choice, Order, Study, choices
from pruning_regimes.criteria.by_similarity import places
from pruning_regimes.tables import frame
from pruning_regimes.variants import expected_jaccard

SMALLEST = 4  # samples per domain


def sizes(n_samples: int) -> list[int]:
    """Numbers of samples per domain that are tried: powers of two from 4, and all."""
    return [size for size in (SMALLEST * 2**i for i in range(20)) if size < n_samples] + [n_samples]


def measure(
    entries: Mapping[str, Mapping[str, Any]],
    studies: Mapping[str, Study],
    budgets: Sequence[int | float],
    resamples: int,
    confidence: float,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bootstrap a model's criteria over the calibration samples.

    Draws of a size take that many samples of each domain, or all of a smaller one, with replacement; all criteria see
    the same draws.

    Args:
        entries: criterion -> its config entry; those that no stored table tells to depend on samples are the caller's
            to leave out.
        studies: criterion -> the model's study, with the tables that the criterion needs.

    Returns: the stability table, and the ranks table (of criteria that order layers, from draws of all samples).
    """
    stability: list[dict[str, Any]] = []
    ranks: list[dict[str, Any]] = []
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    for criterion, entry in entries.items():
        study = studies[criterion]
        counts = {budget_name(budget): n_removed(budget, study.n_layers) for budget in budgets}
        whole = choices(entry, study)[0]
        for size in sizes(max(len(samples.names) for samples in study.samples.values())):
            drawn = [choices(entry, study.weighted(weights))[0] for weights in draws(study, size, resamples)]
            for budget, count in counts.items():
                shared = [jaccard(choice.remove(count), whole.remove(count)) for choice in drawn]
                low, high = np.quantile(shared, tails)
                stability.append(
                    {
                        "model": study.model,
                        "criterion": criterion,
                        "budget": budget,
                        "n_removed": count,
                        "n_samples": size,
                        "jaccard": float(np.mean(shared)),
                        "jaccard_low": low,
                        "jaccard_high": high,
                        "expected_jaccard": expected_jaccard(len(study.candidates), count),
                    }
                )
        if isinstance(whole, Order):
            found = np.array([_places(choice) for choice in drawn])  # of draws of all samples
            for layer, rank in zip(study.candidates, _places(whole), strict=True):
                low, high = np.quantile(found[:, study.candidates.index(layer)], tails)
                limits = {"rank": rank, "rank_low": low, "rank_high": high}
                ranks.append({"model": study.model, "criterion": criterion, "layer": layer, **limits})
    return frame("stability", stability), frame("ranks", ranks)


def draws(study: Study, size: int, resamples: int) -> Iterator[dict[str, np.ndarray]]:
    """Bootstrap weights of the samples: domain -> [N] float64; the same for every criterion of a model."""
    rng = np.random.default_rng([study.seed, size])
    for _ in range(resamples):
        yield {
            domain: rng.multinomial(min(size, n), np.full(n, 1 / n)).astype(float)
            for domain, n in ((domain, len(samples.names)) for domain, samples in study.samples.items())
        }


def jaccard(a: Sequence[int], b: Sequence[int]) -> float:
    """Shared layers of two layer sets, as a share of all in either."""
    return len(set(a) & set(b)) / len(set(a) | set(b))


def agreement(study: Study, budgets: Sequence[int | float], resamples: int) -> pl.DataFrame:
    """Whether two domains rank the decoder layers differently, by the mean cosine over all tokens.

    Each draw halves both domains. `within` is the agreement of the two halves of one domain (mean over both domains),
    `between` that of a half of one with a half of the other, all of equal size: without a difference of the domains,
    both are alike. The p-value permutes the samples' domains: the share of permutations whose `within` exceeds its
    `between` by at least as much, each permutation halved in the same way.

    Returns: the agreement table; a pair of domains of which one has fewer than four samples is left out.
    """
    candidates, rows = study.candidates, []
    counts = {budget_name(budget): n_removed(budget, study.n_layers) for budget in budgets}
    cosines = {domain: samples.of_layers["cosine"][:, candidates, 0] for domain, samples in study.samples.items()}
    for a, b in combinations(cosines, 2):
        half = min(len(cosines[a]), len(cosines[b])) // 2
        if half < 2:
            continue
        pooled = np.concatenate([cosines[a], cosines[b]])
        n_a, rng = len(cosines[a]), np.random.default_rng([study.seed, half])
        observed, permuted = (
            np.array(
                [
                    _agreements(pooled, *_halves(rng, n_a, len(pooled), half, shuffled), list(counts.values()))
                    for _ in range(resamples)
                ]
            )
            for shuffled in (False, True)
        )  # [R, 1 + budgets, (within, between)]
        within, between = observed.mean(0).T
        difference = permuted[..., 0] - permuted[..., 1]
        beyond = (difference >= within - between - 1e-12).sum(0)
        for i, (budget, count) in enumerate([(None, None), *counts.items()]):
            rows.append(
                {
                    "model": study.model,
                    "domain_a": a,
                    "domain_b": b,
                    "budget": budget,
                    "n_removed": count,
                    "n_samples": half,
                    "within": within[i],
                    "between": between[i],
                    "p": (1 + beyond[i]) / (1 + resamples),
                }
            )
    return frame("agreement", rows)


def _halves(
    rng: np.random.Generator, n_a: int, n: int, half: int, shuffled: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Positions of two halves of the first domain and two of the second; shuffled, of domains drawn at random."""
    order = rng.permutation(n) if shuffled else np.concatenate([rng.permutation(n_a), n_a + rng.permutation(n - n_a)])
    return order[:half], order[half : 2 * half], order[n_a : n_a + half], order[n_a + half : n_a + 2 * half]


def _agreements(
    pooled: np.ndarray, a: np.ndarray, a2: np.ndarray, b: np.ndarray, b2: np.ndarray, counts: Sequence[int]
) -> list[tuple[float, float]]:
    """(within, between) of Kendall's tau, and of the Jaccard overlap at each number of layers removed."""
    ranks = [places(pooled[half].mean(0)) for half in (a, a2, b, b2)]

    def compared(measure: Any) -> tuple[float, float]:
        within = (measure(ranks[0], ranks[1]) + measure(ranks[2], ranks[3])) / 2
        return within, (measure(ranks[0], ranks[2]) + measure(ranks[1], ranks[3])) / 2

    found = [compared(kendall)]
    for count in counts:
        found.append(compared(lambda x, y, count=count: jaccard(np.flatnonzero(x < count), np.flatnonzero(y < count))))
    return found


def kendall(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's rank correlation of two rankings without ties, [L] each."""
    i, j = np.triu_indices(len(a), k=1)
    return float(np.mean(np.sign(a[i] - a[j]) * np.sign(b[i] - b[j]))) if len(i) else 1.0


def _places(choice: Choice) -> list[int]:
    """Place of each layer in an order, by layer number."""
    return [place for _, place in sorted(zip(choice.layers, range(len(choice.layers)), strict=True))]
