"""Criteria by similarity: how little a layer changes its input, in one domain or another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pruning_regimes.criteria.choices import Choice, by_score
from pruning_regimes.criteria.registry import criterion
from pruning_regimes.criteria.study import METRICS, Study
from pruning_regimes.tables.contracts import TOKEN_GROUPS

METRIC = {
    "description": "What is compared of a layer's input and output: cosine, angular distance, or size of the update.",
    "enum": list(METRICS),
    "default": "cosine",
}
TOKENS = {"description": "Tokens that count.", "enum": list(TOKEN_GROUPS), "default": "all"}


def domain_list(description: str) -> dict[str, Any]:
    """JSON schema of a list of domains, empty for all."""
    names = {"type": "array", "uniqueItems": True, "items": {"type": "string"}}
    return {"description": f"{description}; all if empty.", **names, "names": "domains", "default": []}


def redundancy(study: Study, domain: str, metric: str, token_group: str) -> np.ndarray:
    """How redundant each layer is for a domain, [L]; larger is more."""
    return METRICS[metric] * study.similarity(domain, metric, token_group)


def places(scores: np.ndarray) -> np.ndarray:
    """Place of each layer by score, [..., L], 0 for the largest; of equal scores the deeper comes first."""
    order = scores.shape[-1] - 1 - np.argsort(-scores[..., ::-1], kind="stable")
    return np.argsort(order)


@criterion(
    "domain",
    family="ranking",
    parameters={
        "weights": {
            "description": "Weight of each domain's similarity.",
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": "number"},
            "names": "domains",
        },
        "metric": METRIC,
        "token_group": TOKENS,
        "combine": {
            "description": "Whether the weighted mean is over similarities or over the layers' places in each domain.",
            "enum": ["score", "rank"],
            "default": "score",
        },
    },
)
def domain(study: Study, weights: Mapping[str, float], metric: str, token_group: str, combine: str) -> Choice:
    """Domain-aware similarity (arXiv 2603.20275): the layers that change their input least in the named domains, by the
    weighted mean of the domains' mean similarities, go first. Weights are normalised to sum to 1 in absolute value."""
    total = sum(abs(weight) for weight in weights.values())
    scores = np.zeros(study.n_layers)
    for name, weight in weights.items():
        found = redundancy(study, name, metric, token_group)
        scores += weight / total * (found if combine == "score" else -places(found))
    return by_score(scores, study.candidates)


@criterion(
    "contrast",
    family="ranking",
    parameters={
        "domain": {"description": "The domain that shall not need the layer.", "type": "string", "names": "domains"},
        "against": {"description": "The domain that may need it.", "type": "string", "names": "domains"},
        "weight": {"description": "How much the second domain counts.", "type": "number", "default": 1.0},
        "metric": METRIC,
        "token_group": TOKENS,
    },
)
def contrast(study: Study, domain: str, against: str, weight: float, metric: str, token_group: str) -> Choice:
    """Redundant for one domain while needed by another: z(S_domain) - weight * z(S_against), with S the mean similarity
    and z over layers; the largest go first."""

    def z(name: str) -> np.ndarray:
        found = redundancy(study, name, metric, token_group)
        spread = found.std()
        return (found - found.mean()) / spread if spread else np.zeros_like(found)

    return by_score(z(domain) - weight * z(against), study.candidates)


@criterion("block_influence", family="ranking")
def block_influence(study: Study) -> Choice:
    """Block influence (ShortGPT, arXiv 2403.03853): 1 minus the mean cosine of input and output over all calibration
    samples, whatever their domain; the smallest goes first."""
    domains: Sequence[str] = study.domains
    return by_score(study.pooled(domains, [study.similarity(name) for name in domains]) - 1, study.candidates)
