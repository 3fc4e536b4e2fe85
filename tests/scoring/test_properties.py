"""What holds for any response."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruning_regimes import scoring, tables
from pruning_regimes.scoring import ANSWER_TYPES, UNPARSED, Question
from pruning_regimes.scoring.final import without_reasoning
from pruning_regimes.scoring.text import final_part

CHOICES = ("red", "dark red", "7 cm", "\\frac{1}{2}")
VISTA = {"question_type": "free_form"}
QUESTIONS = {
    **{name: [Question(["B"], CHOICES), Question(["C"])] for name in ANSWER_TYPES if name.startswith("letter")},
    **{name: [Question(["no"])] for name in ANSWER_TYPES if name.startswith("yesno")},
    "exact": [Question(["red"])],
    "integer": [Question(["12"])],
    "choice": [Question(["red"], CHOICES)],
    "relaxed": [Question(["12"]), Question(["red"]), Question(["0"])],
    "anls": [Question(["red wine", "wine"])],
    "vqa": [Question(["red"] * 10)],
    "word": [Question(["12"]), Question(["red"])],
    "ocr": [Question(["red"]), Question(["x^{2}"], (), {"dataset": "HME100k"})],
    "gqa": [Question(["red"])],
    "number_math": [Question(["12"]), Question(["x^2+1"]), Question(["(1,2]"])],
    "mathvision": [Question(["D"], CHOICES), Question(["\\frac{1}{2}"])],
    "mathvista": [
        Question(["red"], CHOICES, {"question_type": "multi_choice", "answer_type": "text"}),
        Question(["12"], (), {**VISTA, "answer_type": "integer"}),
        Question(["1.2"], (), {**VISTA, "answer_type": "float", "precision": 1.0}),
        Question(["[1, 2]"], (), {**VISTA, "answer_type": "list"}),
    ],
    "mathverse": [
        Question(["B"], (), {"question_type": "multi-choice"}),
        Question(["x=5"], (), {"question_type": "free-form"}),
    ],
    "dynamath": [
        Question(["0.5"], (), {"answer_type": "float"}),
        Question(["B"], (), {"answer_type": "multiple choice"}),
        Question(["red"], (), {"answer_type": "text"}),
    ],
    "tabmwp": [Question(["red"], CHOICES, {"unit": None}), Question(["12"], (), {"unit": "$"})],
    "mmmu_open": [Question(["12"]), Question(["red"])],
}
PIECES = [
    "answer is ", "The answer is", "Answer:", "\\boxed{", "}", "(", ")", "A", "B", "(C)", "e", " or ", "not ", "red",
    "7 cm", "12", "1,2", "-", ".", "1.5", "/", "%", "$", "^", "{", "\\frac", "\\sqrt", "=", "x", "<think>", "</think>",
    "<answer>", "</answer>", "yes", "no", "\n", " ", "[1, 2]", '{"short answer": "', '"}', "\u03c0", "\u221a", "\u00b0",
    "**", "is ", "so ", "10:15 A.M.", "e999", "nan", "\u0663", "\uff11", "!", "\\circ", "Therefore, ",
]  # fmt: skip
RESPONSES = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))


def test_every_answer_type_is_tried_here() -> None:
    assert QUESTIONS.keys() == ANSWER_TYPES.keys()


@pytest.mark.parametrize("name", ANSWER_TYPES)
@settings(max_examples=60)
@given(response=RESPONSES)
def test_any_text_has_a_verdict(name: str, response: str) -> None:
    for question in QUESTIONS[name]:
        for rule in (ANSWER_TYPES[name].clean, ANSWER_TYPES[name].upstream):
            verdict = rule(response, question)
            assert 0 <= verdict.score <= 1
            assert (verdict.extracted is None) == (verdict.method == UNPARSED)
            assert verdict.score == 0 or verdict.extracted
            assert rule(response, question) == verdict


LONG = [
    "1", "1,", "1,234", "{", "boxed{", "<think>", "answer is ", "answer to the ", "A ", "(A) ", " ", "\n", "*", "!",
    "A or B ", "\\frac{1}{", "$1.1", "-", "- 1", "7:25 A.M.", "is ", "= 1", "**1** ", '{"short answer": ', "[1,",
    "1 / ",    "text{ ", "\u221a", "sqrt(", "1^", "not ", "<answer>", "Therefore. ", "yes no ", "a",
]  # fmt: skip


@pytest.mark.parametrize("name", ANSWER_TYPES)
def test_long_texts_take_bounded_time(name: str) -> None:
    for piece in LONG:
        response = piece * (200_000 // len(piece))
        for question in QUESTIONS[name]:
            for rule in (ANSWER_TYPES[name].clean, ANSWER_TYPES[name].upstream):
                start = time.perf_counter()
                rule(response, question)
                assert time.perf_counter() - start < 3, piece


@given(response=RESPONSES, n=st.integers(2, 6))
@settings(max_examples=300)
def test_a_letter_is_an_options_letter(response: str, n: int) -> None:
    question = Question(["A"], [f"word{place}" for place in range(n)])
    said = ANSWER_TYPES["letter"].clean(response, question).extracted
    assert said is None or said in string.ascii_uppercase[:n]


FORMS = ("{}", "{}.", " {}\n", "The answer is {}.", "Answer: {}", "<think>A or 99?</think>{}")
WHOLE = FORMS[:3] + FORMS[-1:]


def right(name: str, answer: str, form: str, **more: object) -> None:
    """Check that a right answer in one form scores 1."""
    assert ANSWER_TYPES[name].clean(form.format(answer), Question([answer], **more)).score == 1


@given(place=st.integers(0, 3), form=st.sampled_from((*FORMS, "({})", "**{}**", "\\boxed{{{}}}", "So it is ({}).")))
def test_a_right_letter_is_found(place: int, form: str) -> None:
    letter = "ABCD"[place]
    choices = ("red", "green", "blue", "black")
    right("letter", letter, form, choices=choices)
    right("mathvision", letter, form, choices=choices)
    right("mathverse", letter, form, metadata={"question_type": "multi-choice"})
    right("dynamath", letter, form, metadata={"answer_type": "multiple choice"})
    metadata = {"question_type": "multi_choice", "answer_type": "text"}
    for name in ("mathvista", "tabmwp"):
        asked = Question([choices[place]], choices, metadata)
        for said in (letter, choices[place]):
            assert ANSWER_TYPES[name].clean(form.format(said), asked).score == 1
    assert ANSWER_TYPES["choice"].clean(letter, Question([choices[place]], choices)).score == 1


@given(amount=st.integers(-99_999, 99_999), form=st.sampled_from((*FORMS, "\\boxed{{{}}}", "So x = {}.", "It is {}.")))
def test_a_right_number_is_found(amount: int, form: str) -> None:
    metadata = {"question_type": "free_form", "answer_type": "integer"}
    for name in ("integer", "number_math", "mathvision", "mathverse", "mathvista", "tabmwp", "mmmu_open"):
        if name != "integer" or "99" not in form:
            right(name, str(amount), form, metadata=metadata)
    right("dynamath", str(amount), form, metadata={"answer_type": "float"})
    right("dynamath", str(amount), '{{"solution": "12", "short answer": "{}"}}', metadata={"answer_type": "float"})


@given(
    text=st.text(string.ascii_lowercase, min_size=2, max_size=12).filter(lambda text: text not in ("an", "the")),
    form=st.sampled_from(WHOLE),
)
def test_a_right_text_is_found(text: str, form: str) -> None:
    for name in ("exact", "relaxed", "word", "ocr", "gqa"):
        right(name, text, form)
    assert ANSWER_TYPES["vqa"].clean(form.format(text), Question([text] * 10)).score == 1
    assert ANSWER_TYPES["anls"].clean(form.format(text), Question([text])).score >= 1 - 1 / len(text)


@given(said=st.sampled_from(("yes", "no", "Yes", "No")), form=st.sampled_from((*FORMS, "{}, it is there")))
def test_a_right_yes_or_no_is_found(said: str, form: str) -> None:
    right("yesno", said.lower(), form.replace("{}", said))


@given(st.text(max_size=200))
def test_readers_of_responses_take_any_text(text: str) -> None:
    without_reasoning(text)
    part = final_part(text)
    assert part is None or part[0]


def test_ten_thousand_rows_take_seconds() -> None:
    rows = [
        {"sample_id": f"q{i}", "question": "q", "images": [b"x" * 10_000], "choices": ["red", "green", "blue"],
         "answers": ["B"], "answer_type": "letter", "category": "c", "chance": 1 / 3, "metadata": "{}"}
        for i in range(1000)
    ]  # fmt: skip
    said = "Let us look at the image. There is a cup (red) and a plate. Therefore, the answer is (B) green."
    answers = pl_predictions([(f"v{k}", f"q{i}", said) for k in range(10) for i in range(1000)])
    start = time.perf_counter()
    scored = scoring.score(tables.frame("benchmark", rows), answers)
    assert time.perf_counter() - start < 10 and scored["score"].mean() == 1 and len(scored) == 10_000


def pl_predictions(rows: list[tuple[str, str, str]]):
    """A predictions table."""
    columns = ("variant_id", "sample_id", "response")
    rest = {"prompt_digest": "d", "n_tokens": 1, "finish_reason": "stop", "error": None}
    return tables.frame("predictions", [dict(zip(columns, row, strict=True)) | rest for row in rows])
