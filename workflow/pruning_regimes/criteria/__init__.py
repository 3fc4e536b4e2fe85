"""Criteria: which decoder layers to remove at a budget. Pure functions of the similarity tables.

A criterion is registered under its kind. It gets the model's profile (mean similarity per domain and layer), the
number of layers and the numbers to remove, and its own parameters; it returns one `Selection` per replicate and
number to remove.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pruning_regimes.config import budget_name, check_depth, n_removed
from pruning_regimes.errors import ConfigError, nearest
from pruning_regimes.tables import frame


@dataclass(frozen=True)
class Study:
    """What a criterion may look at.

    Attributes:
        model: the model's config key.
        n_layers: decoder layers L of the model.
        profile: the model's rows of the profile table.
        seed: the study's seed.
        protected: layers that no criterion may remove.
    """

    model: str
    n_layers: int
    profile: pl.DataFrame
    seed: int
    protected: frozenset[int] = frozenset()

    @property
    def candidates(self) -> list[int]:
        """Layers that may be removed, ascending."""
        return [layer for layer in range(self.n_layers) if layer not in self.protected]


@dataclass(frozen=True)
class Order:
    """A nested choice: every budget removes the first layers of one order.

    Attributes:
        layers: all candidates, the first to remove first.
        scores: score of each layer by its number, larger is removed earlier; None if the order is not by score.
    """

    layers: Sequence[int]
    scores: Sequence[float] | None = None

    def remove(self, count: int) -> list[int]:
        """The first `count` layers of the order."""
        return list(self.layers[:count])


@dataclass(frozen=True)
class Structure:
    """A choice made anew for each number to remove, by position."""

    choose: Callable[[int], list[int]]
    scores: None = None

    def remove(self, count: int) -> list[int]:
        """The layers to remove, in order."""
        return self.choose(count)


Choice = Order | Structure
_REGISTRY: dict[str, Callable[..., list[Choice]]] = {}


def criterion(kind: str) -> Callable[[Callable[..., list[Choice]]], Callable[..., list[Choice]]]:
    """Register a criterion: a function of the study and its parameters that returns one choice per replicate."""

    def register(function: Callable[..., list[Choice]]) -> Callable[..., list[Choice]]:
        _REGISTRY[kind] = function
        return function

    return register


def by_score(scores: np.ndarray, candidates: Sequence[int]) -> Order:
    """Order the candidates by score, largest first; of equal scores the deeper layer goes first.

    Args:
        scores: [L], one per layer.
    """
    order = sorted(candidates, key=lambda layer: (-scores[layer], -layer))
    return Order(order, [float(score) for score in scores])


@criterion("domain")
def domain(study: Study, weights: Mapping[str, float], token_group: str) -> list[Choice]:
    """Domain-aware similarity (arXiv 2603.20275): weighted mean over domains of each layer's mean input-output cosine.

    The layers that change their input least in the named domains are removed first. Weights are normalised to sum
    to 1 in absolute value.

    Raises: ConfigError if a domain has no similarity for the token group.
    """
    total = sum(abs(weight) for weight in weights.values())
    scores = np.zeros(study.n_layers)
    for name, weight in weights.items():
        rows = study.profile.filter(pl.col("domain") == name, pl.col("token_group") == token_group).sort("layer")
        if len(rows) != study.n_layers:
            raise ConfigError(f"weights.{name}: the domain has no similarity for token_group '{token_group}'.")
        scores += weight / total * rows["cosine"].to_numpy()
    return [by_score(scores, study.candidates)]


@criterion("random")
def random(study: Study, replicates: int) -> list[Choice]:
    """Control: a random order per replicate, nested over budgets; replicate r draws from (study seed, r)."""
    return [
        Order(np.random.default_rng([study.seed, replicate]).permutation(study.candidates).tolist())
        for replicate in range(replicates)
    ]


@criterion("last")
def last(study: Study) -> list[Choice]:
    """Deepest layers first."""
    return [by_score(np.arange(study.n_layers, dtype=float), study.candidates)]


@criterion("uniform")
def uniform(study: Study) -> list[Choice]:
    """Evenly spaced layers: the k-th of n is round((k + 0.5) C / n - 0.5), half up, among the C candidates; chosen anew
    for each n."""
    candidates = study.candidates

    def choose(count: int) -> list[int]:
        return [candidates[((2 * k + 1) * len(candidates)) // (2 * count)] for k in range(count)]

    return [Structure(choose)]


def layer_list(kind: str, parameters: Mapping[str, Any], study: Study, budgets: Sequence[int | float]) -> pl.DataFrame:
    """The layers table of one criterion for one model: every replicate, budget and layer.

    Raises: ConfigError for an unknown kind, or a budget that the model's depth does not allow (a local model's is
        checked before any job; a hub model's depth is known only now).
    """
    if kind not in _REGISTRY:
        raise ConfigError(f"criteria: unknown kind '{kind}'; {nearest(kind, _REGISTRY)}")
    check_depth(study.model, study.n_layers, budgets, study.protected)
    rows = []
    for replicate, choice in enumerate(_REGISTRY[kind](study, **parameters)):
        for budget in budgets:
            order = {layer: i for i, layer in enumerate(choice.remove(n_removed(budget, study.n_layers)))}
            for layer in range(study.n_layers):
                rows.append(
                    {
                        "replicate": replicate,
                        "budget": budget_name(budget),
                        "layer": layer,
                        "removed": layer in order,
                        "order": order.get(layer),
                        "score": None if choice.scores is None else choice.scores[layer],
                    }
                )
    return frame("layers", rows)
