"""Rules for numbers, words and whole responses, clean and as upstream has them."""

from __future__ import annotations

import pytest

from pruning_regimes.scoring import ANSWER_TYPES, Question
from pruning_regimes.scoring.final import without_reasoning
from pruning_regimes.scoring.numbers import number, numbers, stated_number
from pruning_regimes.scoring.strings import vqa_normalise
from pruning_regimes.scoring.text import LIMIT, final_part


def scores(kind: str, response: str, *answers: str, **metadata: str) -> tuple[float, float]:
    """The clean and the upstream score."""
    rules, asked = ANSWER_TYPES[kind], Question(answers, (), metadata)
    return rules.clean(response, asked).score, rules.upstream(response, asked).score


@pytest.mark.parametrize(
    ("response", "answer", "clean", "upstream"),
    [
        ("41", "40", 1, 1),
        ("43", "40", 0, 0),
        ("62%", "62", 1, 0),
        ("4%", "0.04", 1, 1),
        ("62", "62%", 1, 0),
        ("5,200", "5200", 1, 0),
        ("$8", "8", 1, 0),
        ("8.", "8", 1, 1),
        ("2015", "2012", 0, 1),
        ("2012", "2012", 1, 1),
        ("0.0", "0", 1, 0),
        ("2.1", "2", 1, 0),
        ("-8", "8", 0, 0),
        ("1_000", "1000", 0, 1),
        ("nan", "3", 0, 0),
        ("inf", "inf", 1, 0),
        ("Red.", "red", 1, 0),
        ("RED", "red", 1, 1),
        ("8 boxes", "8", 0, 0),
        ("", "8", 0, 0),
    ],
)
def test_relaxed_accuracy(response: str, answer: str, clean: float, upstream: float) -> None:
    assert scores("relaxed", response, answer) == (clean, upstream)


@pytest.mark.parametrize(
    ("response", "answers", "clean", "upstream"),
    [
        ("PepsiMax", ["Pepsi Max"], 1 - 1 / 9, 1 - 1 / 9),
        ("pepsi  MAX", ["Pepsi Max", "water"], 1, 1),
        ("ab", ["abcd"], 0.5, 0.5),
        ("a", ["abcd"], 0, 0),
        (" abcx     ", ["abcd"], 0.75, 0.9),
        ("", ["abcd"], 0, 0),
    ],
)
def test_anls(response: str, answers: list[str], clean: float, upstream: float) -> None:
    assert scores("anls", response, *answers) == (pytest.approx(clean), pytest.approx(upstream))


def test_upstream_scores_of_a_mixed_list() -> None:
    # The same forms as in pix2struct's own test of its metrics (62.5% relaxed accuracy, 47.5 ANLS).
    pairs = [("dim", "dim"), ("dim", "Dim"), ("Dim", "dim"), ("50%", "48%"), ("50%", "47%"), ("50%", "0.48"),
             ("50%", "0.47"), ("Can't", "Won't")]  # fmt: skip
    assert sum(scores("relaxed", *pair)[1] for pair in pairs) == 5
    assert [scores("anls", *pair)[1] for pair in pairs] == pytest.approx([1, 1, 1, 0, 0, 0, 0, 0.6])


def test_vqa_counts_the_annotators_who_agree() -> None:
    for agreeing, score in ((0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)):
        answers = ["Two"] * agreeing + [f"other{i}" for i in range(10 - agreeing)]
        assert scores("vqa", "the 2.", *answers) == pytest.approx((score, score))


@pytest.mark.parametrize(
    ("text", "normal"),
    [("An owl", "owl"), ("Seven", "7"), ("wont", "won't"), ("2,500", "2500"), ("7up.com", "7upcom"), ("1.5", "1.5")]
    + [("red/green", "red green"), ("(red)", "red"), ("ice-cream", "ice cream"), ("Tom's", "tom 's"), ("9:15", "9:15")],
)
def test_vqa_normaliser(text: str, normal: str) -> None:
    assert vqa_normalise(text) == normal


@pytest.mark.parametrize(
    ("response", "answer", "score"),
    [("Three", "3", 1), ("3.0", "3", 1), ("There are 3 cubes.", "3", 1), ("three cubes", "3", 1), ("3 or 4", "3", 0)]
    + [("1,200", "1200", 1), ("one of the 3", "3", 1), ("cube", "Cube.", 1), ("blue cube", "cube", 0), ("33", "3", 0)],
)
def test_word(response: str, answer: str, score: float) -> None:
    assert scores("word", response, answer) == (score, score)


def test_ocr_searches_the_answer_in_the_response() -> None:
    assert scores("ocr", "It says: OPEN\nnow", "open now") == (1, 1)
    assert scores("ocr", "\uff2f\uff30\uff25\uff2e", "open") == (1, 1)
    assert scores("ocr", "op en", "open") == (0, 0)
    assert scores("ocr", "\\frac { A } {2}", "\\frac{A}{2}", dataset="HME100k") == (1, 1)
    assert scores("ocr", "\\frac{a}{2}", "\\frac{A}{2}", dataset="HME100k") == (0, 0)


def test_gqa_and_yes_or_no() -> None:
    assert scores("gqa", " T-Shirt. ", "t-shirt") == (1, 1) and scores("gqa", "a shirt", "shirt") == (0, 0)


@pytest.mark.parametrize(
    ("response", "clean", "pope", "mme", "hallusion"),
    [
        ("Yes", "yes", "yes", "yes", "yes"),
        ("yes.", "yes", None, "yes", "yes"),
        ("No, there is none", "no", None, "no", "no"),
        ("Yes, there is no cat", "yes", None, "yes", None),
        ("There is no cat", "no", None, None, "no"),
        ("The answer is **yes**, no doubt", "yes", None, None, None),
        ("Yes or no", None, None, "yes", None),
        ("Not really", None, None, "no", None),
        ("Nothing", None, None, "no", None),
        ("", None, None, None, None),
        ("<think>yes</think>no", "no", None, None, None),
    ],
)
def test_yes_or_no(response: str, clean: str | None, pope: str | None, mme: str | None, hallusion: str | None) -> None:
    asked = Question(["no"])
    assert ANSWER_TYPES["yesno"].clean(response, asked).extracted == clean
    assert ANSWER_TYPES["yesno"].clean(response, asked).score == (clean == "no")
    for kind, said in (("pope", pope), ("mme", mme), ("hallusion", hallusion)):
        assert ANSWER_TYPES[f"yesno_{kind}"].upstream(response, asked).extracted == said


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ("There is a red bus on the street.", "yes"),
        ("Based on the image, there isn't a red bus on the street. It is blue.", "no"),
        ("A red bus is not on the street", "no"),
        ("A red car is on the street", None),
        ("The street has a bus", None),
        ("I see. There is a red bus on the street.", None),
    ],
)
def test_a_repeated_question_is_a_yes_or_a_no(response: str, said: str | None) -> None:
    metadata = {"question": "Look. Is there a red bus on the street? Please answer yes or no."}
    assert ANSWER_TYPES["yesno"].clean(response, Question(["no"], (), metadata)).extracted == said
    assert ANSWER_TYPES["yesno"].clean(response, Question(["no"])).extracted is None
    metadata |= {"question_type": "multi_choice", "answer_type": "text"}
    asked = Question(["No"], ("Yes", "No"), metadata)
    assert ANSWER_TYPES["mathvista"].clean(response, asked).extracted == (said.title() if said else None)


def test_numbers_are_read_without_evaluating_them() -> None:
    assert [number(text) for text in ("1,234.5", "-$3", "\u22122.", "1e3", "1,2", "5 cm", "nan", "1e999")] == [
        1234.5, -3, -2, 1000, None, None, None, None,
    ]  # fmt: skip
    assert numbers("from 1,200 to 3/4 on the 2nd, v2, 1.5e3 and 1.2.3") == [
        ("1200", 1200), ("3/4", 0.75), ("1.5e3", 1500),
    ]  # fmt: skip
    assert stated_number("There are three boxes above 40") == "3"
    assert stated_number("x = 4, so 2x is 8") == "8"
    assert stated_number("They are 58, 59 and 63") is None


def test_reasoning_is_left_out_however_it_ends() -> None:
    assert without_reasoning("<think>a</think> b </s>") == "b"
    assert without_reasoning("a</think>b") == "b"
    assert without_reasoning("<think>a</think>b<think>c") == "b"
    assert without_reasoning("b <think>a</think>") == "b"
    assert without_reasoning("<THINK>a") == ""
    long = f"<think>{'x ' * LIMIT}</think>"
    assert ANSWER_TYPES["exact"].clean(long + "red", Question(["red"])).score == 1


def test_the_last_part_that_is_called_the_answer_is_found() -> None:
    assert final_part("The answer is 3. Wait, the answer is: 4") == ("4", "cue")
    assert final_part("answer: 3, \\boxed{\\frac{1}{2}} and more") == ("\\frac{1}{2}", "boxed")
    assert final_part("**Answer:** 3\n") == ("3", "cue")
    assert final_part("no more") is None
