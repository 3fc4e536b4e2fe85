"""Scorers at their edges."""

from __future__ import annotations

import polars as pl
import pytest

from pruning_regimes import scoring, tables
from pruning_regimes.errors import DataError


@pytest.mark.parametrize(
    ("response", "answers", "extracted", "score"),
    [
        ("Red", ["red"], "red", 1),
        ("  the  red. ", ["red"], "the red", 0),
        ("yes", ["no", "YES!"], "yes", 1),
        ("", ["red"], None, 0),
        ("?!", ["red"], "?!", 0),
        ("", ["+"], None, 0),
        ("+", ["+"], "+", 1),
        ("15", ["1.5"], "15", 0),
        ("(1.5)", ["1.5"], "1.5", 1),
        ("5", ["-5"], "5", 0),
        ("\u22125.", ["-5"], "-5", 1),
        ("34", ["3/4"], "34", 0),
        ("'blue-green'", ["Blue-Green"], "blue-green", 1),
    ],
)
def test_exact(response: str, answers: list[str], extracted: str | None, score: float) -> None:
    assert scoring.exact(response, answers, None) == (extracted, score)


@pytest.mark.parametrize(
    ("response", "extracted", "score"),
    [
        ("12", "12", 1),
        ("The answer is 12.", "12", 1),
        ("012", "12", 1),
        ("12 and 12", "12", 1),
        ("-12", "-12", 0),
        ("3 or 12", None, 0),
        ("1.5", None, 0),
        ("12.0", None, 0),
        ("twelve", None, 0),
        ("x12", None, 0),
        ("\u221212", "-12", 0),
        ("1,012", "1012", 0),
        ("1,2", None, 0),
        ("x=12", "12", 1),
        ("", None, 0),
    ],
)
def test_integer(response: str, extracted: str | None, score: float) -> None:
    assert scoring.integer(response, ["12"], None) == (extracted, score)


@pytest.mark.parametrize(
    ("response", "extracted", "score"),
    [
        ("B", "blue sky", 1),
        ("(b)", "blue sky", 1),
        ("B. blue sky", "blue sky", 1),
        ("Blue sky!", "blue sky", 1),
        ("A", "red", 0),
        ("D", None, 0),
        ("A or B", None, 0),
        ("A. or B.", None, 0),
        ("B) because A is not", None, 0),
        ("B. because the sky is so", "blue sky", 1),
        ("Bananas", None, 0),
        ("", None, 0),
    ],
)
def test_choice(response: str, extracted: str | None, score: float) -> None:
    assert scoring.choice(response, ["blue sky"], ["red", "blue sky", "green"]) == (extracted, score)


def test_options_are_told_apart_by_what_they_are() -> None:
    assert scoring.choice("+", ["-"], ["+", "-"]) == ("+", 0)
    assert scoring.choice("A", ["-5"], ["-5", "5"]) == ("-5", 1)
    assert scoring.choice("5", ["-5"], ["-5", "5"]) == ("5", 0)
    assert scoring.integer("1,000", ["1000"], None) == ("1000", 1)


def table(answer_type: str) -> pl.DataFrame:
    """Two questions whose answer is 3."""
    rows = [
        {"sample_id": name, "question": "q", "images": [], "choices": None, "answers": ["3"],
         "answer_type": answer_type, "category": "c", "chance": 0.25, "metadata": None}
        for name in ("a", "b")
    ]  # fmt: skip
    return tables.frame("benchmark", rows)


def test_errors_score_zero_and_dropped_questions_are_left_out() -> None:
    answers = [
        {"variant_id": "v", "sample_id": name, "prompt_digest": "d", "response": "3", "n_tokens": 1,
         "finish_reason": "stop", "error": error}
        for name, error in (("a", None), ("b", "broken image"), ("gone", None))
    ]  # fmt: skip
    scored = scoring.score(table("integer"), tables.frame("predictions", answers))
    assert scored.select("sample_id", "extracted", "score", "chance").rows() == [
        ("a", "3", 1.0, 0.25),
        ("b", None, 0.0, 0.25),
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"answer_type": "integre"}, r"unknown answer_type 'integre'; did you mean 'integer'\?$"),
        ({"answers": []}, "has no answer"),
        ({"answer_type": "integer", "answers": ["12.0"]}, "the answer '12.0' is no whole number"),
        ({"answer_type": "choice"}, "needs 2 to 26 choices, found 0"),
        ({"answer_type": "choice", "choices": ["one", "two"]}, "the answer '3' is none of its choices"),
        ({"answer_type": "choice", "choices": ["3", "Red", "red."]}, "differ by case or punctuation only"),
        ({"answer_type": "choice", "choices": ["3", "a"]}, "the choice 'a' is the letter of another choice"),
    ],
)
def test_a_question_that_cannot_be_scored_is_named(change: dict, sentence: str) -> None:
    good = table("exact").to_dicts()
    scoring.check("mine", tables.frame("benchmark", good))
    with pytest.raises(DataError, match=r"^benchmarks\.mine: question 'b'.*" + sentence):
        scoring.check("mine", tables.frame("benchmark", [good[0], good[1] | change]))
