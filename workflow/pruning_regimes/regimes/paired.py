"""Whether one of two sets of answers to the same questions is better than the other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl

from pruning_regimes.regimes.scored import clustered_sums, percentile_limits, resampled_accuracies

RIGHT = 0.5  # an answer with partial credit counts as right from this score on


@dataclass(frozen=True)
class Paired:
    """Two sets of answers, A and B, to the same questions.

    Attributes:
        n_questions, n_clusters: clusters are questions that share an image, which are drawn together.
        accuracy_a, accuracy_b: mean scores.
        difference: accuracy of A minus that of B, with the limits low and high of its bootstrap interval.
        p: two-sided, of the hypothesis that it does not matter which answer is whose.
        both, only_a, only_b, neither: questions by who answers them right.
        confidence: level of the interval.
        resamples: draws of the bootstrap, and of the permutations where these are not enumerated.
    """

    n_questions: int
    n_clusters: int
    accuracy_a: float
    accuracy_b: float
    difference: float
    low: float
    high: float
    p: float
    both: int
    only_a: int
    only_b: int
    neither: int
    confidence: float
    resamples: int


def paired(
    a: np.ndarray, b: np.ndarray, clusters: pl.Series, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> Paired:
    """Compare two sets of answers.

    The interval is a percentile interval of a bootstrap over clusters, paired, as all of the regimes' intervals are.

    Args:
        a, b: scores of the same questions in [0, 1], [N] each.
        clusters: the cluster of each question, [N].
    """
    sums, sizes = clustered_sums(np.stack([a, b]), clusters)
    rng = np.random.default_rng(seed)
    draws = resampled_accuracies(sums, sizes, resamples, rng)
    low, high = percentile_limits(draws[:, 0] - draws[:, 1], confidence)
    right_a, right_b = a >= RIGHT, b >= RIGHT
    return Paired(
        len(a),
        len(sizes),
        float(a.mean()),
        float(b.mean()),
        float((a - b).mean()),
        float(low),
        float(high),
        sign_flip(sums[0] - sums[1], resamples, rng),
        int((right_a & right_b).sum()),
        int((right_a & ~right_b).sum()),
        int((~right_a & right_b).sum()),
        int((~right_a & ~right_b).sum()),
        confidence,
        resamples,
    )


def sign_flip(differences: np.ndarray, permutations: int, rng: np.random.Generator) -> float:
    """Two-sided p-value of a permutation test: A and B change places in any clusters.

    Exact where all ways of changing places are no more than the permutations; drawn at random otherwise. In double
    precision, since scores may be fractions, whose totals a rounding must not tell apart.

    Args:
        differences: of A's and B's scores, summed over each cluster, [C].
    """
    varied = differences[differences != 0]
    exact = 2 ** len(varied) <= permutations
    if exact:
        signs = np.array(list(product((1, -1), repeat=len(varied))), dtype=float)  # [2^C, C]
    else:
        signs = rng.choice(np.array([1.0, -1.0]), size=(permutations, len(varied)))
    beyond = np.count_nonzero(np.abs(signs @ varied) >= abs(varied.sum()) - 1e-9)
    return float(beyond / len(signs) if exact else (1 + beyond) / (1 + permutations))
