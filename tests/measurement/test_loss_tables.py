"""What a losses table says of layer sets, checked against plain computations."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes import tables
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.measurement.loss_tables import greedy_path, mean_losses

SETS = st.lists(st.integers(0, 4), unique=True, max_size=5).map(lambda layers: tuple(sorted(layers)))


@given(
    st.dictionaries(
        SETS, st.lists(st.tuples(st.integers(0, 90), st.integers(1, 9)), min_size=1, max_size=4), min_size=1
    ),
    st.randoms(use_true_random=False),
)
def test_domains_and_samples_weigh_alike(found: dict[tuple, list[tuple[int, int]]], random: object) -> None:
    rows = [
        ("a", f"{n}", list(removed), nll / 7, n_tokens)
        for removed, samples in found.items()
        for n, (nll, n_tokens) in enumerate(samples)
    ]
    # The other domain has one sample, and lacks a set.
    lacking = next(iter(found))
    rows += [("b", "x", list(removed), 3.0, 2) for removed in [*found, (9,)] if removed != lacking]
    random.shuffle(rows)
    table = tables.frame("losses", rows)
    own = mean_losses(table, ["a"])
    assert own == pytest.approx({r: sum(nll / 7 / n for nll, n in s) / len(s) for r, s in found.items()})
    if len(found) > 1:
        both = mean_losses(table, ["b", "a"])
        assert both == pytest.approx({r: (loss + 1.5) / 2 for r, loss in own.items() if r != lacking})
    assert mean_losses(table.sort("sample_id"), ["a"]) == own
    with pytest.raises(DataError, match=r"^Table 'losses' has no rows of the domain 'c'\.$"):
        mean_losses(table, ["a", "c"])


@given(st.lists(st.integers(0, 3), min_size=32, max_size=32), st.integers(0, 5))
def test_the_path_takes_the_smallest_loss_and_the_deepest_layer_of_equals(values: list[int], n_steps: int) -> None:
    means = {
        removed: float(values[sum(2**layer for layer in removed)])
        for removed in {tuple(i for i in range(5) if code >> i & 1) for code in range(32)}
    }
    path = greedy_path(means, range(5), n_steps)
    assert len(set(path)) == len(path) == n_steps
    for step, layer in enumerate(path):
        rest = {other: means[tuple(sorted([*path[:step], other]))] for other in range(5) if other not in path[:step]}
        assert layer == max(other for other, loss in rest.items() if loss == min(rest.values()))
    if path:
        del means[tuple(sorted(path[:1]))]
        with pytest.raises(DataError, match=r"has no rows without layers \[\d\], which the search needs"):
            greedy_path(means, range(5), n_steps)


def test_a_path_ends_where_no_layer_can_be_removed() -> None:
    means = {(): 1.0, (0,): 2.0, (1,): math.inf, (0, 1): math.inf}
    assert greedy_path(means, [0, 1], 1) == [0]
    for candidates in ([0, 1], [0]):
        with pytest.raises(DataError, match=r"has no layer that can be removed besides \[0\], but 2 are to be"):
            greedy_path(means, candidates, 2)


def test_the_tables_are_read_without_torch() -> None:
    code = "import sys, pruning_regimes.measurement.loss_tables; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
