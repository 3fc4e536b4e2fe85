"""INTERLACE's selection: by hand, and against the published code where that does not run short of windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from pruning_regimes.criteria import Study
from tests.helpers.criteria_tables import entry, order, samples, study


def one(single: Sequence[float], triplets: Sequence[float], pairs: Sequence[float], **others: object) -> Study:
    """A study of one sample with these similarities."""
    windows = {3: [triplets], 2: [pairs]}
    return study({"math": samples([single], windows={n: v for n, v in windows.items() if len(v[0])})}, **others)


def published(single: ArrayLike, pairs: ArrayLike, triplets: ArrayLike, count: int) -> list[int]:
    """The layers that `select_layers_interlace` of the published code drops, fewer than `count` if it runs short."""
    assigned, drop = set(), []
    for length, of_windows in ((3, triplets), (2, pairs)):
        by_similarity = sorted(enumerate(of_windows), key=lambda window: window[1], reverse=True)
        for i, _ in by_similarity:
            if len(drop) == count:
                break
            if any(i + j in assigned for j in range(length)):
                continue
            drop.append(i + 1 if single[i] < single[i + 1] else i)
            assigned |= {i + j for j in range(length)}
    return drop


SINGLE = [0.1, 0.2, 0.9, 0.3, 0.3, 0.8, 0.7, 0.6, 0.4]
TRIPLETS = [0.1, 0.9, 0.2, 0.3, 0.8, 0.7]  # starts 0 to 5; the last window ends before layer 8


def test_triplets_that_do_not_overlap_lose_the_more_redundant_of_their_first_two() -> None:
    of = one(SINGLE, TRIPLETS, [0.5] * 7)
    # Of 1, 2, 3 goes 2; of 4, 5, 6 goes 5.
    assert order(entry("interlace"), of, 1) == [2]
    assert order(entry("interlace"), of, 2) == [2, 5]


def test_of_layers_and_windows_that_are_alike_the_first_goes() -> None:
    of = one([0.5] * 9, [0.5] * 6, [0.5] * 7)
    # Triplets 0-2 and 3-5, then the pair 6-7, then single layers, of those two apart the deepest first.
    assert order(entry("interlace"), of, 3) == [0, 3, 6]
    assert order(entry("interlace"), of, 8) == [0, 3, 6, 8, 7, 5, 4, 2]


def test_pairs_take_over_and_then_single_layers_away_from_those_that_went() -> None:
    of = one(SINGLE, TRIPLETS, [0.1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    # All triplets but 1-3 and 4-6 overlap these; so do all pairs (7-8 is none: it would look at the last output).
    # Single layers at least two apart from 2 and 5: 7 (0.6), 0 (0.1); then by similarity: 6, 8, 3, 4.
    assert order(entry("interlace"), of, 8) == [2, 5, 7, 0, 6, 8, 4, 3]


@pytest.mark.parametrize(("first", "last", "expected"), [(0.8, 0.7, [1, 8]), (0.7, 0.8, [8, 1])])
def test_pairs_go_by_their_own_similarity(first: float, last: float, expected: list[int]) -> None:
    # The triplets 2-4 and 5-7 leave the pairs 0-1 and 8-9; 9-10 would look at the last output.
    single = [0.1, 0.2, 0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.4, 0.3, 0.9]
    triplets = [0.1, 0.1, 0.9, 0.1, 0.1, 0.8, 0.1, 0.1]
    of = one(single, triplets, [first, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, last])
    assert order(entry("interlace"), of, 4) == [2, 5, *expected]


def test_no_window_gives_a_protected_layer() -> None:
    # Of 1, 2, 3 only 1 may go; the anchor of 4, 5, 6 may be protected.
    of = one(SINGLE, TRIPLETS, [0.5] * 7, protected=[2, 6])
    assert order(entry("interlace"), of, 2) == [1, 5]
    # The triplet 1-3 has none to give, so that 0-2 and 3-5 are free for others.
    of = one(SINGLE, TRIPLETS, [0.5] * 7, protected=[1, 2])
    assert order(entry("interlace"), of, 2) == [5, 0]


@pytest.mark.parametrize(("n_layers", "expected"), [(2, [1]), (3, [0, 2])])
def test_a_model_too_shallow_for_windows_loses_single_layers(n_layers: int, expected: list[int]) -> None:
    of = one([0.5] * n_layers, [0.5] * (n_layers - 3), [0.5] * (n_layers - 2))
    assert order(entry("interlace"), of) == expected


def test_every_domains_samples_weigh_alike() -> None:
    # Over four samples, the triplet at 0 has 1/4 and that at 1 has 3/8; in the first domain it is the other way round.
    math = samples([[0.5] * 5], windows={3: [[1.0, 0.0]], 2: [[0.5] * 3]})
    general = samples([[0.5] * 5] * 3, windows={3: [[0.0, 0.5]] * 3, 2: [[0.5] * 3] * 3})
    of = study({"math": math, "general": general})
    assert order(entry("interlace"), of, 1) == [1]
    assert order(entry("interlace", domains=["math"]), of, 1) == [0]


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(4, 30), st.booleans())
def test_it_drops_what_the_published_code_drops(seed: int, n_layers: int, coarse: bool) -> None:
    rng = np.random.default_rng(seed)
    steps = 4 if coarse else 2**20  # few steps make ties
    single, pairs, triplets = (rng.integers(0, steps, (1, n_layers - i)) / steps for i in (0, 2, 3))
    of = study({"math": samples(single, windows={2: pairs, 3: triplets})})
    whole = published(single[0], pairs[0], triplets[0], n_layers)
    found = order(entry("interlace"), of)
    for count in range(1, n_layers):
        dropped = published(single[0], pairs[0], triplets[0], count)
        if len(dropped) == count:  # the code has a choice
            assert order(entry("interlace"), of, count) == dropped
    # Beyond it, what it drops goes first and no layer comes twice.
    assert found[: len(whole)] == whole and len(set(found)) == n_layers - 1
    assert len(whole) >= n_layers // 5
