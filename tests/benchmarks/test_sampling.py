"""Which rows of a benchmark are asked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes import benchmarks
from pruning_regimes.benchmarks import sampling
from pruning_regimes.jobs.errors import DataError
from tests.helpers import miniatures
from tests.helpers.asked import load, rows


@pytest.mark.parametrize(
    ("name", "unit", "n_rows"),
    [
        ("wemath", "ID", 42),
        ("dynamath", "question_id", 42),
        ("mme", "pair", 56),
        ("mmbench", "base", 56),
        ("hallusionbench", "set", 56),
    ],
)
def test_a_subsample_keeps_units_whole(tmp_path: Path, name: str, unit: str, n_rows: int) -> None:
    miniatures.write(name, tmp_path, n_rows)
    sizes = Counter(row["metadata"][unit] for row in rows(load(name, tmp_path)))
    found = load(name, tmp_path, samples=28)
    drawn = Counter(row["metadata"][unit] for row in rows(found))
    assert drawn and len(drawn) < len(sizes) and 20 <= len(found) <= 28
    assert all(sizes[key] == count for key, count in drawn.items())
    assert load(name, tmp_path, samples=28).equals(found)
    with pytest.raises(DataError, match=rf"samples: 1 is too few .* the same '{unit}' are drawn together"):
        load(name, tmp_path, samples=1)


def test_shares_that_are_smaller_than_a_unit_are_put_together(tmp_path: Path) -> None:
    miniatures.write("mme", tmp_path, 18)
    assert len(load("mme", tmp_path, samples=9)) == 8


def test_a_subsample_keeps_the_shares_of_categories(tmp_path: Path) -> None:
    miniatures.write("mathverse", tmp_path, 40)
    every = load("mathverse", tmp_path)
    found = load("mathverse", tmp_path, samples=10)
    assert found["category"].value_counts().sort("category")["count"].to_list() == [2] * 5
    assert found.equals(every.filter(pl.col("sample_id").is_in(found["sample_id"].implode())))
    entry = {"source": "public", "benchmark": "mathverse", "path": str(tmp_path), "samples": 10}
    assert not benchmarks.load("mathverse", entry, seed=1).equals(found)
    with pytest.raises(
        DataError, match=r"benchmarks\.mathverse\.samples: 41 .* MathVerse holds 40; ask for at most 40"
    ):
        load("mathverse", tmp_path, samples=41)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), min_size=1, max_size=60),
    st.integers(1, 60),
    st.integers(0, 5),
)
def test_draws_are_stratified_whole_and_repeatable(drawn_from: list[tuple[str, int]], wanted: int, seed: int) -> None:
    # A unit is of one category, as pairs are.
    categories, units = [category for category, _ in drawn_from], drawn_from
    found = sampling.stratified(categories, units, wanted, seed)
    assert found == sampling.stratified(categories, units, wanted, seed) == sorted(set(found))
    assert len(found) <= max(wanted, 0) and set(found) <= set(range(len(drawn_from)))
    drawn = Counter(units[at] for at in found)
    assert all(Counter(units)[unit] == count for unit, count in drawn.items())
    alone = sampling.stratified(categories, range(len(drawn_from)), wanted, seed)
    assert len(alone) == min(wanted, len(drawn_from))
    shares = Counter(categories[at] for at in alone)
    for category, size in Counter(categories).items():
        assert abs(shares[category] - len(alone) * size / len(drawn_from)) < 1
