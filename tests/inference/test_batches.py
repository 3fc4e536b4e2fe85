"""Every sample is worked on once, in batches as large as memory allows."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes.inference.batches import batches

TOO_MUCH = 2**55


def cuda() -> None:
    """What torch raises when a GPU is full."""
    raise torch.OutOfMemoryError("CUDA out of memory.")


OUT_OF_MEMORY = [cuda, lambda: torch.empty(TOO_MUCH, dtype=torch.uint8), lambda: np.empty(TOO_MUCH, np.uint8)]
LENGTHS = st.lists(st.integers(0, 9), max_size=40)


@given(lengths=LENGTHS, size=st.integers(1, 50), room=st.integers(1, 50))
def test_each_position_is_worked_on_once_the_longest_first(lengths: list[int], size: int, room: int) -> None:
    tried = []

    def work(positions: list[int]) -> list[int]:
        tried.append(len(positions))
        if len(positions) > room:
            raise MemoryError
        return [lengths[position] for position in positions]

    done = list(batches(lengths, size, work))
    order = [position for positions, _ in done for position in positions]
    assert sorted(order) == list(range(len(lengths)))
    assert all((-lengths[a], a) < (-lengths[b], b) for a, b in pairwise(order))
    assert all(result == [lengths[position] for position in positions] for positions, result in done)
    assert all(b <= a for a, b in pairwise(tried))
    # Nothing is tried in a size that failed before, and halving stops at the first size that fits.
    failed = [n for n in tried if n > room]
    assert len(set(failed)) == len(failed)
    assert max((len(positions) for positions, _ in done), default=0) <= min(room, size)
    assert not failed or len(done[0][0]) == failed[-1] // 2


@pytest.mark.parametrize("fail", OUT_OF_MEMORY, ids=["cuda", "torch", "numpy"])
def test_a_size_that_does_not_fit_halves_for_good_and_says_so(
    fail: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    tried = []

    def work(positions: list[int]) -> None:
        tried.append(positions)
        if len(positions) > 2:
            fail()

    assert [positions for positions, _ in batches([1] * 9, 8, work)] == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]
    assert [len(positions) for positions in tried] == [8, 4, 2, 2, 2, 2, 1]
    assert [record.args for record in caplog.records] == [(8, 4), (4, 2)]


@pytest.mark.parametrize("fail", OUT_OF_MEMORY, ids=["cuda", "torch", "numpy"])
def test_one_sample_that_does_not_fit_raises_what_was_raised(fail: Callable[[], None]) -> None:
    with pytest.raises((torch.OutOfMemoryError, MemoryError, RuntimeError)) as expected:
        fail()
    with pytest.raises(type(expected.value)) as caught:
        list(batches([1, 1], 2, lambda _: fail()))
    assert str(caught.value) == str(expected.value)


def test_another_error_is_not_tried_again() -> None:
    tried = []

    def work(positions: list[int]) -> None:
        tried.append(positions)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        list(batches([1] * 4, 4, work))
    assert len(tried) == 1


def test_what_a_failed_batch_held_is_free_before_the_next_try() -> None:
    held: list[weakref.ref] = []

    def work(positions: list[int]) -> None:
        assert not any(reference() is not None for reference in held)
        states = torch.ones(3)
        held.append(weakref.ref(states))
        if len(positions) > 1:
            raise MemoryError

    gc.disable()
    try:
        list(batches([1] * 4, 4, work))
    finally:
        gc.enable()
    assert len(held) == 6
