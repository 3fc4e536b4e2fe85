"""Criteria by similarity, against the definitions: domain and its presets, contrast, block influence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes.criteria import layer_list
from pruning_regimes.criteria.by_similarity import places
from pruning_regimes.jobs.errors import ConfigError
from pruning_regimes.tables.contracts import TOKEN_GROUPS
from tests.helpers.criteria_tables import entry, order, random_study, samples, study

MATH, GENERAL = [0.1, 0.9, 0.5, 0.7], [0.8, 0.2, 0.6, 0.3]
METRICS = {"cosine": 1, "angular_distance": -1, "relative_update": -1}  # larger, or smaller, is more redundant
GRID = st.lists(st.integers(-64, 64).map(lambda n: n / 64), min_size=2, max_size=12)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"math": 1.0}, [1, 3, 2, 0]),
        ({"general": 1.0}, [0, 2, 3, 1]),
        ({"math": 0.5, "general": 0.5}, [2, 1, 3, 0]),  # 0.45, 0.55, 0.55, 0.5; of equals the deeper first
        ({"math": 3.0, "general": 1.0}, [1, 3, 2, 0]),  # 0.275, 0.725, 0.525, 0.6
        ({"math": 1.0, "general": -1.0}, [1, 3, 2, 0]),  # -0.35, 0.35, -0.05, 0.2
        ({"math": -1.0}, [0, 2, 3, 1]),
        ({"math": 1.0, "general": 0.0}, [1, 3, 2, 0]),
    ],
)
def test_the_most_similar_of_the_weighted_domains_go_first(weights: dict[str, float], expected: list[int]) -> None:
    of = study({"math": [MATH], "general": [GENERAL]})
    assert order(entry("domain", weights=weights), of, 3) == expected[:3]


@pytest.mark.parametrize(
    ("kind", "expected"), [("math_aware", [1, 3, 2]), ("non_math_aware", [0, 2, 3]), ("mixed", [2, 1, 3])]
)
def test_the_papers_criteria_are_presets(kind: str, expected: list[int]) -> None:
    assert order(entry(kind), study({"math": [MATH], "general": [GENERAL]})) == expected


def test_a_domain_is_the_mean_over_its_samples_and_domains_weigh_alike_whatever_their_sizes() -> None:
    of = study({"math": [[0.25, 0.5, 0.0], [0.75, 0.25, 0.0]], "general": [[0.0, 0.25, 1.0]]})
    table = layer_list(entry("mixed"), of, [1])
    assert table["score"].to_list() == [0.25, 0.3125, 0.5]


@given(GRID, st.sampled_from(sorted(METRICS)), st.sampled_from(TOKEN_GROUPS))
def test_every_metric_and_token_group_is_taken_for_itself(values: list[float], metric: str, group: str) -> None:
    n_layers, column = len(values), TOKEN_GROUPS.index(group)
    # Whatever is not asked for points the other way.
    tables = {name: np.full((1, n_layers, 4), 0.0) for name in METRICS}
    for name in METRICS:
        tables[name][0] = np.linspace(-1, 1, n_layers)[:, None]
    tables[metric][0, :, column] = values
    of = study({"math": samples(**tables)})
    found = order(entry("domain", weights={"math": 1}, metric=metric, token_group=group), of)
    expected = sorted(range(n_layers), key=lambda layer: (-METRICS[metric] * values[layer], -layer))
    assert found == expected[: n_layers - 1]


def test_samples_without_tokens_of_the_group_do_not_count() -> None:
    cosine = np.zeros((3, 2, 4))
    image = TOKEN_GROUPS.index("image")
    cosine[:, :, image] = [[0.5, 0.75], [np.nan, np.nan], [1.0, 0.0]]
    of = study({"math": samples(cosine), "general": samples(np.where(np.isnan(cosine), np.nan, 0)[1:2])})
    table = layer_list(entry("domain", weights={"math": 1}, token_group="image"), of, [1])
    assert table["score"].to_list() == [0.75, 0.375]
    with pytest.raises(ConfigError, match=r"^domains\.general: no sample has tokens of the group 'image'\.$"):
        order(entry("domain", weights={"general": 1}, token_group="image"), of)


def test_ranks_are_combined_by_their_mean() -> None:
    # Places: math 3, 0, 2, 1; general 0, 3, 1, 2. By score, layer 0 would win: 5 outweighs what is near 0.
    of = study({"math": [[0.0, 0.875, 0.25, 0.5]], "general": [[5.0, 0.125, 1.0, 0.25]]})
    weights = {"math": 3.0, "general": 1.0}
    assert order(entry("domain", weights=weights, combine="rank"), of) == [1, 3, 2]  # 2.25, 0.75, 1.75, 1.25
    assert order(entry("domain", weights=weights), of) == [0, 1, 3]  # 1.25, 0.6875, 0.4375, 0.4375
    table = layer_list(entry("domain", weights=weights, combine="rank"), of, [1])
    assert table["score"].to_list() == [-2.25, -0.75, -1.75, -1.25]


@given(GRID)
def test_one_domain_has_the_same_order_by_score_and_by_rank(values: list[float]) -> None:
    of = study({"math": [values]})
    by_rank = order(entry("domain", weights={"math": 2}, combine="rank"), of)
    assert by_rank == order(entry("math_aware"), of) and all(type(layer) is int for layer in by_rank)


@given(
    st.lists(st.integers(-1000, 1000), min_size=4, max_size=30, unique=True),
    st.tuples(st.integers(1, 8), st.integers(-8, 8)),
    st.integers(-6, 6),
)
def test_only_the_ratio_of_weights_counts(values: list[int], weights: tuple[int, int], power: int) -> None:
    of = study({"math": [[v / 1024 for v in values]], "general": [[v / 1024 for v in reversed(values)]]})
    a, b = weights
    orders = [order(entry("domain", weights={"math": a * w, "general": b * w}), of) for w in (1.0, 2.0**power)]
    assert orders[0] == orders[1]


@given(st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=20))
def test_scores_are_weighted_means_of_cosines(cosines: list[float]) -> None:
    of = study({"math": [cosines], "general": [cosines]})
    table = layer_list(entry("domain", weights={"math": 3, "general": 1}), of, [1])
    assert table["score"].to_list() == pytest.approx(cosines, abs=1e-12)


@given(st.lists(st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1.0]), min_size=1, max_size=9))
def test_places_are_those_of_sorting(scores: list[float]) -> None:
    found = sorted(range(len(scores)), key=lambda layer: (-scores[layer], -layer))
    expected = [found.index(layer) for layer in range(len(scores))]
    assert places(np.array(scores)).tolist() == expected
    assert places(np.array([scores, scores])).tolist() == [expected, expected]


def test_contrast_by_hand() -> None:
    # Both have mean 0 and spread 1: z is the value itself.
    of = study({"math": [[1.0, 1.0, -1.0, -1.0]], "general": [[-1.0, 1.0, 1.0, -1.0]]})
    contrast = {"domain": "math", "against": "general"}
    table = layer_list(entry("contrast", **contrast), of, [3])
    assert table["score"].to_list() == [2, 0, -2, 0]
    assert order(entry("contrast", **contrast), of) == [0, 3, 1]
    assert layer_list(entry("contrast", **contrast, weight=0.5), of, [3])["score"].to_list() == [1.5, 0.5, -1.5, -0.5]
    assert order(entry("contrast", **contrast, weight=0), of) == order(entry("math_aware"), of) == [1, 0, 3]
    turned = entry("contrast", domain="general", against="math")
    assert layer_list(turned, of, [3])["score"].to_list() == [-2, 0, 2, 0]


def test_contrast_compares_in_units_of_each_domains_spread() -> None:
    # Without z, the domain of large differences would decide alone.
    of = study({"math": [[0.02, 0.01, 0.0]], "general": [[0.0, 1.0, 0.5]]})
    found = layer_list(entry("contrast", domain="math", against="general"), of, [1])["score"].to_list()
    z = np.sqrt(1.5)
    assert found == pytest.approx([2 * z, -z, -z], abs=1e-6)


def test_contrast_of_a_domain_that_tells_no_layer_from_another_goes_by_the_other() -> None:
    of = study({"math": [[0.5, 0.5, 0.5]], "general": [[0.75, 0.25, 0.5]]})
    assert order(entry("contrast", domain="math", against="general"), of) == [1, 2]
    assert order(entry("contrast", domain="general", against="math"), of) == [0, 2]


@given(st.integers(0, 10**6), st.sampled_from(sorted(METRICS)), st.sampled_from(TOKEN_GROUPS))
def test_contrast_is_the_definition(seed: int, metric: str, group: str) -> None:
    of = random_study(seed, 9)
    found = {}
    for domain in ("math", "general"):
        values = METRICS[metric] * of.similarity(domain, metric, group)
        found[domain] = (values - np.mean(values)) / np.std(values)
    chosen = entry("contrast", domain="general", against="math", weight=0.25, metric=metric, token_group=group)
    score = layer_list(chosen, of, [1])["score"].to_list()
    assert score == pytest.approx((found["general"] - 0.25 * found["math"]).tolist())


def test_block_influence_pools_the_samples_of_all_domains() -> None:
    of = study({"math": [[1.0, 0.0]], "general": [[0.0, 0.75], [0.0, 0.75]]})
    table = layer_list(entry("block_influence"), of, [1])
    assert table["score"].to_list() == pytest.approx([1 / 3 - 1, 0.5 - 1])
    assert order(entry("block_influence"), of) == [1]
    assert order(entry("mixed"), of) == [0]  # the domains' means are 0.5 and 0.375


@given(st.integers(0, 10**6), st.integers(2, 9))
def test_block_influence_is_one_minus_the_mean_cosine_of_all_samples(seed: int, n_layers: int) -> None:
    of = random_study(seed, n_layers)
    cosines = np.concatenate([of.samples[domain].of_layers["cosine"][:, :, 0] for domain in of.domains])
    assert len(cosines) == 5
    influence = 1 - cosines.mean(0)
    assert layer_list(entry("block_influence"), of, [1])["score"].to_list() == pytest.approx((-influence).tolist())
