"""Retention and its intervals are what a plain computation gives."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pruning_regimes import regimes, tables
from pruning_regimes.criteria.variants import collect
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.regimes.scored import resampled_accuracies


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
    settings = {"resamples": 400, "confidence": 0.9, "seed": 0, **options}
    return regimes.retention(regimes.results("m", table, scored, **settings))


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


def test_the_bootstrap_is_a_paired_resampling_of_clusters() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 4, 20)
    values = [rng.random((3, size)) for size in sizes]
    sums = np.stack([part.sum(1) for part in values], 1)
    draws = resampled_accuracies(sums, sizes.astype(float), 50, np.random.default_rng(7))
    weights = np.random.default_rng(7).multinomial(20, [1 / 20] * 20, size=50)
    slow = [
        np.concatenate([part for part, n in zip(values, counts, strict=True) for _ in range(n)], axis=1).mean(1)
        for counts in weights
    ]
    np.testing.assert_allclose(draws, slow)


def test_questions_that_share_an_image_are_resampled_together() -> None:
    table, found = study(n_questions=120)
    copies = found["one"].with_columns(cluster=pl.col("sample_id"))
    tripled = pl.concat([copies.with_columns(pl.col("sample_id") + f"-{i}") for i in range(3)])
    once, together = (retained(table, {"one": rows, "two": found["two"]}, resamples=4000) for rows in (copies, tripled))
    alone = retained(table, {"one": tripled.with_columns(cluster="sample_id"), "two": found["two"]}, resamples=4000)

    def width(rows: pl.DataFrame) -> float:
        row = rows.filter(pl.col("benchmark") == "one", pl.col("criterion") == "a").row(0, named=True)
        return row["retention_high"] - row["retention_low"]

    assert width(together) == pytest.approx(width(once), rel=0.1)
    assert width(alone) == pytest.approx(width(once) / np.sqrt(3), rel=0.1)


def test_influences_have_the_variances_of_the_bootstrap() -> None:
    table, found = study(n_questions=400)
    scored = {name: regimes.scored(GROUPS[name], rows) for name, rows in found.items()}
    of = regimes.results("m", table, scored, 4000, 0.9, 0)
    for kept in (of.benchmarks["one"], of.of_groups["math"]):
        np.testing.assert_allclose(kept.influence.sum(0), 0, atol=1e-9)
        np.testing.assert_allclose(kept.influence.T @ kept.influence, np.cov(kept.retentions.T), atol=2e-4)
        chance = (kept.retention - kept.shares.sum(0))[1:]
        np.testing.assert_allclose(chance, chance[0])  # what chance adds is the same for all


def test_what_cannot_be_told_from_chance_has_collapsed() -> None:
    table, _ = study()
    dense, a, r0, r1 = table["variant_id"]
    rows = scores({dense: 0.9, a: 0.26, r0: 0.6, r1: 0.5}, 200, 0.25)
    result = retained(table, {"one": rows}).filter(pl.col("benchmark").is_null())
    assert dict(result.select("criterion", "collapsed").rows()) == {"dense": False, "a": True, "random": False}


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
        result = regimes.retention(regimes.results("m", table, {"one": regimes.scored("math", rows)}, 300, 0.9, seed))
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
