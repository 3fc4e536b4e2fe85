"""The recommendation is the best criterion with its evidence, and its limits hold although it was chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from pruning_regimes import regimes
from pruning_regimes.regimes.recommendation import recommendation, simultaneous
from tests.simulations import BUDGETS, FAMILIES, NULL, SENSITIVE, Plan, study


def test_the_best_is_compared_with_the_next_that_has_other_layers() -> None:
    of, _ = study(SENSITIVE, 4, resamples=400)
    cells = list(of.cells)
    kept = of.of_groups["math"].retention
    at_three = sorted(
        (cell for cell in cells if cell.budget == "3" and len(cell.at) == 1), key=lambda c: -kept[c.at[0]]
    )
    best, second, third = at_three[:3]
    twin = replace(third, at=best.at)  # the third has the layers of the best
    of = replace(of, cells=[twin if cell is third else cell for cell in cells])
    row = (
        recommendation(of, FAMILIES, 0.9).filter(pl.col("budget") == "3", pl.col("group") == "math").row(0, named=True)
    )
    assert set(row["criteria"]) == {best.criterion, twin.criterion} and row["runner_up"] == second.criterion
    assert row["retention"] == pytest.approx(kept[best.at[0]])
    assert row["difference"] == pytest.approx(kept[best.at[0]] - kept[second.at[0]])
    assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    assert "random" not in row["criteria"]


def test_it_says_how_far_one_can_go() -> None:
    of, _ = study(NULL, 0, resamples=400)
    table = recommendation(of, FAMILIES, 0.8)
    assert table["keeps"].to_list() == (table["retention_low"] >= 0.8).to_list()
    assert table["keeps"][0] and not table["keeps"][len(BUDGETS) - 1]
    assert (table["retention_low"] < table["retention"]).all()


def test_with_several_groups_their_mean_has_rows_too() -> None:
    of, _ = study(NULL, 0, resamples=400)
    assert set(recommendation(of, FAMILIES, 0.9)["group"]) == {"math"}
    both = replace(of, groups={**of.groups, "z": "general"})
    table = recommendation(both, FAMILIES, 0.9)
    assert set(table["group"]) == {"math", "general", "all"}
    means = np.mean([both.of_groups[name].retention for name in ("math", "general")], axis=0)
    best = max(means[cell.at[0]] for cell in of.budgets["5"] if len(cell.at) == 1)
    row = table.filter(pl.col("budget") == "5", pl.col("group") == "all")
    assert row["retention"].item() == pytest.approx(best)


def test_the_limits_hold_for_all_at_once() -> None:
    held = []
    for seed in range(150):
        of, truth = study(Plan(n_questions=200), seed, resamples=300)
        cells = [cell for cell in of.cells if len(cell.at) == 1 and cell.budget != "0"]
        limits = simultaneous(of.of_groups["math"], [cell.at[0] for cell in cells], 0.95)
        held.append(all(limits[cell.at[0]] <= truth[cell.criterion, cell.budget] for cell in cells))
    assert 0.9 <= np.mean(held) <= 0.99


def test_no_uncertainty_has_no_margin() -> None:
    of, _ = study(NULL, 0)
    assert simultaneous(of.of_groups["math"], [0], 0.95)[0] == pytest.approx(1.0)  # the dense model itself


def test_undefined_retention_recommends_nothing() -> None:
    of, _ = study(Plan(dense=0.27, n_questions=60), 0)
    assert not len(recommendation(of, FAMILIES, 0.9)) and "math" in regimes.retention(of)["group"].to_list()


def test_a_control_is_not_recommended_however_good_and_whatever_its_replicates() -> None:
    of, _ = study(NULL, 0, resamples=200)
    whole = recommendation(of, FAMILIES, 0.9)
    best = {name for names in whole["criteria"] for name in names}
    without = recommendation(of, FAMILIES | dict.fromkeys(best, "control"), 0.9)
    named = {name for names in without["criteria"] for name in names} | set(without["runner_up"])
    assert len(without) == len(whole) and not best & named
