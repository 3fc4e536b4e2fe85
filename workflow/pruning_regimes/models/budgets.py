"""Budgets: how many decoder layers go, in a model of a given depth."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from decimal import Decimal
from fractions import Fraction

from pruning_regimes.jobs.errors import ConfigError


def budget_name(budget: float) -> str:
    """A budget as it stands in tables and file names: decimal digits, never an exponent."""
    return f"{Decimal(str(budget)):f}"


def n_removed(budget: float | str, n_layers: int) -> int:
    """Layers that a budget removes from a model of `n_layers`: a count as it is, a fraction rounded half up, >= 1.

    Exact: the fraction is read as the decimal that stands in the config, not as its binary neighbour.
    """
    amount = Fraction(str(budget))
    if amount.denominator == 1:
        return int(amount)
    return max(1, math.floor(amount * n_layers + Fraction(1, 2)))


def check_depth(
    model: str, n_layers: int, budgets: Sequence[int | float | str], protected: Collection[int] = frozenset()
) -> None:
    """Check the budgets against one model's number of layers and those that may not be removed.

    Raises: ConfigError if a budget removes all layers or more than may be removed, or two remove the same number.
    """
    candidates = n_layers - len(protected)
    taken: dict[int, int | float | str] = {}
    for budget in budgets:
        count = n_removed(budget, n_layers)
        if not 1 <= count <= n_layers - 1:
            raise ConfigError(
                f"budgets: {budget} removes {count} of the {n_layers} decoder layers of models.{model}; "
                f"a budget must remove between 1 and {n_layers - 1}."
            )
        if count > candidates:
            raise ConfigError(
                f"budgets: {budget} removes {count} of the {n_layers} decoder layers of models.{model}, but only "
                f"{candidates} may be removed; protected are {', '.join(map(str, sorted(protected)))}."
            )
        if count in taken:
            raise ConfigError(
                f"budgets: {taken[count]} and {budget} both remove {count} of the {n_layers} decoder layers of "
                f"models.{model}; keep one of them."
            )
        taken[count] = budget


def protected_layers(model: str, n_layers: int, named: Sequence[int]) -> set[int]:
    """The layers that a model's entry protects, negative numbers counted from the end.

    Raises: ConfigError if the model has no such layer.
    """
    for layer in named:
        if not -n_layers <= layer < n_layers:
            raise ConfigError(
                f"models.{model}.protected: {layer} is no decoder layer; the model has layers 0 to {n_layers - 1}."
            )
    return {layer % n_layers for layer in named}
