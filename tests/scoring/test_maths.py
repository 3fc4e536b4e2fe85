"""Mathematical answers: equality, final values, and the rules of the mathematical benchmarks."""

from __future__ import annotations

import threading
import time

import pytest

from pruning_regimes.scoring import ANSWER_TYPES, Question, Verdict
from pruning_regimes.scoring.freeform import final_value
from pruning_regimes.scoring.mathematics import equal, value
from pruning_regimes.scoring.mathvision import model_answer
from pruning_regimes.scoring.mathvista import normalise


def both(kind: str, response: str, question: Question) -> tuple[float, float]:
    """The clean and the upstream score."""
    return ANSWER_TYPES[kind].clean(response, question).score, ANSWER_TYPES[kind].upstream(response, question).score


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        ("50", "50%"),
        ("0.5", "50%"),
        ("14", "14^\\circ"),
        ("5", "x = 5"),
        ("12", "12 \\text{ cm}^2"),
        ("9", "9\\mathrm{~cm}^{2}"),
        ("\\frac{1}{2}", "0.5"),
        ("\\frac{7}{3}", "7/3"),
        ("3\\sqrt{2}", "\\sqrt{18}"),
        ("3\\sqrt{2}", "3\u221a2"),
        ("2\\pi", "6.28"),
        ("(1,2]", "( 1, 2 ]"),
        ("(0.5, 2)", "(1/2,2)"),
        ("x^2-1", "(x-1)(x+1)"),
        ("y=3x+1", "y = 1+3x"),
        ("x^2+y^2=9", "y^2 = 9-x^2"),
        ("1,250", "1250"),
        ("50\\%", "0.5"),
        ("B", "b"),
        ("\\text{blue}", "blue"),
    ],
)
def test_equal_answers(gold: str, said: str) -> None:
    assert equal(gold, said) and equal(said, gold)


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        ("1", "1:2"),
        ("7", "7.01"),
        ("0.001", "0.004"),
        ("(1,2]", "(1,2)"),
        ("(1,2)", "(2,1)"),
        ("x+1", "x-1"),
        ("y=3x+1", "y=3x+2"),
        ("blue", "lueb"),
        ("1", ""),
        ("x>3", "x<3"),
        ("\\sin(x)", "\\cos(x)"),
    ],
)
def test_unequal_answers(gold: str, said: str) -> None:
    assert not equal(gold, said) and not equal(said, gold)


HARD = [
    "9**9**9**9",
    "10^{10^{10}}",
    "9^{99}^{99}",
    "((9^{99})^{99})^{99}",
    "((((9)^9)^9)^9)^9",
    "170!",
    "9999999999!",
    "\\sum_{i=1}^{10^9} i",
    "\\int_0^1 x^{x} dx",
    "(x+y+z)^{99}",
    "\\binom{99999}{4444}",
    "(" * 300 + "1" + ")" * 300,
    "\\sqrt{" * 40 + "2" + "}" * 40,
    "\\frac{1}{" * 60 + "2" + "}" * 60,
    "1/0",
    "__import__('os').system('true')",
]


@pytest.mark.parametrize("main_thread", [True, False])
def test_what_cannot_be_computed_is_not_computed(main_thread: bool) -> None:
    equal("\\frac{1}{2}", "\\frac{2}{4}")  # the parser is imported once

    def run() -> None:
        for text in HARD:
            start = time.perf_counter()
            for gold in ("1", "x^2+1", "(x+y)^{9}"):
                assert not equal(gold, text)
            taken.append(time.perf_counter() - start)

    taken: list[float] = []
    if main_thread:
        run()
    else:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert len(taken) == len(HARD) and max(taken) < 5


def test_a_value_is_a_finite_real_number() -> None:
    assert value("\\frac{3}{4}") == 0.75 and value("2\\sqrt{4}") == 4 and value("\\pi") == pytest.approx(3.14159265)
    assert [value(text) for text in ("1/0", "\\sqrt{-1}", "red", "2x", "", "1e999", "nan", "True")] == [None] * 8


@pytest.mark.parametrize(
    ("response", "answer", "method"),
    [
        ("12", "12", "whole"),
        ("$\\frac{1}{2}$.", "\\frac{1}{2}", "whole"),
        ("First 3, then \\boxed{4} cm", "4", "boxed"),
        ("So the answer is **4 cm**. I hope this helps!", "4 cm", "cue"),
        ("The answer to the question is 12.", "12", "cue"),
        ("We add.\nTherefore, x + y = 3 + 4 = 7.", "7", "equals"),
        ("There are 5 boxes.\nWould you like more?", "5", "number"),
        ("Of 5 boxes and 2 bags, the total is 7.", "7", "number"),
        ("He counts four.", "4", "number"),
        ("Some boxes, 3 and 4 of them, stand 5 or 6 apart; I cannot tell", None, "unparsed"),
        ("", None, "unparsed"),
    ],
)
def test_final_values(response: str, answer: str | None, method: str) -> None:
    assert final_value(response) == (answer, method)


def test_mathvision() -> None:
    options = Question(["C"], ("$4$", "$6 \\mathrm{~cm}$", "$8 \\mathrm{~cm}$"))
    assert both("mathvision", "(C)", options) == (1, 1)
    assert both("mathvision", "(C) 8 cm", options) == (1, 0)
    assert both("mathvision", "So it is \\boxed{8}.", options) == (1, 0)
    assert both("mathvision", "\\boxed{7}", options) == (0, 0)
    assert ANSWER_TYPES["mathvision"].clean("\\boxed{7}", options).extracted == "7"
    free = Question(["\\frac{7}{2}"])
    assert both("mathvision", "The answer is 3.5.", free) == (1, 1)
    assert both("mathvision", "It is 3.5 cm long.", free) == (1, 0)
    assert both("mathvision", "3.504", free) == (0, 1)
    assert model_answer("A box.\n\\boxed{1}\\boxed{\\text{(B)}}") == "b"
    assert model_answer("So x is 5.") == "5" and model_answer("the final answer is: 12. But") == "12"
    assert model_answer("1/2") == "\\frac{1}{2}" and model_answer("x = 2^\\circ km") == "2"


def vista(question_type: str, answer_type: str, answer: str, choices: tuple[str, ...] = (), **more: float) -> Question:
    """A question in MathVista's terms."""
    return Question([answer], choices, {"question_type": question_type, "answer_type": answer_type, **more})


def test_mathvista() -> None:
    choice = vista("multi_choice", "text", "44 m", ("4 m", "44 m", "14 m"))
    assert both("mathvista", "(B) 44 m", choice) == (1, 1) and both("mathvista", "44 m", choice) == (1, 1)
    assert both("mathvista", "The length is 44.0 m", choice) == (1, 1)
    assert both("mathvista", "I cannot say.", choice) == (0, 0)
    whole = vista("free_form", "integer", "5")
    assert both("mathvista", "There are 5 dots.", whole) == (1, 1)
    assert both("mathvista", "5.9", whole) == (0, 1)
    assert both("mathvista", "1,005", vista("free_form", "integer", "1005")) == (1, 0)
    decimal = vista("free_form", "float", "0.20", precision=2.0)
    assert both("mathvista", "The answer is 0.204", decimal) == (1, 0)
    assert both("mathvista", "[1,2, 3]", vista("free_form", "list", "[1, 2, 3]")) == (1, 0)
    assert (
        normalise("", choice) == "4 m" and normalise("(b) x", choice) == "44 m" and normalise("15 m", choice) == "14 m"
    )
    assert normalise("5.9", whole) == "5" and normalise("5 cm", whole) is None and normalise("1.26", decimal) == "1.26"
    # Upstream takes the option nearest to an empty response.
    assert ANSWER_TYPES["mathvista"].upstream("", choice) == Verdict("4 m", 0.0, "empty")


def test_mathverse() -> None:
    choice = Question(["E"], (), {"question_type": "multi-choice", "question": "How?\nA:1\nB:2\nC:3\nD:4\nE:5"})
    assert both("mathverse", "E", choice) == (1, 1) and both("mathverse", "F", choice) == (0, 0)
    free = {"question_type": "free-form"}
    assert both("mathverse", "x = 14 cm", Question(["14"], (), free)) == (1, 1)
    assert both("mathverse", "The range is (-2, 1]", Question(["(-2,1]"], (), free)) == (1, 1)


def test_dynamath() -> None:
    number = Question(["0.785"], (), {"answer_type": "float"})
    assert both("dynamath", '{"solution": "...", "short answer": "0.785"}', number) == (1, 1)
    assert both("dynamath", '```json\n{"solution": "\\pi/4", "short answer": 0.7851\n', number) == (1, 0)
    assert both("dynamath", "The answer is 0.79", number) == (0, 0)
    assert both("dynamath", '{"short answer": "0.25\u03c0"}', number) == (1, 1)
    letter = Question(["B"], (), {"answer_type": "multiple choice"})
    assert both("dynamath", '{"short answer": "B"}', letter) == (1, 1)
    assert both("dynamath", '{"short answer": "B. odd"}', letter) == (1, 0)
    words = Question(["odd function"], (), {"answer_type": "text"})
    assert both("dynamath", '{"short answer": "odd"}', words) == (0, 1)
    assert both("dynamath", '{"short answer": "Odd function."}', words) == (1, 0)


def test_tabmwp() -> None:
    choice = Question(["rose"], ("tulip", "rose"), {"unit": None})
    assert both("tabmwp", "The answer is (B) rose.", choice) == (1, 1)
    assert both("tabmwp", "so the answer is B", choice) == (1, 0)
    assert both("tabmwp", "(b)", choice) == (1, 1) and both("tabmwp", "rose", choice) == (1, 1)
    assert ANSWER_TYPES["tabmwp"].upstream("no idea", choice).extracted == "tulip"
    assert ANSWER_TYPES["tabmwp"].upstream("E", choice).method == "unparsed"
    free = Question(["1,250"], (), {"unit": "$"})
    assert both("tabmwp", "He pays 1,000 and 250. The answer is $1,250.", free) == (1, 1)
    assert both("tabmwp", "The sum is 1250", free) == (1, 1)
    fraction = Question(["3/8"], (), {"unit": None})
    assert both("tabmwp", "The answer is $\\frac{3}{8}$", fraction) == (1, 1)
    assert both("tabmwp", "0.375", fraction) == (1, 1)
    clock = Question(["6:15 P.M."], (), {"unit": None})
    assert both("tabmwp", "It leaves at 6:15 P.M.", clock) == (1, 1)


def test_mmmu_open() -> None:
    number = Question(["12.5"])
    assert both("mmmu_open", "So the current is 12.50 A.", number) == (1, 1)
    assert both("mmmu_open", "The first is 12.5. The answer is 3.", number) == (0, 0)
    word = Question(["on"])
    assert both("mmmu_open", "The answer is carbon", word) == (0, 1)
    assert both("mmmu_open", "The switch is on.", word) == (1, 1)


def test_numbers_of_free_form_questions() -> None:
    assert both("number_math", "Thus AB = 2 \\times 3\\sqrt{2} = 6\\sqrt{2}.", Question(["6\\sqrt{2}"])) == (1, 1)
    assert both("number_math", "8.49", Question(["6\\sqrt{2}"])) == (1, 1)
