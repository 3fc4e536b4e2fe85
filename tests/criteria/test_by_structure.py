"""Criteria by structure, against the definitions: contiguous, uniform, last, first_middle and spaced."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruning_regimes.criteria import layer_list
from pruning_regimes.criteria.choices import spaced
from tests.helpers.criteria_tables import entry, order, plain, random_study, samples, study


def angles(n_layers: int, of_blocks: dict[tuple[int, int], float], otherwise: float) -> np.ndarray:
    """Block distances of one sample, [1, L, L + 1]: (start, length) -> distance."""
    found = np.full((1, n_layers, n_layers + 1), otherwise)
    for place, distance in of_blocks.items():
        found[(0, *place)] = distance
    return found


def test_the_block_that_turns_the_last_token_least_goes_whole() -> None:
    blocks = angles(6, {(4, 1): 0.25, (1, 2): 0.25, (2, 3): 0.25}, 0.5)
    of = study({"math": samples([[0.5] * 6], blocks=blocks)})
    chosen = entry("contiguous")
    assert [order(chosen, of, count) for count in (1, 2, 3)] == [[4], [1, 2], [2, 3, 4]]
    assert order(chosen, of, 4) == [2, 3, 4, 5]  # all alike: the deeper


def test_the_block_may_begin_at_the_first_layer_and_end_at_the_last() -> None:
    for start in (0, 3):
        of = study({"math": samples([[0.5] * 6], blocks=angles(6, {(start, 3): 0.25}, 0.5))})
        assert order(entry("contiguous"), of, 3) == list(range(start, start + 3))


def test_blocks_are_judged_by_the_named_domains_samples_each_alike() -> None:
    one, other = angles(3, {(0, 1): 0.0}, 1.0), angles(3, {(2, 1): 0.5}, 1.0)
    math, general = samples([[0.5] * 3], blocks=one), samples([[0.5] * 3] * 3, blocks=np.repeat(other, 3, 0))
    of = study({"math": math, "general": general})
    assert order(entry("contiguous"), of, 1) == [2]  # 3/4, 1 and 5/8; means of domains' means would be 1/2 and 3/4
    assert order(entry("contiguous", domains=["math"]), of, 1) == [0]
    assert order(entry("contiguous", domains=["general"]), of, 1) == [2]
    assert order(entry("contiguous", domains=["general", "math"]), of, 1) == [2]


def test_where_protected_layers_leave_no_block_it_spans_them() -> None:
    blocks = angles(6, {(0, 4): 0.25, (2, 4): 0.5}, 1.0)
    of = study({"math": samples([[0.5] * 6], blocks=blocks)}, protected=[2])
    assert order(entry("contiguous"), of, 3) == [3, 4, 5]  # a whole block, though the others turn less
    of = study({"math": samples([[0.5] * 6], blocks=blocks)}, protected=[2, 4])
    assert order(entry("contiguous"), of, 3) == [0, 1, 3]


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 8), st.data())
def test_contiguous_is_what_trying_every_set_finds(seed: int, n_layers: int, data: st.DataObject) -> None:
    protected = data.draw(st.frozensets(st.integers(0, n_layers - 1), max_size=n_layers - 1))
    names = data.draw(st.lists(st.sampled_from(["math", "general"]), unique=True))
    of = random_study(seed, n_layers, protected)
    distances = np.concatenate([of.samples[name].of_blocks for name in names or of.domains])

    def cost(layers: tuple[int, ...]) -> tuple[bool, float, int]:
        first, length = layers[0], layers[-1] - layers[0] + 1
        return length > len(layers), float(np.mean(distances[:, first, length])), -first

    for count in range(1, min(len(of.candidates), n_layers - 1) + 1):
        sets = [
            layers
            for layers in combinations(of.candidates, count)
            # No candidate between them stays.
            if sum(layers[0] <= layer <= layers[-1] for layer in of.candidates) == count
        ]
        assert order(entry("contiguous", domains=names), of, count) == list(min(sets, key=cost))


def test_last_by_hand() -> None:
    of = plain(12)
    assert order(entry("last"), of, 3) == [11, 10, 9]
    assert order(entry("last", keep_last=True), of, 3) == [10, 9, 8]
    assert order(entry("last", keep_last=True), of) == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    of = plain(5, protected=[3])
    assert order(entry("last"), of, 4) == [4, 2, 1, 0]
    assert order(entry("last", keep_last=True), of, 4) == [2, 1, 0, 4]  # nothing else is left


def test_first_and_middle_by_hand() -> None:
    of = plain(7)
    assert order(entry("first_middle", position="first"), of, 3) == [0, 1, 2]
    assert order(entry("first_middle"), of, 3) == [2, 3, 4]
    assert order(entry("first_middle"), of, 2) == [3, 4]  # one more before than after
    of = plain(7, protected=[1, 3])  # 0, 2, 4, 5, 6 may go
    assert order(entry("first_middle", position="first"), of, 3) == [0, 2, 4]
    assert order(entry("first_middle"), of, 3) == [2, 4, 5]


@given(st.integers(2, 40), st.data())
def test_what_the_middle_leaves_is_even(n_layers: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, n_layers - 1))
    gone = order(entry("first_middle"), plain(n_layers), count)
    assert gone == list(range(gone[0], gone[0] + count))
    assert gone[0] - (n_layers - 1 - gone[-1]) in (0, 1)


def test_uniform_by_hand() -> None:
    of = plain(12)
    assert order(entry("uniform"), of, 1) == [6]
    assert order(entry("uniform"), of, 3) == [2, 6, 10]
    assert order(entry("uniform"), of, 6) == [1, 3, 5, 7, 9, 11]
    assert order(entry("uniform"), plain(12, protected=[0, 6]), 2) == [3, 9]  # the 2nd and 7th of ten, counted from 0


@given(st.integers(2, 120), st.data())
def test_uniform_is_the_formula_and_evenly_spaced(n_layers: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, n_layers - 1))
    chosen = order(entry("uniform"), plain(n_layers), count)
    half = Fraction(1, 2)
    assert chosen == [floor((k + half) * n_layers / count - half + half) for k in range(count)]
    assert len(set(chosen)) == count and min(chosen) >= 0 and max(chosen) < n_layers
    gaps = np.diff(chosen)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def walked(order: Sequence[int], gap: int) -> list[int]:
    """Layers as a walk takes them that begins anew after each, plainly."""
    taken: list[int] = []
    while gap:
        fit = [i for i in order if i not in taken and min((abs(i - j) for j in taken), default=gap) >= gap]
        if fit:
            taken.append(fit[0])
        else:
            gap -= 1
    return taken


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (1, [3, 4, 5, 0, 6, 1, 2]),
        (2, [3, 5, 0, 4, 6, 1, 2]),
        (3, [3, 0, 6, 4, 5, 1, 2]),  # the gap of 3 is at its end after three layers, and no other is 2 away from all
        (9, [3, 0, 6, 4, 5, 1, 2]),  # nothing is so far away
    ],
)
def test_spaced_by_hand(gap: int, expected: list[int]) -> None:
    assert spaced([3, 4, 5, 0, 6, 1, 2], gap) == expected


@given(st.permutations(range(11)), st.integers(1, 11), st.sets(st.integers(0, 10), max_size=3))
def test_spaced_keeps_the_gap_as_long_as_any_layer_allows_it(order: list[int], gap: int, dropped: set[int]) -> None:
    candidates = [layer for layer in order if layer not in dropped]
    chosen = spaced(candidates, gap)
    assert chosen == walked(candidates, gap)
    assert sorted(chosen) == sorted(candidates) and chosen[:1] == candidates[:1]
    for count in range(1, len(chosen)):
        before, left = chosen[:count], chosen[count:]
        distances = [min(abs(layer - other) for other in before) for layer in left]
        assert min(gap, distances[0]) == min(gap, max(distances))


def test_layers_that_are_gone_already_keep_others_away_and_do_not_come_back() -> None:
    assert spaced([5, 4, 3, 2, 1, 0], 2, taken=[4]) == [2, 0, 5, 3, 1]
    assert spaced([], 3, taken=[1]) == []


def test_spaced_walks_the_criterion_that_it_names() -> None:
    of = study({"math": [[0.9, 0.8, 0.7, 0.1, 0.6, 0.5]]})
    assert order(entry("math_aware"), of, 5) == [0, 1, 2, 4, 5]
    assert order(entry("spaced", of={"kind": "math_aware"}), of, 5) == [0, 2, 4, 1, 5]
    assert order(entry("spaced", of={"kind": "math_aware"}, gap=3), of, 5) == [0, 4, 2, 1, 5]
    of = study({"math": [[0.9, 0.8, 0.7, 0.1, 0.6, 0.5]]}, protected=[0])
    assert order(entry("spaced", of={"kind": "math_aware"}), of, 5) == [1, 4, 2, 5, 3]


def test_spaced_has_the_replicates_of_what_it_walks() -> None:
    of, walk = plain(9), {"kind": "random", "replicates": 3}
    table = layer_list(entry("spaced", of=walk, gap=4), of, [3])
    assert table["replicate"].unique().to_list() == [0, 1, 2]
    for replicate in range(3):
        ranked = order(entry(**walk), of, 8, replicate)
        ranked += [layer for layer in range(9) if layer not in ranked]
        assert order(entry("spaced", of=walk, gap=4), of, 8, replicate) == spaced(ranked, 4)[:8]
