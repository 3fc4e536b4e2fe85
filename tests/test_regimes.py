"""Retention and its intervals are what a plain computation gives."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pruning_regimes import regimes, tables
from pruning_regimes.errors import DataError
from pruning_regimes.variants import collect


def variants(n_replicates: int = 2) -> pl.DataFrame:
    """Dense, criterion a (one variant) and random (replicates) at one budget of a model of six layers."""

    def layers(removed: list[int]) -> pl.DataFrame:
        rows = [
            {"replicate": r, "budget": "1", "layer": layer, "removed": layer == gone, "order": None, "score": None}
            for r, gone in enumerate(removed)
            for layer in range(6)
        ]
        return tables.frame("layers", rows)

    return collect("m", "r", {"a": layers([5]), "random": layers(list(range(n_replicates)))})


def scores(accuracies: dict[str, float], n_questions: int, chance: float, seed: int = 0) -> pl.DataFrame:
    """Independent right and wrong answers: variant id -> rate of right ones."""
    rng = np.random.default_rng(seed)
    rows = [
        {"variant_id": variant, "sample_id": f"q{i}", "cluster": f"q{i}", "category": "c", "chance": chance,
         "extracted": None, "method": "unparsed", "error": None, "score": float(rng.random() < rate)}
        for variant, rate in accuracies.items()
        for i in range(n_questions)
    ]  # fmt: skip
    return tables.frame("scores", rows)


def study(dense: float = 0.9, n_questions: int = 80) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """Variants, and scores of two benchmarks of one group and one of another."""
    table = variants()
    rates = {v: dense if c == "dense" else 0.6 for c, v in table.select("criterion", "variant_id").iter_rows()}
    return table, {
        "one": scores(rates, n_questions, 0.25, seed=1),
        "two": scores(rates, n_questions // 2, 0.0, seed=2),
        "other": scores(rates, n_questions, 0.5, seed=3),
    }


GROUPS = {"one": "math", "two": "math", "other": "general"}


def retained(table: pl.DataFrame, found: dict[str, pl.DataFrame], **options) -> pl.DataFrame:
    """The retention table."""
    scored = {name: regimes.scored(GROUPS[name], rows) for name, rows in found.items()}
    return regimes.retention("m", table, scored, **{"resamples": 400, "confidence": 0.9, "seed": 0, **options})


def test_estimates_by_hand() -> None:
    table, found = study()
    result = retained(table, found)
    accuracy = {
        (name, v): rows.filter(pl.col("variant_id") == v)["score"].mean()
        for name, rows in found.items()
        for v in table["variant_id"]
    }
    dense, a, r0, r1 = table["variant_id"]
    columns = ["benchmark", "group", "criterion", "accuracy", "retention", "dense_accuracy", "n_replicates"]
    cell = {tuple(row[:3]): row[3:] for row in result.select(columns).rows()}
    expected = {}
    for name, chance in (("one", 0.25), ("two", 0.0), ("other", 0.5)):
        mean = (accuracy[name, r0] + accuracy[name, r1]) / 2
        expected[name] = (mean - chance) / (accuracy[name, dense] - chance)
        assert cell[name, GROUPS[name], "random"][:3] == pytest.approx([mean, expected[name], accuracy[name, dense]])
        assert cell[name, GROUPS[name], "random"][3] == 2
        assert cell[name, GROUPS[name], "a"][0] == pytest.approx(accuracy[name, a])
    assert cell[None, "math", "random"][1] == pytest.approx((expected["one"] + expected["two"]) / 2)
    assert cell[None, "general", "random"][1] == pytest.approx(expected["other"])


def test_the_dense_model_retains_exactly_everything() -> None:
    dense = retained(*study()).filter(pl.col("criterion") == "dense")
    for column in ("retention", "retention_low", "retention_high"):
        assert dense[column].to_list() == pytest.approx([1.0] * 5)


def test_the_bootstrap_is_a_paired_resampling_of_questions() -> None:
    values = np.random.default_rng(0).random((3, 20))
    draws = regimes.resampled_accuracies(values, 50, np.random.default_rng(7))
    weights = np.random.default_rng(7).multinomial(20, [1 / 20] * 20, size=50)
    slow = [[np.mean(np.repeat(row, counts)) for row in values] for counts in weights]
    np.testing.assert_allclose(draws, slow)


def test_equal_answers_have_equal_intervals_and_retain_everything_in_every_resample() -> None:
    table, found = study()
    dense, a = table["variant_id"][:2]
    copied = {
        name: pl.concat([
            rows.filter(pl.col("variant_id") != a),
            rows.filter(pl.col("variant_id") == dense).with_columns(variant_id=pl.lit(a)),
        ])
        for name, rows in found.items()
    }  # fmt: skip
    same = retained(table, copied).filter(pl.col("criterion") == "a")
    assert same["retention_low"].to_list() == same["retention_high"].to_list() == pytest.approx([1.0] * 5)
    assert (same["accuracy_low"] < same["accuracy_high"]).all()


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    table = variants(1)
    dense, a, r0 = table["variant_id"]
    covered = []
    for seed in range(150):
        rows = scores({dense: 0.9, a: 0.6, r0: 0.5}, 120, 0.25, seed=seed)
        result = regimes.retention("m", table, {"one": regimes.scored("math", rows)}, 300, 0.9, seed)
        row = result.filter(pl.col("criterion") == "a", pl.col("benchmark").is_null()).row(0, named=True)
        covered.append(row["retention_low"] <= (0.6 - 0.25) / (0.9 - 0.25) <= row["retention_high"])
    assert 0.82 <= np.mean(covered) <= 0.97


def test_retention_is_undefined_where_the_dense_model_is_at_chance() -> None:
    table, found = study()
    found["two"] = scores(dict.fromkeys(table["variant_id"], 0.0), 40, 0.0)
    result = retained(table, found)
    undefined = result.filter(pl.col("retention").is_null()).select("benchmark", "group").unique().rows()
    assert set(undefined) == {("two", "math"), (None, "math")}
    assert result.filter(pl.col("benchmark") == "two")["retention_low"].is_null().all()
    assert result["accuracy"].null_count() == 0


def test_a_further_benchmark_leaves_the_others_intervals_alone() -> None:
    table, found = study()
    fewer = retained(table, {name: found[name] for name in ("one", "other")})
    rows = retained(table, found).filter(pl.col("benchmark").is_in(["one", "other"]))
    assert rows.equals(fewer.filter(pl.col("benchmark").is_not_null()))


def test_an_unpaired_comparison_is_refused() -> None:
    table, found = study()
    with pytest.raises(DataError, match=table["variant_id"][3]):
        regimes.scored("math", found["one"].filter(
            (pl.col("variant_id") != table["variant_id"][3]) | (pl.col("sample_id") != "q7")))  # fmt: skip
