"""Two sets of answers are compared question by question, whatever tables they come in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes import scoring, tables
from pruning_regimes.api import compare
from pruning_regimes.demo import datasets
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.regimes import scored
from pruning_regimes.regimes.paired import paired, sign_flip
from pruning_regimes.regimes.retention import retained
from pruning_regimes.scoring.clusters import clustered

SCORES = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 1 / 3])
PAIRS = st.lists(st.tuples(SCORES, SCORES, st.integers(0, 5)), min_size=1, max_size=30)


def arrays(pairs: Sequence[tuple[float, float, int]]) -> tuple[np.ndarray, np.ndarray, pl.Series]:
    a, b, cluster = zip(*pairs, strict=True)
    return np.array(a, float), np.array(b, float), pl.Series([f"c{name}" for name in cluster])


def enumerated(differences: Sequence[float]) -> float:
    """The p-value by its definition: the share of all ways to change places that differ as much."""
    observed = abs(sum(differences))
    ways = list(product((1, -1), repeat=len(differences)))
    totals = (abs(sum(s * d for s, d in zip(way, differences, strict=True))) for way in ways)
    return sum(total >= observed - 1e-9 for total in totals) / len(ways)


@given(PAIRS)
def test_changing_sides_changes_the_sign_and_nothing_else(pairs: list[tuple[float, float, int]]) -> None:
    a, b, clusters = arrays(pairs)
    one, other = paired(a, b, clusters, 200), paired(b, a, clusters, 200)
    assert other.p == one.p
    mirrored = (-one.difference, -one.high, -one.low)
    assert (other.difference, other.low, other.high) == pytest.approx(mirrored, abs=1e-12)
    assert (other.only_a, other.only_b, other.both, other.neither) == (one.only_b, one.only_a, one.both, one.neither)
    assert one.both + one.only_a + one.only_b + one.neither == one.n_questions == len(pairs)
    assert 0 < one.p <= 1 and one.low - 1e-12 <= one.high


@given(st.lists(st.floats(-3, 3) | st.integers(-2, 2), max_size=9))
def test_few_clusters_give_the_exact_p(differences: list[float]) -> None:
    rng = np.random.default_rng(0)
    # Differences that are zero change nothing, whoever they are given to.
    assert sign_flip(np.array(differences, float), 2**9, rng) == pytest.approx(enumerated(differences))


@pytest.mark.parametrize(("wins", "losses"), [(12, 3), (20, 14), (9, 9), (15, 0)])
def test_many_clusters_give_about_the_exact_p(wins: int, losses: int) -> None:
    n = wins + losses
    tail = sum(comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= abs(wins - losses)) / 2**n  # the sign test
    found = sign_flip(np.repeat([1.0, 0.0, -1.0], [wins, 100, losses]), 20_000, np.random.default_rng(1))
    assert found == pytest.approx(tail, abs=4 * (tail * (1 - tail) / 20_000) ** 0.5 + 1e-4)
    assert found > 0


def test_fractions_that_add_up_alike_are_alike() -> None:
    differences = np.tile([1 / 3, -1 / 3, 0.1, -0.1, 0.7], 6)
    exact = sign_flip(differences * 30, 4000, np.random.default_rng(2))  # whole numbers
    assert sign_flip(differences, 4000, np.random.default_rng(2)) == exact


def test_under_the_null_hypothesis_p_is_not_small_too_often() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(400):
        a, b = rng.random((2, 60)) < 0.6
        found.append(sign_flip(a.astype(float) - b, 500, rng))
    assert np.mean(np.array(found) <= 0.05) < 0.08


def rows(variant: str, right: Sequence[float], cluster: Callable[[int], str] = str) -> list[dict[str, Any]]:
    base = {"variant_id": variant, "category": "c", "chance": 0.0, "extracted": None, "method": "m", "error": None}
    return [
        {**base, "sample_id": f"q{i}", "cluster": cluster(i), "score": float(score)} for i, score in enumerate(right)
    ]


def test_the_interval_is_that_of_the_workflow() -> None:
    rng = np.random.default_rng(4)
    a, b = (rng.random((2, 90)) < [[0.8], [0.6]]).astype(float)
    table = tables.frame("scores", rows("a", a, lambda i: f"c{i % 40}") + rows("b", b, lambda i: f"c{i % 40}"))
    draws = retained(scored("math", table), ["a", "b"], resamples=500, confidence=0.9, seed=7).accuracies
    expected = np.quantile(draws[:, 0] - draws[:, 1], [0.05, 0.95])
    sides = [table.filter(variant_id=name) for name in "ab"]
    found = compare(*sides, resamples=500, confidence=0.9, seed=7)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-12)
    assert found.n_clusters == 40 and found.clustered


def test_questions_of_one_image_count_once() -> None:
    rng = np.random.default_rng(5)
    a, b = (rng.random((2, 30)) < [[0.8], [0.5]]).astype(float)
    alone = paired(a, b, pl.Series([f"c{i:02d}" for i in range(30)]))
    copies = paired(np.repeat(a, 4), np.repeat(b, 4), pl.Series([f"c{i // 4:02d}" for i in range(120)]))
    names = ("accuracy_a", "difference", "low", "high", "p", "n_clusters")
    assert [getattr(copies, name) for name in names] == pytest.approx([getattr(alone, name) for name in names])
    assert copies.n_questions == 120 and copies.only_a == 4 * alone.only_a
    independent = paired(np.repeat(a, 4), np.repeat(b, 4), pl.Series([f"c{i:03d}" for i in range(120)]))
    assert independent.high - independent.low < 0.6 * (copies.high - copies.low)


def test_the_same_answers_do_not_differ() -> None:
    a = np.array([1.0, 0.0, 1.0])
    found = paired(a, a, pl.Series(["x", "y", "z"]))
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_partial_credit_counts_as_right_from_one_half_on() -> None:
    found = paired(np.array([0.5, 0.49, 1.0]), np.array([0.0, 0.6, 0.4]), pl.Series(["x", "y", "z"]))
    assert (found.both, found.only_a, found.only_b, found.neither) == (0, 2, 1, 0)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Results of a study: two criteria share a variant at budget 2; the third question has the second one's image."""
    results = tmp_path / "results"
    questions = datasets.benchmark_table("reading", 6, seed=0)
    images = questions["images"].to_list()
    questions = questions.with_columns(
        images=pl.Series([*images[:2], images[1], *images[3:]], dtype=pl.List(pl.Binary))
    )
    tables.write(questions, "benchmark", results / "benchmarks" / "reading.parquet", {})
    replies = {"0" * 12: 6, "a" * 12: 5, "b" * 12: 2}
    answers = [
        {
            "variant_id": variant,
            "sample_id": name,
            "prompt_digest": "",
            "response": answer[0] if i < right else "nothing like it",
            "n_tokens": 1,
            "finish_reason": "stop",
            "error": None,
        }
        for variant, right in replies.items()
        for i, (name, answer) in enumerate(questions.select("sample_id", "answers").iter_rows())
    ]
    tables.write(answers, "predictions", results / "predictions" / "m" / "reading" / "2.parquet", {})
    table = clustered(scoring.score(questions, tables.frame("predictions", answers)), questions)
    tables.write(table, "scores", results / "scores" / "m" / "reading.parquet", {})
    base = {"n_removed": 2, "removed": [1, 2], "kept": [0, 3], "budget": "2", "replicate": 0}
    variants = [
        {**base, "criterion": "dense", "budget": "0", "n_removed": 0, "removed": [], "variant_id": "0" * 12},
        {**base, "criterion": "mixed", "variant_id": "a" * 12},
        {**base, "criterion": "last", "variant_id": "a" * 12},
        {**base, "criterion": "random", "variant_id": "b" * 12, "replicate": 1},
    ]
    tables.write(variants, "variants", results / "variants" / "m.parquet", {})
    return results


def test_predictions_are_scored_with_the_benchmark_of_their_study(study: Path) -> None:
    file = study / "predictions" / "m" / "reading" / "2.parquet"
    found = compare(file, file, variant_a="mixed/2", variant_b="random/2-replicate1")
    assert (found.accuracy_a, found.accuracy_b, found.only_a) == (pytest.approx(5 / 6), pytest.approx(2 / 6), 3)
    assert found.n_questions == 6 and found.n_clusters == 5 and found.clustered
    assert found.a == f"{file} (mixed/2, last/2)"
    scores = study / "scores" / "m" / "reading.parquet"
    assert compare(scores, scores, variant_a="last/2", variant_b="b" * 12).p == found.p
    again = compare(file, scores, variant_a="a" * 12, variant_b="dense")
    assert again.difference == pytest.approx(-1 / 6) and again.n_clusters == 5


def test_predictions_away_from_their_study_need_the_benchmark(study: Path, tmp_path: Path) -> None:
    file = (study / "predictions" / "m" / "reading" / "2.parquet").rename(tmp_path / "mine.parquet")
    with pytest.raises(
        DataError, match="^benchmark: .*mine.parquet .* holds predictions; expected the benchmark table"
    ):
        compare(file, file, variant_a="a" * 12, variant_b="b" * 12)
    benchmark = study / "benchmarks" / "reading.parquet"
    found = compare(file, file, variant_a="a" * 12, variant_b="b" * 12, benchmark=benchmark)
    assert found.only_a == 3 and found.n_clusters == 5
    with pytest.raises(DataError, match=r"^variant_a: .* holds 3 variants; choose one of 0{12}, a{12}, b{12}\.$"):
        compare(file, file)


def test_the_variants_that_are_there_are_named(study: Path) -> None:
    file = study / "predictions" / "m" / "reading" / "2.parquet"
    with pytest.raises(DataError, match=r"variant_a: .* choose one of dense, mixed/2, random/2-replicate1\.$"):
        compare(file, file)
    with pytest.raises(DataError, match=r"variant_b: 'mixd/2' is not in .*; did you mean 'mixed/2'\?$"):
        compare(file, file, variant_a="dense", variant_b="mixd/2")


TABLE = {"sample_id": ["1", "2", "3", "4"], "score": [1.0, 0.0, 1.0, 0.5]}


def written(folder: Path, suffix: str) -> Path:
    file, table = folder / f"scores{suffix}", pl.DataFrame(TABLE)
    if suffix == ".parquet":
        table.write_parquet(file)
    elif suffix == ".csv":
        table.write_csv(file)
    elif suffix == ".json":
        file.write_text(json.dumps(table.to_dicts()))
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in table.to_dicts()))
    return file


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json", ".jsonl"])
def test_a_table_of_any_format_will_do(tmp_path: Path, suffix: str) -> None:
    other = pl.DataFrame({"sample_id": [1, 2, 3, 4], "score": [0, 0, 1, 1]})
    found = compare(written(tmp_path, suffix), other)
    assert (found.accuracy_a, found.accuracy_b, found.n_clusters) == (0.625, 0.5, 4)
    assert not found.clustered and "4, taken to share no image" in str(found)


def test_only_shared_questions_are_compared_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    a, b = pl.DataFrame(TABLE), pl.DataFrame({"sample_id": ["2", "3", "9"], "score": [1, 0, 1]})
    found = compare(a, b)
    assert (found.n_questions, found.left_out_a, found.left_out_b) == (2, 2, 1)
    assert "the 2 that both answer are compared, 2 of A and 1 of B left out" in caplog.text
    with pytest.raises(DataError, match="have no sample_id in common"):
        compare(a, pl.DataFrame({"sample_id": ["x"], "score": [1]}))


def test_clusters_of_either_side_count_and_have_to_agree() -> None:
    a = pl.DataFrame({**TABLE, "cluster": ["x", "x", "y", None]})
    assert compare(a, pl.DataFrame(TABLE)).n_clusters == compare(pl.DataFrame(TABLE), a).n_clusters == 3
    renamed = a.with_columns(cluster=pl.Series(["one", "one", "two", "three"]))
    assert compare(a, renamed).n_clusters == 3
    with pytest.raises(DataError, match="do not agree which questions share an image; name the benchmark table"):
        compare(a, a.with_columns(cluster=pl.Series(["x", "y", "y", "z"])))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"score": [1.0, 0.0, 2.0, 0.5]}, r"^A: the score of '3' is 2\.0; expected a number from 0 to 1\.$"),
        ({"score": ["1", "0", "yes", "0"]}, r"^A: the score of '3' is yes; expected"),
        ({"score": [1.0, None, 1.0, 0.0]}, r"^A: the score of '2' is None; expected"),
        ({"score": [[1], [0], [1], [0]]}, r"expected scores from 0 to 1\.$"),
        ({"score": [{"a": 1}] * 4}, r"expected scores from 0 to 1\.$"),
        ({"sample_id": [[1], [2], [3], [4]]}, r"expected scores from 0 to 1\.$"),
        ({"sample_id": ["1", "1", "3", "4"]}, r"^A has the sample_id '1' more than once"),
    ],
)
def test_scores_that_are_none_are_named(change: dict[str, list[Any]], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        compare(pl.DataFrame({**TABLE, **change}), pl.DataFrame(TABLE))


def test_what_is_no_table_of_scores_is_refused(tmp_path: Path, study: Path) -> None:
    table = pl.DataFrame(TABLE)
    with pytest.raises(DataError, match=r"^A has no column 'score'; did you mean 'scores'\?$"):
        compare(table.rename({"score": "scores"}), table)
    with pytest.raises(DataError, match=r"^b: there is no file '.*/scores.jsn'; did you mean '.*/scores.json'\?$"):
        written(tmp_path, ".json")
        compare(table, tmp_path / "scores.jsn")
    (tmp_path / "scores.txt").write_text("")
    with pytest.raises(DataError, match=r"^b: 'scores.txt' ends in '.txt'; expected one of .parquet, .jsonl, .json"):
        compare(table, tmp_path / "scores.txt")
    (tmp_path / "scores.parquet").write_text("no")
    with pytest.raises(DataError, match="cannot be read as a Parquet table"):
        compare(table, tmp_path / "scores.parquet")
    with pytest.raises(DataError, match="^variant_b: B has no column 'variant_id', so it holds no variants"):
        compare(table, table, variant_b="x")
    with pytest.raises(DataError, match="which the benchmark does not ask"):
        compare(table, table, benchmark=study / "benchmarks" / "reading.parquet")
    with pytest.raises(DataError, match="confidence 95"):
        compare(table, table, confidence=95)


def test_a_comparison_prints_what_it_found() -> None:
    found = compare(pl.DataFrame(TABLE), pl.DataFrame({**TABLE, "score": [0, 0, 0, 0]}))
    text = str(replace(found, p=0.25))
    assert "A - B: +0.6250, 95% interval" in text and "p = 0.25" in text
    assert "Right: 0 by both, 3 by A alone, 0 by B alone, 1 by neither" in text
