"""The final answer of a response is read wherever a model puts it, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes.scoring import ANSWER_TYPES, UNPARSED, Question
from pruning_regimes.scoring.final import final, stated, without_reasoning

FORMS = (
    "<answer>{}</answer>",
    "<think>It may be D, or 15.</think>\n<answer> {} </answer>\nThe others, such as C and 99, are out.",
    "<final_answer>{}",
    "\u25c1think\u25b7D? 15?\u25c1/think\u25b7{}",
    "[THINK]D? 15?[/THINK]\n{}",
    "<|channel|>analysis<|message|>D or 15<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>",
    "analysisD or 15, we thinkassistantfinal{}",
    "It may be D.</think>{}<|im_end|>",
    "<|begin_of_box|>{}<|end_of_box|>",
    "**{}**",
    "`{}`",
    '"{}"',
    "$ {} $",
    "\\({}\\)",
    "\\boxed {{{}}}",
    "\\boxed{{\\text{{{}}}}}",
    "## Answer\n\n{}",
    "**Final answer:**\n{}",
    "Answer:{}",
    "answer: **{}**",
    "\u7b54\u6848\uff1a{}",
    '{{"answer": "{}", "why": "not D, nor 15"}}',
    '```json\n{{"reasoning": "D or 15", "final_answer": "{}"}}\n```',
    "{}\n\nReason: 15 and D are out.",
    "{}\n{}",
)
OPTIONS = ("4 m", "7 m", "11 m", "15 m")
WRONG = ("C", "11 m", "8", "six", "40", "Yes", "blue", "Rome")
KINDS = {
    "letter": (Question(["B"], OPTIONS), "B"),
    "choice": (Question(["7 m"], OPTIONS), "B"),
    "choice by text": (Question(["7 m"], OPTIONS), "7 m"),
    "mathvision": (Question(["B"], OPTIONS), "B"),
    "number_math": (Question(["7"]), "7"),
    "integer": (Question(["7"]), "7"),
    "word": (Question(["seven"]), "seven"),
    "relaxed": (Question(["12.5"]), "12.5"),
    "yesno": (Question(["no"]), "No"),
    "exact": (Question(["green"]), "green"),
    "anls": (Question(["Oslo"]), "Oslo"),
    "vqa": (Question(["green"] * 10), "green"),
    "gqa": (Question(["green"]), "green"),
    "tabmwp": (Question(["7"]), "7"),
    "ocr": (Question(["Oslo"]), "Oslo"),
    "mmmu_open": (Question(["7"]), "7"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_right_answer_is_right_in_every_form(kind: str, form: str) -> None:
    question, answer = KINDS[kind]
    said = form.format(*[answer] * form.count("{}"))
    assert ANSWER_TYPES[kind.split()[0]].clean(said, question).score == 1, said


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_answer_is_wrong_in_every_form(kind: str, form: str) -> None:
    question, answer = KINDS[kind]
    if kind == "ocr":
        pytest.skip("it looks for the answer anywhere in a response")
    wrong = {
        "B": "C",
        "7 m": "11 m",
        "7": "8",
        "seven": "six",
        "12.5": "40",
        "No": "Yes",
        "green": "blue",
        "Oslo": "Rome",
    }
    said = form.format(*[wrong[answer]] * form.count("{}"))
    assert ANSWER_TYPES[kind.split()[0]].clean(said, question).score == 0, said


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ocr"])
@pytest.mark.parametrize(
    "said", ["", "   ", "I'm sorry, but I cannot see 7 of them.", "I am unable to tell whether there is no such thing."]
)
def test_a_refusal_and_an_empty_response_answer_nothing(kind: str, said: str) -> None:
    verdict = ANSWER_TYPES[kind.split()[0]].clean(said, KINDS[kind][0])
    assert (verdict.score, verdict.method) == (0, UNPARSED)


@pytest.mark.parametrize("kind", ["integer", "number_math", "word", "exact", "relaxed"])
def test_the_question_alone_answers_nothing(kind: str) -> None:
    question = Question(["7"], metadata={"question": "Are there 7 dots, or how many?"})
    verdict = ANSWER_TYPES[kind].clean("are there 7 dots, or how many", question)
    assert (verdict.score, verdict.method) == (0, UNPARSED)


@pytest.mark.parametrize(
    ("kind", "said", "question", "score"),
    [
        ("letter", "C is wrong.", Question(["C"], OPTIONS), 0),
        ("letter", "A B C D", Question(["A"], OPTIONS), 0),
        ("letter", "A A A A", Question(["A"], OPTIONS), 0),
        ("letter", "C is the right choice, although A and B look good.", Question(["C"], OPTIONS), 1),
        ("letter", "First \\boxed{3}.\n\nThe answer is (D).", Question(["D"], OPTIONS), 1),
        ("letter", "\\boxed{9 m}. A side of 7 m is too short.", Question(["B"], OPTIONS), 0),
        ("mathvision", "\\boxed{3\\pi}", Question(["A"], ("$3 \\pi$", "$\\pi$", "3")), 1),
        ("yesno", "One cannot know. However, no number is given.", Question(["no"]), 0),
        ("yesno", "Yes or no? Yes.", Question(["yes"]), 1),
        ("number_math", "(x + 2)(x - 5)", Question(["(x+2)(x-5)"]), 1),
        ("number_math", "(0, 9)", Question(["(0,9)"]), 1),
        ("number_math", "12 percent", Question(["12%"]), 1),
        ("number_math", "\\boxed{12\\%}", Question(["12"]), 1),
        ("number_math", "eleven", Question(["11"]), 1),
        ("number_math", "3*pi", Question(["3\\pi"]), 1),
        ("number_math", "3^(1/2)", Question(["\\sqrt{3}"]), 1),
        ("tabmwp", "3 hours and 20 minutes", Question(["3 hours"], ("3 hours", "5 hours")), 0),
    ],
)
def test_what_does_not_choose_and_what_does(kind: str, said: str, question: Question, score: float) -> None:
    assert ANSWER_TYPES[kind].clean(said, question).score == score


@given(st.text(max_size=200))
def test_any_text_has_a_final_part_and_reading_it_twice_changes_nothing(text: str) -> None:
    seen = without_reasoning(text)
    for find in (final, stated):
        once, _ = find(seen)
        assert find(once)[0] == find(find(once)[0])[0]


def test_a_table_with_prose_is_not_given_to_the_algebra_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    from pruning_regimes.scoring import mathematics

    monkeypatch.setattr(mathematics, "_expression", lambda text: pytest.fail(f"parsed: {text}"))
    question = Question(["12"], metadata={"unit": None})
    said = "The table shows 3 rows, and the 2 shops sold 7 and 5 cups each."
    ANSWER_TYPES["tabmwp"].clean(said, question)
