"""Criteria choose the layers that their definitions name."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes import criteria, tables
from pruning_regimes.errors import ConfigError


def study(cosines: dict[str, list[float]], seed: int = 0) -> criteria.Study:
    """A model with these mean cosines per domain and layer."""
    rows = [
        {"model": "m", "domain": domain, "token_group": "all", "layer": layer, "n_samples": 1, "cosine": cosine,
         "cosine_p10": cosine, "cosine_p90": cosine}
        for domain, values in cosines.items()
        for layer, cosine in enumerate(values)
    ]  # fmt: skip
    n_layers = len(next(iter(cosines.values())))
    return criteria.Study("m", n_layers, tables.frame("profile", pl.DataFrame(rows)), seed)


def removed(kind: str, parameters: dict, of: criteria.Study, count: int, replicate: int = 0) -> list[int]:
    """Layers removed, in order, according to the layers table."""
    table = criteria.layer_list(kind, parameters, of, [count]).filter(pl.col("replicate") == replicate)
    return table.filter("removed").sort("order")["layer"].to_list()


MATH, GENERAL = [0.1, 0.9, 0.5, 0.7], [0.8, 0.2, 0.6, 0.3]


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        ({"math": 1.0}, [1, 3, 2]),
        ({"general": 1.0}, [0, 2, 3]),
        ({"math": 0.5, "general": 0.5}, [2, 1, 3]),  # means 0.45, 0.55, 0.55, 0.5; of equals the deeper first
        ({"math": 3.0, "general": 1.0}, [1, 3, 2]),  # means 0.275, 0.725, 0.525, 0.6
        ({"math": 1.0, "general": -1.0}, [1, 3, 2]),
    ],
)
def test_domain_removes_the_most_similar_first(weights: dict[str, float], order: list[int]) -> None:
    of = study({"math": MATH, "general": GENERAL})
    assert removed("domain", {"weights": weights, "token_group": "all"}, of, 3) == order


def test_a_domain_without_the_token_group_is_named() -> None:
    with pytest.raises(ConfigError, match=r"weights\.math: .* 'image'"):
        removed("domain", {"weights": {"math": 1}, "token_group": "image"}, study({"math": MATH}), 1)


def test_last_and_uniform_by_hand() -> None:
    of = study({"math": [0.5] * 12})
    assert removed("last", {}, of, 3) == [11, 10, 9]
    assert removed("uniform", {}, of, 1) == [6]
    assert removed("uniform", {}, of, 3) == [2, 6, 10]
    assert removed("uniform", {}, of, 6) == [1, 3, 5, 7, 9, 11]


@given(st.integers(2, 120), st.data())
def test_uniform_is_the_formula_and_evenly_spaced(n_layers: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, n_layers - 1))
    chosen = removed("uniform", {}, study({"math": [0.5] * n_layers}), count)
    half = Fraction(1, 2)
    assert chosen == [floor((k + half) * n_layers / count - half + half) for k in range(count)]
    assert len(set(chosen)) == count and min(chosen) >= 0 and max(chosen) < n_layers
    gaps = np.diff(chosen)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=40), st.integers(0, 5))
def test_ranking_criteria_are_nested_and_complete(cosines: list[float], seed: int) -> None:
    of = study({"math": cosines}, seed)
    for kind, parameters in (
        ("domain", {"weights": {"math": 2.0}, "token_group": "all"}),
        ("random", {"replicates": 2}),
        ("last", {}),
    ):
        budgets = list(range(1, len(cosines)))
        table = criteria.layer_list(kind, parameters, of, budgets)
        for (_,), part in table.group_by("replicate"):
            sets = [set(part.filter(pl.col("budget") == str(b)).filter("removed")["layer"]) for b in budgets]
            assert [len(chosen) for chosen in sets] == budgets
            assert all(a < b for a, b in zip(sets, sets[1:], strict=False))


def test_random_replicates_differ_and_come_back_with_the_seed() -> None:
    of = study({"math": [0.5] * 30})
    orders = [removed("random", {"replicates": 3}, of, 29, replicate) for replicate in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    assert removed("random", {"replicates": 5}, of, 29, 1) == orders[1]
    assert removed("random", {"replicates": 3}, study({"math": [0.5] * 30}, seed=1), 29) != orders[0]


def test_the_layer_list_has_every_budget_and_layer_once() -> None:
    table = criteria.layer_list("last", {}, study({"math": MATH}), [1, 0.5])
    assert table.select("budget", "layer").unique().height == len(table) == 8
    assert table.filter(pl.col("budget") == "0.5", "removed")["layer"].to_list() == [2, 3]
    assert table["order"].null_count() == (~table["removed"]).sum()


def test_an_unknown_kind_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'uniform'"):
        criteria.layer_list("unifrom", {}, study({"math": MATH}), [1])


@pytest.mark.parametrize("budgets", [[4], [1, 0.25]])
def test_budgets_that_the_depth_does_not_allow_are_refused(budgets: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"budgets: .* of the 4 decoder layers of models\.m"):
        criteria.layer_list("last", {}, study({"math": MATH}), budgets)


KINDS = [
    ("domain", {"weights": {"math": 1.0}, "token_group": "all"}),
    ("random", {"replicates": 1}),
    ("last", {}),
    ("uniform", {}),
]


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
@given(st.integers(2, 30), st.data())
def test_protected_layers_are_never_removed(kind: str, parameters: dict, n_layers: int, data: st.DataObject) -> None:
    protected = data.draw(st.frozensets(st.integers(0, n_layers - 1), max_size=n_layers - 1))
    of = replace(study({"math": [0.5 + layer / 100 for layer in range(n_layers)]}), protected=protected)
    count = data.draw(st.integers(1, min(len(of.candidates), n_layers - 1)))
    gone = removed(kind, parameters, of, count)
    assert len(gone) == len(set(gone)) == count
    assert set(gone) <= set(of.candidates)


def test_a_budget_beyond_the_candidates_is_refused() -> None:
    of = replace(study({"math": [0.5] * 4}), protected=frozenset({0, 1}))
    with pytest.raises(
        ConfigError, match=r"^budgets: 3 removes 3 of the 4 .* only 2 may be removed; protected are 0, 1\.$"
    ):
        criteria.layer_list("last", {}, of, [3])
