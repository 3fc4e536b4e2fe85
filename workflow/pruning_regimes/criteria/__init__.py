"""Criteria: which decoder layers to remove at a budget. Functions of stored tables, so that another one costs nothing.

A criterion is registered under its kind with `@criterion`. It gets a `Study` (means over the calibration samples, the
layers that may be removed, the seed) and its own parameters, and returns an `Order` or a `Structure`, one per
replicate. A user's file registers more: `config/README.md` shows one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pruning_regimes.criteria import by_loss, by_similarity, by_structure, registry  # noqa: F401 they register
from pruning_regimes.criteria.choices import Choice, Order, Structure, by_score
from pruning_regimes.criteria.registry import criterion
from pruning_regimes.criteria.study import Samples, Study
from pruning_regimes.jobs.errors import ConfigError
from pruning_regimes.models.budgets import budget_name, check_depth, n_removed
from pruning_regimes.tables import frame

__all__ = ["Choice", "Order", "Samples", "Structure", "Study", "by_score", "choices", "criterion", "layer_list"]


def choices(entry: Mapping[str, Any], study: Study) -> list[Choice]:
    """What a criterion's config entry chooses for a model, one choice per replicate.

    Raises: ConfigError for an unknown kind.
    """
    parameters = {name: value for name, value in entry.items() if name != "kind"}
    return registry.get(entry["kind"]).choices(study, parameters)


def layer_list(entry: Mapping[str, Any], study: Study, budgets: Sequence[int | float]) -> pl.DataFrame:
    """The layers table of one criterion for one model: every replicate, budget and layer.

    Args:
        entry: the criterion's config entry, with all its parameters.

    Raises: ConfigError for an unknown kind; a budget that the model's depth does not allow (a local model's is checked
        before any job; a hub model's depth is known only now); or layers that no criterion may choose.
    """
    check_depth(study.model, study.n_layers, budgets, study.protected)
    rows = []
    for replicate, choice in enumerate(choices(entry, study)):
        for budget in budgets:
            count = n_removed(budget, study.n_layers)
            removed = choice.remove(count)
            if len(set(removed)) != count or len(removed) != count or not set(removed) <= set(study.candidates):
                raise ConfigError(
                    f"Criterion of kind '{entry['kind']}' chose {removed} to remove {count} of the layers "
                    f"{study.candidates}; it has to name {count} of them, each once."
                )
            order = {layer: i for i, layer in enumerate(removed)}
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
