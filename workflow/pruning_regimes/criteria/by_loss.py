"""Criteria by loss: what the calibration answers lose without a layer. They run the model more than once per sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pruning_regimes.criteria.by_similarity import domain_list
from pruning_regimes.criteria.choices import Choice, Order, by_score
from pruning_regimes.criteria.registry import criterion
from pruning_regimes.criteria.study import Study
from pruning_regimes.measurement.loss_tables import greedy_path

DOMAINS = domain_list("Domains whose answers count, each alike")
ENDS: dict[str, Any] = {
    "description": "Remove the first four and the last two layers after all others.",
    "type": "boolean",
    "default": False,
}
N_FIRST, N_LAST = 4, 2  # Shortened LLaMA's rule


def _ends_last(study: Study, order: Order, protect_ends: bool) -> Order:
    if not protect_ends:
        return order
    middle = range(N_FIRST, study.n_layers - N_LAST)
    return Order(sorted(order.layers, key=lambda layer: layer not in middle), order.scores)


@criterion(
    "perplexity",
    family="ranking",
    parameters={"domains": DOMAINS, "protect_ends": ENDS},
    needs="leave_one_out",
)
def perplexity(study: Study, domains: Sequence[str], protect_ends: bool) -> Choice:
    """Shortened LLaMA (arXiv 2402.02834): the layer whose removal alone gives the smallest mean negative log-likelihood
    of the calibration answers goes first."""
    losses = study.mean_losses(domains or study.domains)
    # Layers that cannot be removed alone have no loss, and go last.
    scores = np.array([-losses.get((layer,), np.inf) for layer in range(study.n_layers)])
    return _ends_last(study, by_score(scores, study.candidates), protect_ends)


@criterion("sleb", family="ranking", parameters={"domains": DOMAINS}, needs="greedy")
def sleb(study: Study, domains: Sequence[str]) -> Choice:
    """SLEB (arXiv 2402.09025): of the model as it is by then, removes the layer without which the loss of the
    calibration answers is smallest; again and again, up to the largest budget. Beyond it, by the losses of the last
    round."""
    losses = study.mean_losses(domains or study.domains)
    n_steps = max(len(removed) for removed in losses)
    path = greedy_path(losses, study.candidates, n_steps)
    last = set(path[:-1])
    rest = sorted(
        set(study.candidates) - set(path),
        key=lambda layer: (losses.get(tuple(sorted(last | {layer})), np.inf), -layer),
    )
    return Order([*path, *rest])


@criterion(
    "taylor",
    family="ranking",
    parameters={"domains": DOMAINS, "protect_ends": ENDS},
    needs="importance",
)
def taylor(study: Study, domains: Sequence[str], protect_ends: bool) -> Choice:
    """First-order importance (Shortened LLaMA, arXiv 2402.02834): the sum over a layer's weights of |weight x gradient|
    of the loss of the calibration answers; the smallest goes first."""
    importance = study.importance.sort("layer")["importance"].to_numpy()
    return _ends_last(study, by_score(-importance, study.candidates), protect_ends)
