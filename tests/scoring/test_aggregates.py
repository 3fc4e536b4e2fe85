"""A benchmark's own metrics are those of a slow, plain computation, and baselines do not look at the question."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, product
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruning_regimes.jobs.errors import ConfigError, DataError
from pruning_regimes.scoring import aggregates
from pruning_regimes.tables import frame

VARIANTS = ("w", "v")
Row = dict[str, Any]


def question(name: str, topic: str = "c", /, choices: Sequence[str] | None = None, **metadata: Any) -> Row:
    """A row of the benchmark table; `answer`, `answers` and `answer_type` may be among the metadata."""
    answers = metadata.pop("answers", [metadata.pop("answer", "yes")])
    return {
        "sample_id": name,
        "cluster": name,
        "question": "Which?",
        "images": [],
        "choices": choices,
        "answers": answers,
        "answer_type": metadata.pop("answer_type", "exact"),
        "category": topic,
        "chance": 0.0,
        "metadata": json.dumps(metadata),
    }


def answer(name: str, score: float, variant: str = "v", category: str = "c", extracted: str | None = "x") -> Row:
    """A row of the scores table."""
    return {
        "variant_id": variant,
        "sample_id": name,
        "cluster": name,
        "category": category,
        "chance": 0.0,
        "extracted": extracted,
        "method": "unparsed" if extracted is None else "whole",
        "score": float(score),
        "error": None,
    }


def measured(questions: Iterable[Row], scores: Iterable[Row], *names: str) -> dict[tuple[str, str], tuple[float, int]]:
    """(variant, metric) -> value and n."""
    table = aggregates.metrics(frame("benchmark", list(questions)), frame("scores", list(scores)), names)
    assert not table.select("variant_id", "metric").is_duplicated().any()
    return {(row["variant_id"], row["metric"]): (row["value"], row["n"]) for row in table.iter_rows(named=True)}


def check(
    questions: Sequence[Row],
    name: str,
    expected: Callable[[Sequence[tuple[Row, Row]]], Mapping[str, tuple[float, int]]],
    data: st.DataObject,
    outcome: st.SearchStrategy[tuple[float, str | None]] | None = None,
) -> None:
    """Draw answers of two variants to the questions, some of which a subsample left out; compare every metric."""
    outcome = st.tuples(st.sampled_from([0.0, 1.0]), st.just("x")) if outcome is None else outcome
    kept = data.draw(st.lists(st.sampled_from(questions), min_size=1, unique_by=lambda row: row["sample_id"]))
    if data.draw(st.booleans()):
        kept = list(questions)
    drawn = data.draw(st.lists(outcome, min_size=2 * len(kept), max_size=2 * len(kept)))
    pairs = list(product(VARIANTS, kept))
    scores = [
        answer(row["sample_id"], score, variant, row["category"], extracted)
        for (variant, row), (score, extracted) in zip(pairs, drawn, strict=True)
    ]
    found = measured(kept, scores, name)
    for metric in ("accuracy", "unparsed_rate", "error_rate"):
        for variant in VARIANTS:
            found.pop((variant, metric))
    wanted = {
        (variant, metric): value
        for variant in VARIANTS
        for metric, value in expected(
            [(row, answer) for (of, row), answer in zip(pairs, scores, strict=True) if of == variant]
        ).items()
        if value[1]
    }
    assert found.keys() == wanted.keys()
    for key, (value, n) in wanted.items():
        assert found[key] == (pytest.approx(value), n), key


def share(values: Iterable[float]) -> tuple[float, int]:
    """Mean and number."""
    values = list(values)
    return (sum(values) / len(values) if values else 0.0), len(values)


def grouped(
    rows: Sequence[tuple[Row, Row]], key: Callable[[Row, dict[str, Any]], Any]
) -> dict[Any, list[tuple[Row, Row]]]:
    """Rows by a key of the question and its metadata."""

    def of(pair: tuple[Row, Row]) -> str:
        return repr(key(pair[0], json.loads(pair[0]["metadata"])))

    return {name: list(members) for name, members in groupby(sorted(rows, key=of), key=of)}


def right(rows: Sequence[tuple[Row, Row]]) -> bool:
    """All of them are."""
    return all(answer["score"] == 1 for _, answer in rows)


def test_every_variant_has_its_accuracy_and_what_was_not_read() -> None:
    failed = {**answer("c", 0, extracted=None), "method": "error", "error": "damaged"}
    scores = [answer("a", 0.6), answer("b", 0, extracted=None), failed, answer("a", 1, "u"), answer("gone", 1, "u")]
    found = measured(map(question, "abc"), scores)
    assert found["v", "accuracy"] == (pytest.approx(0.2), 3)
    assert found["v", "unparsed_rate"] == (pytest.approx(1 / 3), 3)
    assert found["v", "error_rate"] == (pytest.approx(1 / 3), 3)
    assert found["u", "accuracy"] == (1, 1)
    assert [variant for variant, _ in found] == ["v"] * 3 + ["u"] * 3, "the order of the scores"


def test_answers_of_one_set_of_layers_that_two_budgets_hold_count_once() -> None:
    rows = [answer("a", 1), answer("b", 0), answer("a", 1)]
    assert measured(map(question, "ab"), rows)["v", "accuracy"] == (0.5, 2)


def test_no_scores_have_no_metrics() -> None:
    for name in aggregates.AGGREGATES:
        assert measured([], [], name) == {}


YESNO = [question(f"{index}", answer=["Yes", "no"][index % 2]) for index in range(6)]


@settings(max_examples=60)
@given(st.data())
def test_yes_and_no(data: st.DataObject) -> None:
    def expected(rows: Sequence[tuple[Row, Row]]) -> dict[str, tuple[float, int]]:
        gold = [row["answers"][0].lower() for row, _ in rows]
        said = [
            right if answer["score"] else (answer["extracted"] or "neither")
            for right, (_, answer) in zip(gold, rows, strict=True)
        ]
        both = sum(a == b == "yes" for a, b in zip(gold, said, strict=True))
        of_gold, of_said = gold.count("yes"), said.count("yes")
        return {
            "yes_rate": (of_said / len(rows), len(rows)),
            "precision": (both / max(of_said, 1), of_said),
            "recall": (both / max(of_gold, 1), of_gold),
            "f1": (2 * both / max(of_said + of_gold, 1), of_said + of_gold),
        }

    outcome = st.sampled_from([(0.0, "yes"), (0.0, "no"), (0.0, None), (1.0, None)])
    check(YESNO, "yesno", expected, data, outcome)


def test_what_was_not_read_is_neither_yes_nor_no() -> None:
    questions = [question("a", answer="yes"), question("b", answer="no")]
    found = measured(questions, [answer("a", 0, extracted=None), answer("b", 0, extracted="Yes")], "yesno")
    assert found["v", "yes_rate"] == (0.5, 2) and found["v", "precision"] == (0, 1) and found["v", "recall"] == (0, 1)


MME = [
    question(f"{category}-{pair}-{number}", category, answer="yes", pair=f"{pair}.png")
    for category in aggregates.MME_CATEGORIES
    for pair in range(2)
    for number in range(2)
]


@settings(max_examples=30)
@given(st.data())
def test_mme_counts_the_pairs_of_an_image(data: st.DataObject) -> None:
    def expected(rows: Sequence[tuple[Row, Row]]) -> dict[str, tuple[float, int]]:
        found, points, everything = {}, {}, []
        for category in {row["category"] for row, _ in rows}:
            own = [pair for pair in rows if pair[0]["category"] == category]
            pairs = [right(two) for two in grouped(own, lambda _, more: more["pair"]).values() if len(two) == 2]
            everything += pairs
            found[f"acc/{category}"] = share(answer["score"] for _, answer in own)
            found[f"acc_plus/{category}"] = share(pairs)
            if pairs:
                points[category] = 100 * (found[f"acc/{category}"][0] + found[f"acc_plus/{category}"][0]), len(own)
        found["acc_plus"] = share(everything)
        for part, categories in aggregates.MME_PARTS.items():
            if all(category in points for category in categories):
                found[part] = tuple(sum(points[category][index] for category in categories) for index in (0, 1))
        return found

    check(MME, "mme", expected, data)


def test_mme_totals_reach_two_thousand_and_eight_hundred() -> None:
    found = measured(MME, [answer(row["sample_id"], 1, category=row["category"]) for row in MME], "mme")
    assert found["v", "perception"] == (2000, 40) and found["v", "cognition"] == (800, 16)


CIRCULAR = [
    question(f"{base}-{roll}", choices=["p", "q", "r", "s"][:options], base=base)
    for base, options in ((1, 2), (2, 4), (3, 3))
    for roll in range(options)
]


@settings(max_examples=60)
@given(st.data())
def test_a_circular_question_is_right_in_all_its_rolls(data: st.DataObject) -> None:
    def expected(rows: Sequence[tuple[Row, Row]]) -> dict[str, tuple[float, int]]:
        bases = grouped(rows, lambda _, more: more["base"]).values()
        return {"circular_accuracy": share(right(own) for own in bases if len(own) == len(own[0][0]["choices"]))}

    check(CIRCULAR, "circular", expected, data)


WEMATH = [
    question(f"{steps}-{number}-{part}", ID=f"{steps}steps_{number}", key=f"{steps}steps_{part}")
    for steps in (2, 3)
    for number in range(3)
    for part in [*range(1, steps + 1), "multi"]
]


@settings(max_examples=100)
@given(st.data())
def test_wemath_tells_mastery_from_rote(data: st.DataObject) -> None:
    def expected(rows: Sequence[tuple[Row, Row]]) -> dict[str, tuple[float, int]]:
        counts = dict.fromkeys(("ig", "ik", "cm_strict", "cm_loose", "rm_strict", "rm_loose"), 0)
        total = 0
        for own in grouped(rows, lambda _, more: more["ID"]).values():
            scores = {json.loads(row["metadata"])["key"]: answer["score"] == 1 for row, answer in own}
            steps = int(next(iter(scores))[0])
            if len(scores) < steps + 1:
                continue
            total += 1
            multi = scores.pop(f"{steps}steps_multi")
            step = list(scores.values())
            counts["ig"] += all(step) and not multi
            counts["ik"] += not all(step) and not multi
            counts["cm_strict"] += all(step) and multi
            counts["cm_loose"] += any(step) and multi
            counts["rm_strict"] += not all(step) and multi
            counts["rm_loose"] += not any(step) and multi
        found = {}
        for kind in ("ig", "ik", "cm_strict", "cm_loose"):
            found[f"wemath_{kind}"] = counts[kind] / max(total, 1), total
        for kind in ("strict", "loose"):
            rote, mastered = counts[f"rm_{kind}"], counts[f"cm_{kind}"]
            found[f"wemath_rm_{kind}"] = rote / max(rote + mastered, 1), rote + mastered
            lost = 0.5 * counts["ig"] + rote + counts["ik"]
            found[f"wemath_score_{kind}"] = (total - lost) / max(total, 1), total
        return found

    check(WEMATH, "wemath", expected, data)


DYNAMATH = [
    question(f"{number}-{variant}", question_id=number, variant=variant) for number in range(3) for variant in range(3)
]


@settings(max_examples=60)
@given(st.data())
def test_dynamath_worst_case_needs_every_variant(data: st.DataObject) -> None:
    def expected(rows: Sequence[tuple[Row, Row]]) -> dict[str, tuple[float, int]]:
        variants = {json.loads(row["metadata"])["variant"] for row, _ in rows}
        groups = grouped(rows, lambda _, more: more["question_id"]).values()
        return {
            "average": share(answer["score"] for _, answer in rows),
            "worst_case": share(right(own) for own in groups if len(own) == len(variants)),
        }

    check(DYNAMATH, "dynamath", expected, data)


HALLUSION = [
    question(f"{kind}-{group}-{figure}-{asked}", "other", category=kind, subcategory="s", set_id=group,
             figure_id=figure, question_id=asked)
    for kind in ("VD", "VS") for group in range(2) for figure in range(2) for asked in range(2)
]  # fmt: skip


@settings(max_examples=60)
@given(st.data())
def test_hallusion_counts_figures_and_question_pairs(data: st.DataObject) -> None:
    def expected(rows: Sequence[tuple[Row, Row]]) -> dict[str, tuple[float, int]]:
        more = [(pair, json.loads(pair[0]["metadata"])) for pair in rows]
        seen = [pair for pair, of in more if of["category"] == "VD" or of["figure_id"] != 0]
        figures = grouped(seen, lambda _, of: (of["category"], of["set_id"], of["figure_id"]))
        asked = grouped(rows, lambda _, of: (of["category"], of["set_id"], of["question_id"]))
        return {
            "aAcc": share(answer["score"] for _, answer in rows),
            "fAcc": share(map(right, figures.values())),
            "qAcc": share(map(right, asked.values())),
        }

    check(HALLUSION, "hallusion", expected, data)


CATEGORIES = [question(f"{index}", "abbccc"[index]) for index in range(6)]


@settings(max_examples=30)
@given(st.data())
def test_categories(data: st.DataObject) -> None:
    def expected(rows: Sequence[tuple[Row, Row]]) -> dict[str, tuple[float, int]]:
        groups = grouped(rows, lambda row, _: row["category"]).values()
        return {f"accuracy/{own[0][0]['category']}": share(answer["score"] for _, answer in own) for own in groups}

    def mean(rows: Sequence[tuple[Row, Row]]) -> dict[str, tuple[float, int]]:
        return {"category_mean": share(value for value, _ in expected(rows).values())}

    outcome = st.tuples(st.sampled_from([0.0, 0.3, 1.0]), st.just("x"))
    check(CATEGORIES, "by_category", expected, data, outcome)
    check(CATEGORIES, "category_mean", mean, data, outcome)


@pytest.mark.parametrize(
    ("row", "name", "sentence"),
    [
        (question("q", answer="maybe"), "yesno", "Question 'q' has the answer 'maybe'; choose one of yes, no."),
        (question("q", "colour", pair="p"), "mme", "Question 'q' has the category 'colour'; did you mean 'color'?"),
        (question("q", "color"), "mme", "Question 'q' has no metadata.pair"),
        (question("q", choices=["a"]), "circular", "Question 'q' has no metadata.base"),
        (question("q", base=1), "circular", "Question 'q' has no choices"),
        (question("q", ID="1", key="4steps_1"), "wemath", "Question 'q' has no key"),
        ({**question("q"), "metadata": None}, "dynamath", "Question 'q' has no metadata.question_id"),
        ({**question("q"), "metadata": "{"}, "dynamath", "metadata"),
    ],
)  # fmt: skip
def test_a_question_without_what_is_needed_is_named(row: Row, name: str, sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        measured([row], [answer("q", 1, category=row["category"])], name)
    assert sentence in str(caught.value)


def test_unknown_metrics_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no metrics 'wemaths'; did you mean 'wemath'"):
        measured([], [], "wemaths")


def test_a_thousand_questions_and_a_hundred_variants_take_a_second() -> None:
    questions = [
        question(f"{index}", aggregates.MME_CATEGORIES[index % 14], answer="yes", pair=index // 28)
        for index in range(1000)
    ]
    scores = pl.concat(
        frame("scores", [answer(row["sample_id"], 1, f"v{number}", row["category"], "yes") for row in questions])
        for number in range(100)
    )
    table = frame("benchmark", questions)
    began = time.perf_counter()
    aggregates.metrics(table, scores, ["mme", "yesno", "category_mean", "by_category"])
    assert time.perf_counter() - began < 5
