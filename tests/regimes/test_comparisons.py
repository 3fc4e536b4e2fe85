"""Comparisons of criteria are paired, and their tests are as exact as they say."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes import regimes
from pruning_regimes.regimes.comparisons import holm, permuted_totals
from pruning_regimes.regimes.retention import Cell, averaging
from tests.simulations import BUDGETS, CLUSTERED, FAMILIES, NULL, SENSITIVE, STRUCTURED, Plan, declared, study

# The quick run takes fewer studies, and the same bounds: of 540 budgets, Holm's correction declares 3 or 4 (under 1%)
# where nothing differs, so that 6% (32) means a broken test; and a p-value that is as small as it says is <= 0.05 for
# 27 of them, by about 5 more or less (binomial, as if independent), which 3% to 7% (16 to 38) allows twice over.
N_STUDIES = [60, pytest.param(200, marks=pytest.mark.slow)]
declared_once = cache(declared)  # the studies of the larger number begin with those of the smaller


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_monotone_and_never_below_the_plain_value(p: list[float]) -> None:
    corrected = holm(p)
    assert all(a <= b <= 1 and b <= a * len(p) + 1e-12 for a, b in zip(p, corrected, strict=True))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= -1e-12).all()


def test_replicates_count_as_one_criterion() -> None:
    cells = [Cell("a", "1", 1, (4,)), Cell("random", "1", 1, (2, 4, 2))]
    variants, weights = averaging(cells)
    assert variants.tolist() == [2, 4]
    np.testing.assert_allclose(weights, [[0, 1], [2 / 3, 1 / 3]])


def test_permuted_totals_are_drawn_from_all_ways_to_swap_two_labels() -> None:
    scores = np.array([[1.0, 0.0], [0.25, 0.5], [1.0, 1.0], [0.0, 0.125]])
    every = sorted(
        sum((row if keep else row[::-1])[0] for row, keep in zip(scores, kept, strict=True))
        for kept in product([True, False], repeat=4)
    )
    totals = permuted_totals(scores, 4000, np.random.default_rng(0))
    np.testing.assert_allclose(totals.sum(1), scores.sum())
    values, counts = np.unique(totals[:, 0].round(6), return_counts=True)
    expected = {value: every.count(value) / 16 for value in every}
    np.testing.assert_allclose(values, sorted(expected))
    np.testing.assert_allclose(counts / 4000, [expected[value] for value in values], atol=0.03)


def test_permutations_of_the_same_total_are_ties() -> None:
    right = np.random.default_rng(3).integers(0, 2, size=(60, 3))
    totals = permuted_totals(right / 60, 500, np.random.default_rng(4))
    assert np.abs(totals * 60 - np.round(totals * 60)).max() < 1e-9


def test_permuted_totals_have_the_moments_of_all_permutations() -> None:
    scores = np.random.default_rng(1).random((300, 7)) * (np.arange(300) % 3 > 0)[:, None]
    totals = permuted_totals(scores, 6000, np.random.default_rng(2))
    variance = scores.var(axis=1).sum()
    covariance = np.full((7, 7), -variance / 6)
    np.fill_diagonal(covariance, variance)
    np.testing.assert_allclose(totals.mean(0), scores.mean(1).sum(), atol=0.3)
    np.testing.assert_allclose(np.cov(totals.T), covariance, atol=0.12 * variance)


def test_where_all_criteria_remove_the_same_layers_nothing_differs() -> None:
    of, _ = study(SENSITIVE, 0)
    same = [Cell(cell.criterion, cell.budget, cell.n_removed, (5,)) for cell in of.cells if cell.budget != "0"]
    together = regimes.Results(
        of.model, of.n_layers, of.removed, [of.cells[0], *same], of.groups, of.benchmarks, of.confidence
    )
    table = regimes.sensitivity(together, regimes.retention(together), FAMILIES, 200, 0)
    assert table["p"].to_list() == [1.0] * len(BUDGETS)
    assert table["spread"].to_list() == pytest.approx([0.0] * len(BUDGETS))
    assert table["n_variants"].to_list() == [1] * len(BUDGETS) and not table["sensitive"].any()


def test_a_difference_is_found_and_measured() -> None:
    of, truth = study(SENSITIVE, 3)
    table = regimes.sensitivity(of, regimes.retention(of), FAMILIES, 500, 0)
    assert table["sensitive"].all()
    for row in table.iter_rows(named=True):
        true = [truth[name, row["budget"]] for name, family in FAMILIES.items() if family == "ranking"]
        assert row["sd"] == pytest.approx(np.std(true, ddof=1), abs=0.04)
        assert row["n_criteria"] == 5 and row["n_variants"] == 7


@pytest.mark.parametrize("n_studies", N_STUDIES)
@pytest.mark.parametrize("plan", [NULL, CLUSTERED], ids=["independent questions", "questions that share images"])
def test_where_no_criterion_matters_sensitivity_is_declared_in_at_most_6_percent_of_budgets(
    plan: Plan, n_studies: int
) -> None:
    found = [declared_once(plan, seed, permutations=300) for seed in range(n_studies)]
    assert np.mean([sensitive for sensitive, _ in found]) <= 0.06
    # The p-values themselves are neither too small nor too large.
    assert 0.03 <= np.mean([small for _, small in found]) <= 0.07


def test_the_advantage_is_that_of_means_over_criteria() -> None:
    of, truth = study(STRUCTURED, 1, resamples=500)
    kept = regimes.retention(of).filter(pl.col("benchmark").is_null())
    table = regimes.advantage(of, FAMILIES)
    for row in table.iter_rows(named=True):
        cells = kept.filter(pl.col("budget") == row["budget"])
        mean = {
            family: cells.filter(pl.col("criterion").replace_strict(FAMILIES, default="") == family)["retention"].mean()
            for family in ("structure", "ranking")
        }
        assert row["advantage"] == pytest.approx(mean["structure"] - mean["ranking"])
        true = [np.mean([truth[n, row["budget"]] for n, f in FAMILIES.items() if f == family]) for family in mean]
        assert row["advantage_low"] - 0.02 <= true[0] - true[1] <= row["advantage_high"] + 0.02
    assert (table["n_structure"] == 3).all() and (table["n_ranking"] == 5).all()


def test_controls_take_no_part() -> None:
    of, _ = study(STRUCTURED, 1)
    without = {**FAMILIES, "random": "control"}
    assert (regimes.advantage(of, without)["n_ranking"] == 4).all()
    assert (regimes.sensitivity(of, regimes.retention(of), without, 100, 0)["n_variants"] == 4).all()


def test_the_domain_effect_is_a_difference_in_differences() -> None:
    plan = Plan(sds=(0.1,) * len(BUDGETS), n_questions=300)
    math, _ = study(plan, 5, resamples=300)
    general, _ = study(plan, 6, resamples=300)
    of = regimes.Results(
        "m", math.n_layers, math.removed, math.cells, {"x": "math", "y": "general"},
        {"x": math.benchmarks["x"], "y": general.benchmarks["y"]}, 0.95,
    )  # fmt: skip
    own = {"a": ("math", "same"), "b": ("general", "same"), "c": ("general", "other"), "d": ("chess", "same")}
    table = regimes.domain_effect(of, own)
    assert table.select("criterion_a", "criterion_b").unique().rows() == [("a", "b")]
    place = {cell.criterion: cell.at[0] for cell in of.budgets["3"]}
    x, y = (of.benchmarks[name].retention for name in ("x", "y"))
    row = table.filter(pl.col("budget") == "3").row(0, named=True)
    assert row["effect_a"] == pytest.approx(x[place["a"]] - x[place["b"]])
    assert row["effect_b"] == pytest.approx(y[place["b"]] - y[place["a"]])
    assert row["effect"] == pytest.approx(row["effect_a"] + row["effect_b"])
    mean = table.filter(pl.col("budget").is_null()).row(0, named=True)
    assert mean["effect"] == pytest.approx(table.filter(pl.col("budget").is_not_null())["effect"].mean())
    for name in ("effect_a", "effect_b", "effect"):
        assert (table[f"{name}_low"] <= table[name]).all() and (table[name] <= table[f"{name}_high"]).all()
    reverse = regimes.domain_effect(of, dict(reversed(list(own.items()))))
    assert reverse["effect"].to_list() == pytest.approx(table["effect"].to_list())


def test_undefined_retention_compares_nothing() -> None:
    of, _ = study(Plan(dense=0.27, n_questions=60), 0)
    assert of.of_groups["math"].retention is None
    kept = regimes.retention(of)
    assert not len(regimes.sensitivity(of, kept, FAMILIES, 100, 0)) and not len(regimes.advantage(of, FAMILIES))
    assert not len(regimes.domain_effect(of, {"a": ("math", ""), "b": ("general", "")}))
    assert not len(regimes.segments(of, kept, FAMILIES, 0.05, 100, 0))
