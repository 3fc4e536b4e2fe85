"""Criteria by loss, against the definitions: perplexity, SLEB's search and what comes after it, and Taylor."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes.criteria import layer_list
from pruning_regimes.criteria.study import Losses
from tests.helpers.criteria_tables import completed, entry, importance, losses, order, plain, samples, study, tried

# Scores of a model of 32 layers whose first and last layers seem as good as useless, as those of Llama 2 7B do.
ENDS_FIRST = [0, 1, 31, 28, 30, 27, 25, 2, 29, 26, 24]
MIDDLE_FIRST = [28, 27, 25, 29, 26, 24]  # without layers 0 to 3, 30 and 31


def singles(*of_layers: float) -> Losses:
    """Losses of one sample of one domain, without each layer alone and of the dense model."""
    sets = {(): [0.25]} | {(layer,): [loss] for layer, loss in enumerate(of_layers)}
    return losses({"math": sets})


def test_the_layer_whose_removal_costs_least_goes_first() -> None:
    of = plain(5, losses=singles(0.5, 3.0, 0.5, 1.0, 2.0))
    assert order(entry("perplexity"), of) == [2, 0, 3, 4]  # of equals the deeper
    assert layer_list(entry("perplexity"), of, [1])["score"].to_list() == [-0.5, -3.0, -0.5, -1.0, -2.0]


def test_losses_are_per_token_and_samples_and_domains_weigh_alike() -> None:
    of = study(
        {"math": [[0.5] * 3] * 3, "general": [[0.5] * 3]},
        losses=losses(
            {
                "math": {(): [0.0] * 3, (0,): [0.0, 0.0, 3.0], (1,): [0.75] * 3, (2,): [4.0] * 3},
                "general": {(): [0.0], (0,): [2.0], (1,): [2.0], (2,): [0.0]},
            }
        ),
    )
    # 1.5, 1.375, 2; over math 1, 0.75, 4; over general 2, 2, 0.
    assert layer_list(entry("perplexity"), of, [1])["score"].to_list() == [-1.5, -1.375, -2]
    assert order(entry("perplexity"), of) == [1, 0]
    assert order(entry("perplexity", domains=["general"]), of) == [2, 1]
    assert order(entry("perplexity", domains=["general", "math"]), of) == [1, 0]


def test_layers_without_which_the_model_fails_or_that_were_not_tried_go_last() -> None:
    tried_alone = {(): [0.0], (0,): [9.0], (1,): [math.inf], (3,): [8.0]}
    of = plain(4, losses=losses({"math": tried_alone}))
    assert order(entry("perplexity"), of) == [3, 0, 2]
    assert layer_list(entry("perplexity"), of, [1])["score"].to_list() == [-9.0, -math.inf, -math.inf, -8.0]


def test_an_infinite_loss_of_a_sample_that_was_not_drawn_does_not_count() -> None:
    lost = {(): [0.0, 0.0], (0,): [1.0, math.inf], (1,): [2.0, 2.0]}
    of = study({"math": [[0.5] * 2] * 2}, losses=losses({"math": lost}))
    drawn = {weights: of.weighted({"math": np.array(weights)}) for weights in ((2.0, 0.0), (1.0, 1.0))}
    assert drawn[2.0, 0.0].mean_losses(["math"]) == {(): 0.0, (0,): 1.0, (1,): 2.0}
    assert drawn[1.0, 1.0].mean_losses(["math"]) == {(): 0.0, (0,): math.inf, (1,): 2.0}
    assert [order(entry("perplexity"), study) for study in drawn.values()] == [[0], [1]]


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_equal_weights_of_samples_change_nothing(seed: int, each: int) -> None:
    rng, sizes = np.random.default_rng(seed), {"math": 2, "general": 3}
    by_set = {
        domain: {removed: rng.random(n).tolist() for removed in [(), (0,), (1,), (2,)]} for domain, n in sizes.items()
    }
    of = study({domain: [[0.5] * 3] * n for domain, n in sizes.items()}, losses=losses(by_set))
    weighted = of.weighted({domain: np.full(n, float(each)) for domain, n in sizes.items()})
    assert weighted.mean_losses(["math", "general"]) == pytest.approx(of.mean_losses(["math", "general"]))
    assert order(entry("perplexity"), weighted) == order(entry("perplexity"), of)


def test_samples_without_an_answer_have_no_losses_and_no_weight() -> None:
    # The second of three samples has none.
    found = losses({"math": {(): [0.0, 0.0], (0,): [1.0, 2.0], (1,): [1.75, 0.0]}}).table
    names = found["sample_id"].replace({"s1": "s2"})
    of = study({"math": [[0.5] * 2] * 3}, losses=Losses(found.with_columns(sample_id=names)))
    assert order(entry("perplexity"), of) == [1]
    for weights, expected in (((3, 0, 0), 0), ((0, 0, 3), 1), ((1, 5, 0), 0), ((0, 3, 0), 1)):  # the last: all count
        assert order(entry("perplexity"), of.weighted({"math": np.array(weights, float)})) == [expected]


def test_protected_ends_leave_the_order_of_shortened_llama() -> None:
    rest = [layer for layer in range(31, -1, -1) if layer not in ENDS_FIRST]
    scores = {layer: place / 64 for place, layer in enumerate([*ENDS_FIRST, *rest])}
    by_layer = [scores[layer] for layer in range(32)]
    for of, kind in (
        (plain(32, losses=singles(*by_layer)), "perplexity"),
        (plain(32, importance=importance(by_layer)), "taylor"),
    ):
        assert order(entry(kind), of, 11) == ENDS_FIRST
        assert order(entry(kind, protect_ends=True), of, 6) == MIDDLE_FIRST
        # When nothing else is left, the ends go by their scores.
        assert order(entry(kind, protect_ends=True), of)[26:] == [0, 1, 31, 30, 2]


@pytest.mark.parametrize(
    ("n_layers", "expected"), [(7, [4, 0, 1, 2, 3, 5]), (6, [0, 1, 2, 3, 4]), (4, [0, 1, 2]), (2, [0])]
)
def test_a_model_may_be_all_ends(n_layers: int, expected: list[int]) -> None:
    of = plain(n_layers, importance=importance([float(layer) for layer in range(n_layers)]))
    assert order(entry("taylor", protect_ends=True), of) == expected


def test_the_layer_of_smallest_importance_goes_first() -> None:
    of = plain(4, importance=importance([2.0, 0.5, 3.0, 0.5]).sample(fraction=1, shuffle=True, seed=1), protected=[0])
    assert order(entry("taylor"), of, 3) == [3, 1, 2]
    assert layer_list(entry("taylor"), of, [1])["score"].to_list() == [-2.0, -0.5, -3.0, -0.5]


# A search of two steps over four layers: 2 goes first; without it, 0 costs less than 1, which was better alone.
SEARCH = {
    (): [0.0], (0,): [3.0], (1,): [2.0], (2,): [1.0], (3,): [4.0], (0, 2): [1.5], (1, 2): [2.5], (2, 3): [5.0],
}  # fmt: skip


def test_the_search_goes_on_from_the_model_as_it_is_by_then() -> None:
    of = plain(4, losses=losses({"math": SEARCH}))
    assert order(entry("sleb"), of) == [2, 0, 1]  # beyond two, by the losses of the last round: 2.5 before 5
    without_two = {removed: loss for removed, loss in SEARCH.items() if 2 not in removed}
    found = losses({"math": without_two | {(0, 1): [6.0], (1, 3): [5.0]}})
    assert order(entry("sleb"), plain(4, losses=found, protected=[2])) == [1, 3, 0]


def test_beyond_the_search_of_equal_losses_the_deeper_goes_and_what_cannot_go_is_last() -> None:
    found = {(): [0.0]} | {(layer,): [loss] for layer, loss in enumerate([5.0, math.inf, 1.0, 5.0, 2.0])}
    assert order(entry("sleb"), plain(5, losses=losses({"math": found}))) == [2, 4, 3, 0]


def test_the_search_looks_at_the_named_domains_alone() -> None:
    one_step = {removed: loss for removed, loss in SEARCH.items() if len(removed) < 2}
    other = {removed: [9.0 if 2 in removed else 1.0] for removed in one_step}
    of = study({"math": [[0.5] * 4], "general": [[0.5] * 4]}, losses=losses({"math": one_step, "general": other}))
    assert order(entry("sleb", domains=["math"]), of, 1) == [2]
    assert order(entry("sleb"), of, 1) == [1]  # means 2, 1.5, 5 and 2.5


@given(st.integers(0, 10**6), st.integers(2, 7), st.data())
def test_sleb_is_a_plain_greedy_search(seed: int, n_layers: int, data: st.DataObject) -> None:
    protected = data.draw(st.frozensets(st.integers(0, n_layers - 1), max_size=n_layers - 1))
    candidates = [layer for layer in range(n_layers) if layer not in protected]
    n_steps = data.draw(st.integers(1, len(candidates)))
    rng = np.random.default_rng(seed)
    known: dict[tuple[int, ...], float] = {}

    def loss(removed: tuple[int, ...]) -> float:
        return known.setdefault(removed, float(rng.integers(0, 5)))

    sets = tried(candidates, n_steps, loss)
    of = plain(n_layers, losses=losses({"math": {removed: [loss(removed)] for removed in sets}}), protected=protected)
    found = order(entry("sleb"), of)
    for step, layer in enumerate(found[:n_steps]):
        before = found[:step]
        costs = {other: loss(tuple(sorted([*before, other]))) for other in candidates if other not in before}
        assert costs[layer] == min(costs.values())
        assert all(cost > costs[layer] for other, cost in costs.items() if other > layer)
    last = {other: loss(tuple(sorted([*found[: n_steps - 1], other]))) for other in found[n_steps:]}
    assert found[n_steps:] == sorted(last, key=lambda other: (last[other], -other))


def test_domains_without_losses_are_not_asked_for() -> None:
    of = study({"math": samples([[0.5] * 3]), "other": samples([[0.5] * 3])}, losses=singles(1.0, 2.0, 3.0))
    by_math = completed({"it": {"kind": "perplexity", "domains": ["math"]}}, domains=["math", "other"])["it"]
    assert order(by_math, of) == [0, 1]
