"""The scores table, the checks of questions, and the rules for plain answers at their edges."""

from __future__ import annotations

import polars as pl
import pytest

from pruning_regimes import scoring, tables
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.scoring import ANSWER_TYPES, Question


def verdict(kind: str, response: str, answers: list[str], choices: tuple[str, ...] = ()) -> tuple[str | None, float]:
    """What a clean rule extracts, and its score."""
    found = ANSWER_TYPES[kind].clean(response, Question(answers, choices))
    return found.extracted, found.score


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
    assert verdict("exact", response, answers) == (extracted, score)


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
    assert verdict("integer", response, ["12"]) == (extracted, score)


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
        ("B) because A is not", "blue sky", 1),
        ("B. because the sky is so", "blue sky", 1),
        ("Bananas", None, 0),
        ("", None, 0),
    ],
)
def test_choice(response: str, extracted: str | None, score: float) -> None:
    assert verdict("choice", response, ["blue sky"], ("red", "blue sky", "green")) == (extracted, score)


def test_options_are_told_apart_by_what_they_are() -> None:
    assert verdict("choice", "+", ["-"], ("+", "-")) == ("+", 0)
    assert verdict("choice", "A", ["-5"], ("-5", "5")) == ("-5", 1)
    assert verdict("choice", "5", ["-5"], ("-5", "5")) == ("5", 0)
    assert verdict("integer", "1,000", ["1000"]) == ("1000", 1)


def test_a_letter_may_be_followed_by_a_reason_on_further_lines() -> None:
    assert verdict("choice", "B.\nred\nbecause it is", ["red"], ("blue", "red")) == ("red", 1)


def table(answer_type: str) -> pl.DataFrame:
    """Two questions whose answer is 3."""
    rows = [
        {"sample_id": name, "question": "q", "images": [], "choices": None, "answers": ["3"],
         "answer_type": answer_type, "category": "c", "chance": 0.25, "metadata": None}
        for name in ("a", "b")
    ]  # fmt: skip
    return tables.frame("benchmark", rows)


def predictions(responses: dict[str, tuple[str, str | None]]) -> pl.DataFrame:
    """One answer per question, with its error."""
    rows = [
        {"variant_id": "v", "sample_id": name, "prompt_digest": "d", "response": response, "n_tokens": 1,
         "finish_reason": "stop", "error": error}
        for name, (response, error) in responses.items()
    ]  # fmt: skip
    return tables.frame("predictions", rows)


def test_errors_score_zero_and_dropped_questions_are_left_out() -> None:
    answers = predictions({"a": ("3", None), "b": ("3", "broken image"), "gone": ("3", None)})
    scored = scoring.score(table("integer"), answers)
    assert scored.select("sample_id", "extracted", "method", "score", "chance").rows() == [
        ("a", "3", "number", 1.0, 0.25),
        ("b", None, "error", 0.0, 0.25),
    ]


def test_images_are_not_needed_and_an_answer_that_cannot_be_read_is_unparsed() -> None:
    scored = scoring.score(
        table("integer").drop("images"), predictions({"a": ("three or four", None), "b": ("", None)})
    )
    assert scored["method"].to_list() == ["unparsed"] * 2 and scored["extracted"].null_count() == 2


def test_modes_differ_where_upstream_has_a_fault() -> None:
    answers = predictions({"a": ("$3", None), "b": ("<think>4?</think>3", None)})
    assert scoring.score(table("relaxed"), answers)["score"].to_list() == [1, 1]
    assert scoring.score(table("relaxed"), answers, "upstream")["score"].to_list() == [0, 0]
    with pytest.raises(DataError, match=r"no scoring mode 'upsteam'; did you mean 'upstream'\?$"):
        scoring.score(table("relaxed"), answers, "upsteam")


def test_metadata_reach_the_rules() -> None:
    rows = [row | {"metadata": '{"question_type": "free_form", "answer_type": "float", "precision": 1.0}'}
            for row in table("mathvista").to_dicts()]  # fmt: skip
    rows[0]["answers"] = ["3.1"]
    scored = scoring.score(tables.frame("benchmark", rows), predictions({"a": ("3.14", None)}))
    assert scored["score"].to_list() == [1]
    broken = tables.frame("benchmark", [rows[0] | {"metadata": "[1]"}])
    for run in (lambda: scoring.check("mine", broken), lambda: scoring.score(broken, predictions({}))):
        with pytest.raises(DataError, match=r"question 'a': metadata have to be a JSON object, found '\[1\]'"):
            run()


VISTA = '{"question_type": "multi_choice", "answer_type": "text"}'


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"answer_type": "integre"}, r"unknown answer_type 'integre'; did you mean 'integer'\?$"),
        ({"answers": []}, "has no answer"),
        ({"answer_type": "integer", "answers": ["12.0"]}, "the answer '12.0' is no whole number"),
        ({"answer_type": "choice"}, "needs 2 to 26 choices, found 0"),
        ({"answer_type": "letter"}, "the answer '3' is not the letter of a choice"),
        (
            {"answer_type": "letter", "answers": ["C"], "choices": ["x", "y"]},
            "'C' is not the letter of a choice; choose",
        ),
        ({"answer_type": "letter", "answers": ["A"], "choices": ["x"]}, "needs 2 to 26 choices, found 1"),
        ({"answer_type": "vqa"}, "needs the answers of more than 3 annotators, found 1"),
        ({"answer_type": "yesno_mme"}, "the answer '3' is neither 'yes' nor 'no'"),
        ({"answer_type": "mathvista"}, "unknown metadata.question_type 'None'"),
        ({"answer_type": "mathvista", "metadata": VISTA, "choices": ["1", "2"]}, "'3' is none of its choices"),
        ({"answer_type": "mathvision", "choices": ["1", "2"]}, "'3' is not the letter of a choice"),
        ({"answer_type": "mathverse", "metadata": '{"question_type": "multi-choice"}'}, "'3' is not the letter"),
        ({"answer_type": "dynamath", "metadata": '{"answer_type": "flaot"}'}, "did you mean 'float'"),
        ({"answer_type": "dynamath", "answers": ["x y"], "metadata": '{"answer_type": "float"}'}, "is no number"),
        ({"answer_type": "dynamath", "metadata": '{"answer_type": "multiple choice"}'}, "not the letter of an option"),
        ({"answer_type": "tabmwp", "choices": ["1", "2"]}, "'3' is none of its choices"),
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
