"""Free-form mathematical answers: finding the final value in a response, and the rules of what is judged by it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pruning_regimes.scoring.letters import check_letters, letter, option_letters, read
from pruning_regimes.scoring.mathematics import equal, value
from pruning_regimes.scoring.numbers import numbers, stated_number
from pruning_regimes.scoring.text import conclusions, final_part
from pruning_regimes.scoring.verdict import NOTHING, Question, Verdict
from pruning_regimes.tables.contracts import UNPARSED

SHORT = 40  # characters of a response that may be an answer as a whole
EQUALS = re.compile(r"(?:=|\\approx|\u2248)\s*([^=\n]{1,80})$")
TUPLE = re.compile(r"\b(?:is|are|be)\s{1,3}\$?([(\[][^()\[\]\n]{1,60}[)\]])[$.]{0,2}$")
# Signs, single letters, commands, functions and what joins solutions.
SYMBOLIC = re.compile(
    r"(?:\\[A-Za-z]{1,12}|\b(?:or|and|sqrt|sin|cos|tan|log|ln|pi)\b|\b[A-Za-z]\b|\d++[A-Za-z]?|[^\w\n])+"
)
MARKED = re.compile(r"\*\*([^*\n]{1,60})\*\*|\$([^$\n]{1,80})\$")


def final_value(text: str) -> tuple[str | None, str]:
    """The final answer of a free-form response and how it was found; None and "unparsed" if nothing says which it is.

    In order: the whole of a short response, what it says is the answer, what stands after the last equals sign of its
    conclusion or the number that this gives, the only number in it.
    """
    text = text.replace("\\(", "$").replace("\\)", "$").strip()
    if not text:
        return None, UNPARSED
    lone = text.rstrip("$. \n").lstrip("$ \n")
    if (
        "boxed{" not in text
        and "\n" not in text
        and len(text) <= SHORT
        and (value(lone) is not None or " " not in lone or _symbolic(lone))
    ):
        return lone, "whole"
    part = final_part(text)
    if part:
        said = part[0] if part[1] == "boxed" else _stated(part[0])
        if said:
            return said, part[1]
    for sentence in conclusions(text):
        match = EQUALS.search(sentence.strip("$*. "))
        if match and value(match[1].strip("$* ")) is not None:
            return match[1].strip("$* "), "equals"
        match = TUPLE.search(sentence)
        if match:
            return match[1], "tuple"
        said = stated_number(sentence)
        if said is not None:
            return said, "number"
    distinct = {written for written, _ in numbers(text)}
    if len(distinct) == 1:
        return distinct.pop(), "number"
    return (lone, "whole") if len(text) <= SHORT and not distinct else (None, UNPARSED)


def _symbolic(text: str) -> bool:
    """Whether a text is a tuple, an interval, a ratio or the like with spaces, and neither words nor an equation."""
    return SYMBOLIC.fullmatch(text) is not None and re.search(r"\d|[-+^]", text) is not None and text.count("=") != 1


def _stated(part: str) -> str | None:
    """The value at the start of what follows a cue."""
    line = part.split("\n")[0].strip()
    head = re.split(r"\.\s|\.$|;", line)[0].strip().strip("*_").strip()
    marked = MARKED.match(head)
    for said in ((marked[1] or marked[2]) if marked else None, head):
        if said and (value(said) is not None or len(said) <= SHORT and " " not in said.strip("$ ")):
            return said.strip("$ ")
    return stated_number(head) or (head.strip("$ ") if 0 < len(head) <= SHORT else None)


def value_verdict(text: str, answers: Sequence[str]) -> Verdict:
    """1 if the final value of a response equals an answer."""
    said, method = final_value(text)
    if said is None:
        return NOTHING
    return Verdict(said, float(any(equal(answer, said) for answer in answers)), method)


def number_math(response: str, question: Question) -> Verdict:
    """1 if the final value equals an answer: the same number, expression, tuple or interval."""
    return value_verdict(response, question.answers)


def mathverse(response: str, question: Question) -> Verdict:
    """MathVerse (Zhang et al. 2024) without its judge: the letter of an option, or else the final value.

    metadata.question_type says which ("multi-choice" or "free-form"); the options stand in metadata.question.
    """
    if str(question.metadata.get("question_type", "")).startswith("multi"):
        return letter(response, question)
    return value_verdict(response, question.answers)


def mathvision(response: str, question: Question) -> Verdict:
    """MATH-Vision (Wang et al. 2024): the right option's letter or its value, or else the final value."""
    if not question.choices:
        return value_verdict(response, question.answers)
    letters = option_letters(question)
    said, method = read(response, question.choices, letters)
    if said is None:
        said, method = by_value(response, question.choices, letters)
    if said is None:
        # A value that is no option's is an answer, if a wrong one; words are not.
        final, method = final_value(response)
        said = final if final is not None and value(final) is not None else None
    if said is None:
        return NOTHING
    return Verdict(said, float(said in {answer.strip().upper() for answer in question.answers}), method)


def by_value(response: str, options: Sequence[str], letters: str) -> tuple[str | None, str]:
    """The letter of the only option that the final value of a response equals, and how the value was found."""
    final, method = final_value(response)
    if final is None:
        return None, UNPARSED
    same = [place for place, option in zip(letters, options, strict=False) if option != place and equal(option, final)]
    return (same[0], method) if len(same) == 1 else (None, UNPARSED)


def check_mathvision(at: str, question: Question) -> None:
    """Raises: DataError if an answer to a question with options is not the letter of one."""
    if question.choices:
        check_letters(at, question)


def check_mathverse(at: str, question: Question) -> None:
    """Raises: DataError if an answer to a multiple-choice question is no letter."""
    if str(question.metadata.get("question_type", "")).startswith("multi"):
        check_letters(at, question)
