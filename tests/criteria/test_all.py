"""What holds for every criterion: layers that may be removed, each once, as many as asked for; and the layers table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruning_regimes.criteria import Study, choices, layer_list, registry
from pruning_regimes.jobs.errors import ConfigError
from tests.helpers.criteria_tables import completed, entry, order, plain, random_study, shuffled

# Every kind, some with parameters that take other ways through it.
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("domain", {"weights": {"math": 2, "general": -1}}),
    ("domain", {"weights": {"math": 1, "general": 1}, "combine": "rank", "metric": "relative_update"}),
    ("math_aware", {}),
    ("non_math_aware", {}),
    ("mixed", {}),
    ("contrast", {"domain": "math", "against": "general"}),
    ("block_influence", {}),
    ("contiguous", {}),
    ("interlace", {}),
    ("interlace", {"domains": ["math"]}),
    ("uniform", {}),
    ("last", {}),
    ("last", {"keep_last": True}),
    ("first_middle", {"position": "first"}),
    ("first_middle", {}),
    ("spaced", {"of": {"kind": "mixed"}, "gap": 3}),
    ("spaced", {"of": {"kind": "random", "replicates": 2}}),
    ("random", {"replicates": 2}),
    ("perplexity", {}),
    ("perplexity", {"protect_ends": True}),
    ("sleb", {}),
    ("taylor", {}),
    ("taylor", {"protect_ends": True}),
]
NESTED = {"last", "spaced"}  # by structure, and nested nevertheless


@st.composite
def studies(draw: st.DrawFn) -> tuple[Study, Study]:
    """A study of random tables for criteria that need leave-one-out losses, and one for those that need a search."""
    n_layers = draw(st.integers(2, 12))
    protected = draw(st.frozensets(st.integers(0, n_layers - 1), max_size=n_layers - 1))
    steps, seed = draw(st.integers(1, n_layers - len(protected))), draw(st.integers(0, 10**6))
    return random_study(seed, n_layers, protected), random_study(seed, n_layers, protected, steps)


def counts(of: Study) -> range:
    """Numbers of layers that may be removed."""
    return range(1, min(len(of.candidates), of.n_layers - 1) + 1)


def test_every_kind_is_tested() -> None:
    assert {kind for kind, _ in KINDS} == set(registry.kinds())
    assert all(registry.get(entry(kind, **parameters)["kind"]).definition for kind, parameters in KINDS)


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
@settings(max_examples=25)
@given(both=studies(), rows=st.integers(0, 10**6))
def test_it_removes_as_many_distinct_candidates_as_asked_in_whatever_order_rows_come(
    kind: str, parameters: Mapping[str, Any], both: tuple[Study, Study], rows: int
) -> None:
    completed_entry = entry(kind, **parameters)
    known = registry.get(completed_entry["kind"])
    of = both[known.needs == "greedy"]
    table = layer_list(completed_entry, of, list(counts(of)))
    assert table["replicate"].n_unique() == (2 if "random" in str(parameters) + kind else 1)
    for (_,), replicate in table.group_by("replicate"):
        sets = []
        for (budget,), part in replicate.group_by("budget", maintain_order=True):
            gone = part.filter("removed").sort("order")
            assert gone["order"].to_list() == list(range(int(budget)))
            assert part["layer"].to_list() == list(range(of.n_layers))
            assert part.filter(~pl.col("removed"))["order"].is_null().all()
            sets.append(set(gone["layer"]))
        assert [len(removed) for removed in sets] == list(counts(of))
        assert all(removed <= set(of.candidates) for removed in sets)
        if known.family != "structure" or known.kind in NESTED:
            assert all(few < more for few, more in zip(sets, sets[1:], strict=False))
    assert layer_list(completed_entry, shuffled(of, rows), list(counts(of))).equals(table)


def test_replicates_of_random_differ_and_come_back_with_the_seed() -> None:
    of = plain(30)
    orders = [order(entry("random", replicates=3), of, 29, replicate) for replicate in range(3)]
    assert len({tuple(found) for found in orders}) == 3
    assert order(entry("random", replicates=5), of, 29, 1) == orders[1]
    assert order(entry("random"), plain(30, seed=1), 29) != orders[0]


def test_every_order_of_random_is_as_likely() -> None:
    tally: dict[tuple[int, ...], int] = {}
    for seed in range(20):
        for choice in choices(entry("random", replicates=60), plain(5, seed=seed, protected=[1, 3])):
            tally[tuple(choice.remove(3))] = tally.get(tuple(choice.remove(3)), 0) + 1
    assert len(tally) == 6 and sum(tally.values()) == 1200
    assert all(abs(count - 200) < 4 * (200 * 5 / 6) ** 0.5 for count in tally.values())


def test_the_layers_table_has_every_budget_and_layer_once() -> None:
    table = layer_list(entry("last"), plain(4), [1, 0.5])
    assert table.select("budget", "layer").unique().height == len(table) == 8
    assert table.filter(pl.col("budget") == "0.5", "removed")["layer"].to_list() == [2, 3]
    assert table["order"].null_count() == (~table["removed"]).sum()
    assert table["score"].is_null().all()


def test_an_unknown_kind_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'uniform'"):
        layer_list({"kind": "unifrom"}, plain(4), [1])


@pytest.mark.parametrize("budgets", [[4], [1, 0.25]])
def test_budgets_that_the_depth_does_not_allow_are_refused(budgets: list[float]) -> None:
    with pytest.raises(ConfigError, match=r"budgets: .* of the 4 decoder layers of models\.m"):
        layer_list(entry("last"), plain(4), budgets)


def test_a_budget_beyond_the_candidates_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^budgets: 3 removes 3 of the 4 .* only 2 may be removed; protected are 0, 1\.$"
    ):
        layer_list(entry("last"), plain(4, protected=[0, 1]), [3])


def test_a_preset_is_a_kind_with_parameters_that_can_be_changed() -> None:
    found = completed({"math_aware": {}, "mixed": {"metric": "relative_update"}, "mine": {"kind": "non_math_aware"}})
    assert found["math_aware"] == entry("domain", weights={"math": 1.0})
    assert found["mixed"] == entry("domain", weights={"math": 0.5, "general": 0.5}, metric="relative_update")
    assert found["mine"] == entry("domain", weights={"general": 1.0})
    changed = completed({"mixed": {"weights": {"math": 1, "general": 3}}})
    assert changed["mixed"]["weights"] == {"math": 1, "general": 3}


def test_what_is_done_to_one_config_concerns_no_other() -> None:
    found = completed({"mixed": {}, "interlace": {}})
    found["mixed"]["weights"]["math"] = 7
    found["interlace"]["domains"].append("math")
    again = completed({"mixed": {}, "interlace": {}})
    assert again["mixed"]["weights"]["math"] == 0.5 and again["interlace"]["domains"] == []
