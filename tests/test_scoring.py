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
        ("?!", ["red"], None, 0),
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
        ("Bananas", None, 0),
        ("", None, 0),
    ],
)
def test_choice(response: str, extracted: str | None, score: float) -> None:
    assert scoring.choice(response, ["blue sky"], ["red", "blue sky", "green"]) == (extracted, score)


def test_a_choice_question_needs_choices() -> None:
    with pytest.raises(DataError, match="no choices"):
        scoring.choice("A", ["red"], None)


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


def test_an_unknown_answer_type_gets_the_nearest() -> None:
    with pytest.raises(DataError, match="'integre'; did you mean 'integer'"):
        scoring.score(table("integre"), tables.frame("predictions", []))
