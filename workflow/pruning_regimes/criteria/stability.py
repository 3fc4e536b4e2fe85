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

from pruning_regimes.criteria import Choice, Order, Study, choices
from pruning_regimes.criteria.by_similarity import places
from pruning_regimes.criteria.variants import expected_jaccard, jaccard
from pruning_regimes.models.budgets import budget_name, n_removed
from pruning_regimes.tables import frame

SMALLEST = 4  # samples per domain
HALVINGS = 50  # of each two domains


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


def agreement(study: Study, budgets: Sequence[int | float], permutations: int) -> pl.DataFrame:
    """Whether two domains rank the decoder layers differently, by the mean cosine over all tokens.

    Both domains are halved at random, again and again. `within` is the agreement of the two halves of one domain (mean
    over both domains), `between` that of a half of one with a half of the other, all of equal size: without a
    difference of the domains, both are alike. The p-value permutes the samples' domains: the share of permutations
    whose `within`, by the same halvings, exceeds its `between` by at least as much.

    Returns: the agreement table; a pair of domains of which one has fewer than four samples is left out.
    """
    candidates, rows = study.candidates, []
    counts = {budget_name(budget): n_removed(budget, study.n_layers) for budget in budgets}
    cosines = {domain: samples.of_layers["cosine"][:, candidates, 0] for domain, samples in study.samples.items()}
    for a, b in combinations(cosines, 2):
        numbers = len(cosines[a]), len(cosines[b])
        half = min(numbers) // 2
        if half < 2:
            continue
        rng, pooled = np.random.default_rng([study.seed, half]), np.concatenate([cosines[a], cosines[b]])
        weights = _halvings(rng, *numbers, half)
        within, between = _agreements(pooled, weights, list(counts.values()))
        beyond = np.zeros(len(within))
        for _ in range(permutations):
            permuted = np.subtract(*_agreements(rng.permutation(pooled), weights, list(counts.values())))
            beyond += permuted >= within - between - 1e-12
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
                    "p": (1 + beyond[i]) / (1 + permutations),
                }
            )
    return frame("agreement", rows)


def _halvings(rng: np.random.Generator, n_a: int, n_b: int, half: int) -> np.ndarray:
    """Weights of samples in random halves, two of the first domain and two of the second: [4, HALVINGS, N]."""
    weights = np.zeros((4, HALVINGS, n_a + n_b))
    for of_halving in weights.swapaxes(0, 1):
        a, b = rng.permutation(n_a), n_a + rng.permutation(n_b)
        halves = (a[:half], a[half : 2 * half], b[:half], b[half : 2 * half])
        for of_half, chosen in zip(of_halving, halves, strict=True):
            of_half[chosen] = 1 / half
    return weights


def _agreements(cosines: np.ndarray, weights: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Kendall's tau, and the Jaccard overlap at each number of layers removed, means over halvings.

    Args:
        cosines: [N, L]; weights: [4, HALVINGS, N].

    Returns: [2, 1 + counts], within and between domains.
    """
    ranks = places(weights @ cosines)
    a, a2, b, b2 = range(4)
    within, between = ((a, a2), (b, b2)), ((a, b), (a2, b2))
    before, removed = precedes(ranks.astype(np.int16)), [ranks < count for count in counts]
    return np.array(
        [
            [
                np.mean([kendall(before[i], before[j]) for i, j in pairs]),
                *(np.mean([_overlap(gone[i], gone[j]) for i, j in pairs]) for gone in removed),
            ]
            for pairs in (within, between)
        ]
    )


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Jaccard overlap of layer sets, [..., L] bool each."""
    return (a & b).sum(-1) / (a | b).sum(-1)


def precedes(ranks: np.ndarray) -> np.ndarray:
    """Which layer comes before which, [..., L, L] bool, in rankings [..., L]."""
    return ranks[..., :, None] < ranks[..., None, :]


def kendall(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Kendall's rank correlation of rankings without ties, each as `precedes` gives it; of single layers 1."""
    n_pairs = a.shape[-1] * (a.shape[-1] - 1) / 2
    return 2 * np.count_nonzero(a & b, axis=(-2, -1)) / n_pairs - 1 if n_pairs else np.ones(a.shape[:-2])


def _places(choice: Choice) -> list[int]:
    """Place of each layer in an order, by layer number."""
    return [place for _, place in sorted(zip(choice.layers, range(len(choice.layers)), strict=True))]
