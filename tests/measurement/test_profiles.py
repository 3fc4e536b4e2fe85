"""The gap between domains, with its intervals, and the distances of blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruning_regimes import tables
from pruning_regimes.measurement import profiles

CHANGES = st.floats(1e-3, 1.9, allow_subnormal=False)  # of 1 - cosine


def similarity(changes: Sequence[Sequence[float]], groups: Sequence[str] = ("all",)) -> pl.DataFrame:
    """A similarity table from 1 - cosine, [sample, layer], the same in all token groups."""
    rows = [
        {
            "sample_id": f"s{sample:03d}",
            "layer": layer,
            "token_group": group,
            "n_tokens": 1,
            "cosine": 1 - change,
            "relative_update": 0.0,
            "angular_distance": 0.0,
        }
        for group in groups
        for sample, row in enumerate(changes)
        for layer, change in enumerate(row)
    ]
    return tables.frame("similarity", rows)


def gap(resamples: int = 200, confidence: float = 0.95, seed: int = 0, **domains: pl.DataFrame) -> pl.DataFrame:
    return profiles.gap("m", domains, resamples, confidence, seed)


def numbers(table: pl.DataFrame) -> np.ndarray:
    """Ratio, lower and upper limit, [layer, 3]."""
    return table.select("ratio", "ratio_low", "ratio_high").to_numpy()


def samples(n: int, n_layers: int, mean: float, rng: np.random.Generator) -> np.ndarray:
    """1 - cosine as it is found: positive and skewed, and alike in the layers of a sample."""
    return mean * rng.gamma(4, 1 / 4, (n, n_layers)) * rng.gamma(20, 1 / 20, (n, 1))


def test_the_gap_by_hand() -> None:
    math, general = [[0.1, 0.02], [0.3, 0.04], [0.2, 0.03], [0.2, 0.03]] * 2, [[0.4, 0.03]] * 8
    found = gap(math=similarity(math), general=similarity(general))
    assert found.select("model", "domain", "reference", "token_group", "layer").rows() == [
        ("m", "general", "math", "all", layer) for layer in range(2)
    ]
    assert found["ratio"].to_list() == pytest.approx([2, 1], rel=1e-5)
    # A draw of the first domain has a mean between its smallest and its largest sample.
    assert (found["ratio_low"] >= [0.4 / 0.3 - 1e-5, 0.03 / 0.04 - 1e-5]).all()
    assert (found["ratio_high"] <= [0.4 / 0.1 + 1e-5, 0.03 / 0.02 + 1e-5]).all()
    assert (found["ratio_low"] < found["ratio"]).all() and (found["ratio"] < found["ratio_high"]).all()


def test_each_other_domain_is_compared_with_the_first() -> None:
    rng = np.random.default_rng(0)
    domains = {name: similarity(samples(8, 3, mean, rng)) for name, mean in (("a", 0.1), ("b", 0.2), ("c", 0.05))}
    found = gap(**domains)
    assert found.select("domain", "reference").unique(maintain_order=True).rows() == [("b", "a"), ("c", "a")]
    # A further domain changes nothing of the others.
    assert found.filter(pl.col("domain") == "b").equals(gap(a=domains["a"], b=domains["b"]))
    assert gap(a=domains["a"]).is_empty()


def test_a_token_group_that_a_domain_lacks_has_no_gap() -> None:
    rng = np.random.default_rng(1)
    with_image, without = (
        similarity(samples(5, 2, 0.1, rng), groups) for groups in (("all", "image", "last"), ("all", "last"))
    )
    for domains in ({"a": with_image, "b": without}, {"a": without, "b": with_image}):
        assert set(gap(**domains)["token_group"]) == {"all", "last"}


@pytest.mark.parametrize("n", [1, 7, 8])
def test_few_samples_have_no_limits(n: int) -> None:
    rng = np.random.default_rng(2)
    many, few = similarity(samples(9, 2, 0.1, rng)), similarity(samples(n, 2, 0.1, rng))
    for domains in ({"a": many, "b": few}, {"a": few, "b": many}):
        found = gap(**domains)
        assert found["ratio"].is_not_null().all()
        assert found["ratio_low"].is_null().all() == found["ratio_high"].is_null().all() == (n < 8)


def test_changes_below_what_float32_tells_count_as_none() -> None:
    same, slight, real = [[0.0]] * 8, [[2e-7]] * 8, [[1e-2]] * 8
    assert numbers(gap(a=similarity(same), b=similarity(slight))).tolist() == [[1, 1, 1]]
    (row,) = numbers(gap(a=similarity(same), b=similarity(real)))
    assert row == pytest.approx([1e-2 / profiles.FINEST] * 3, rel=1e-4)


@settings(max_examples=40)
@given(
    changes=st.integers(1, 3).flatmap(
        lambda n_layers: st.tuples(
            *[st.lists(st.lists(CHANGES, min_size=n_layers, max_size=n_layers), min_size=8, max_size=10)] * 2
        )
    ),
    factor=st.floats(0.1, 1.0),
    seed=st.integers(0, 5),
    order=st.randoms(use_true_random=False),
)
def test_laws_of_the_gap(
    changes: tuple[list[list[float]], list[list[float]]], factor: float, seed: int, order: object
) -> None:
    math, general = changes
    found = gap(seed=seed, math=similarity(math), general=similarity(general))
    ratio, low, high = numbers(found).T
    assert (low <= high).all()
    # No draw's mean is outside the samples.
    assert (low >= np.min(general, 0) / np.max(math, 0) * (1 - 1e-3)).all()
    assert (high <= np.max(general, 0) / np.min(math, 0) * (1 + 1e-3)).all()
    assert ratio == pytest.approx(np.mean(general, 0) / np.mean(math, 0), rel=1e-3)
    # A domain in which all layers change their input less by a factor has a gap that is smaller by this factor.
    scaled = gap(seed=seed, math=similarity(math), general=similarity(factor * np.array(general)))
    assert numbers(scaled) == pytest.approx(factor * numbers(found), rel=2e-2)
    # The order of a table's rows means nothing, and neither does another layer.
    shuffled = similarity(general).sample(fraction=1.0, shuffle=True, seed=order.randrange(100))
    assert gap(seed=seed, math=similarity(math), general=shuffled).equals(found)
    first = gap(seed=seed, math=similarity(math).filter(layer=0), general=similarity(general).filter(layer=0))
    assert numbers(first) == pytest.approx(numbers(found)[:1], rel=1e-9)
    # A wider level contains a narrower one.
    inner = numbers(gap(seed=seed, confidence=0.5, math=similarity(math), general=similarity(general)))
    assert (inner[:, 1] >= low).all() and (inner[:, 2] <= high).all()


@pytest.mark.parametrize(("n", "least"), [(128, 0.93), (16, 0.88)])
@pytest.mark.parametrize("truth", [1.0, 0.8])
def test_the_intervals_cover_the_true_ratio_about_as_often_as_they_say(n: int, least: float, truth: float) -> None:
    covered: Mapping[bool, int] = {True: 0, False: 0}
    for seed in range(40):
        rng = np.random.default_rng([seed, n])
        domains = {"a": similarity(samples(n, 10, 0.05, rng)), "b": similarity(samples(n, 10, truth * 0.05, rng))}
        for _, low, high in numbers(gap(resamples=400, seed=seed, **domains)):
            covered[low <= truth <= high] += 1
    assert least <= covered[True] / 400 <= 0.98


def blocks(distances: Sequence[Sequence[float]]) -> pl.DataFrame:
    """A blocks table of two layers from the distances of (0, 1), (0, 2) and (1, 1), start and length, per sample."""
    rows = [
        {"sample_id": f"s{sample}", "start": start, "length": length, "angular_distance": distance}
        for sample, row in enumerate(distances)
        for (start, length), distance in zip([(0, 1), (0, 2), (1, 1)], row, strict=True)
    ]
    return tables.frame("blocks", rows)


def test_block_distances_are_means_over_samples_and_the_nearest_of_a_length_is_marked() -> None:
    found = profiles.block_profile(
        "m", {"a": blocks([[0.25, 0.5, 0.25], [0.25, 0.25, 0.125]]), "b": blocks([[0, 1, 0]])}
    )
    columns = ("domain", "length", "start", "n_samples", "angular_distance", "nearest")
    assert found.select(columns).rows() == [
        ("a", 1, 0, 2, 0.25, False),
        ("a", 1, 1, 2, 0.1875, True),
        ("a", 2, 0, 2, 0.375, True),
        # Of equal ones the deeper, as `contiguous` does.
        ("b", 1, 0, 1, 0.0, False),
        ("b", 1, 1, 1, 0.0, True),
        ("b", 2, 0, 1, 1.0, True),
    ]
    assert set(found["model"]) == {"m"}


@settings(max_examples=25)
@given(n_layers=st.integers(1, 6), seed=st.integers(0, 100))
def test_one_block_of_each_length_is_the_nearest(n_layers: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        {"sample_id": f"s{sample}", "start": start, "length": length, "angular_distance": rng.integers(4) / 4}
        for sample in range(3)
        for length in range(1, n_layers + 1)
        for start in range(n_layers - length + 1)
    ]
    found = profiles.block_profile("m", {"a": tables.frame("blocks", rows)})
    for _, own in found.group_by("length"):
        (marked,) = own.filter("nearest").rows(named=True)
        alike = own.filter(pl.col("angular_distance") == own["angular_distance"].min())
        assert marked["start"] == alike["start"].max()
