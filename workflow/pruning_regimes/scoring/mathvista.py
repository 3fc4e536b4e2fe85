"""MathVista (Lu et al. 2024): extraction by rules instead of upstream's language model, and its normalisation.

metadata: question, question_type ("multi_choice" or "free_form"), answer_type ("text", "integer", "float" or "list")
and, for "float", precision (decimals; a float on the hub). answers of multiple choice are option texts.
"""

from __future__ import annotations

import re

from rapidfuzz.distance import Levenshtein

from pruning_regimes.jobs.errors import DataError, nearest
from pruning_regimes.scoring.freeform import by_value, final_value
from pruning_regimes.scoring.letters import LETTERS, check_options, read
from pruning_regimes.scoring.mathematics import value
from pruning_regimes.scoring.numbers import number, numbers
from pruning_regimes.scoring.text import final_part
from pruning_regimes.scoring.verdict import NOTHING, Question, Verdict
from pruning_regimes.scoring.yesno import restated
from pruning_regimes.tables.contracts import UNPARSED

QUESTION_TYPES = ("multi_choice", "free_form")
ANSWER_TYPES = ("text", "integer", "float", "list")
LIST = re.compile(r"\[[^\[\]]{1,400}\]")
MAX_DECIMALS = 15


def extract(response: str, question: Question) -> tuple[str | None, str]:
    """What upstream asks a language model for: an option's letter, a number or a list as text, and how it was found."""
    kind, text = question.metadata.get("answer_type"), response.strip()
    if question.metadata.get("question_type") == "multi_choice":
        letters = LETTERS[: len(question.choices)]
        said, method = read(text, question.choices, letters)
        if said is None:
            said, method = by_value(text, question.choices, letters)
        return (said, method) if said else _yes_or_no(text, question)
    if kind == "list":
        found = LIST.findall(text)
        return (found[-1], "list") if found else (None, UNPARSED)
    if kind not in ("integer", "float"):
        return (text, "whole") if text else (None, UNPARSED)
    if number(text) is not None:
        return text, "whole"
    return _number(text)


def _yes_or_no(text: str, question: Question) -> tuple[str | None, str]:
    options = [option.casefold() for option in question.choices]
    said = restated(text, str(question.metadata.get("question", ""))) if set(options) == {"yes", "no"} else None
    return (LETTERS[options.index(said)], "restated") if said else (None, UNPARSED)


def _number(text: str) -> tuple[str | None, str]:
    text = re.sub(r"\bminus\s(?=\d)", "-", text, flags=re.IGNORECASE)
    said, method = final_value(text)
    if said is None:
        return None, UNPARSED
    # A fraction, a power or the right side of an equation is one number, not the first that it is written with.
    whole = value(re.split(r"=|\\approx|\u2248", said)[-1].strip("$ ").replace("{,}", "").rstrip("\\% "))
    if whole is not None:
        return repr(int(whole) if float(whole).is_integer() else whole), method
    found = numbers(said)
    if len({written for written, _ in found}) != 1 and method == "cue":
        part = final_part(text)
        found = numbers(part[0].split("\n")[0])[:1] if part else []
    return (found[0][0], method) if found else (None, UNPARSED)


def _decimals(question: Question) -> int:
    precision = question.metadata.get("precision")
    return min(int(precision), MAX_DECIMALS) if precision is not None else 1


def normalise(extraction: str, question: Question) -> str | None:
    """The prediction that upstream makes of an extraction (calculate_score.py); it is right if it equals the answer.

    Faults: an extraction that is no option becomes the option nearest to it by edit distance, be it empty;
    a fraction of an integer is cut off; "1,234" and "5 cm" are no numbers.
    """
    kind = question.metadata.get("answer_type")
    if question.metadata.get("question_type") == "multi_choice":
        letter = re.search(r"\(([a-zA-Z])\)", extraction)
        said = letter[1].upper() if letter else extraction.strip()
        place = LETTERS.find(said) if len(said) == 1 else -1
        if 0 <= place < len(question.choices):
            return question.choices[place]
        return min(question.choices, key=lambda option: Levenshtein.distance(said, option), default=None)
    try:
        if kind == "integer":
            return str(int(float(extraction)))
        if kind == "float":
            return str(round(float(extraction), _decimals(question)))
    except (ValueError, OverflowError):
        return None
    return extraction


def mathvista_upstream(response: str, question: Question) -> Verdict:
    """1 if upstream's normal form of the extraction equals an answer; its language model is replaced by our rules."""
    extraction, method = extract(response, question) if response else ("", "empty")
    if extraction is None:
        return NOTHING
    prediction = normalise(extraction, question)
    if not prediction:
        return NOTHING
    return Verdict(prediction, float(prediction in question.answers), method)


def mathvista(response: str, question: Question) -> Verdict:
    """1 if the response gives the right option, number (to the question's precision) or list.

    Unlike upstream, no option is guessed, and numbers are compared as numbers: separators, units and trailing zeros do
    not matter, and 5.9 is not the integer 5.
    """
    extraction, method = extract(response, question)
    if extraction is None:
        return NOTHING
    kind = question.metadata.get("answer_type")
    if question.metadata.get("question_type") == "multi_choice":
        option = question.choices[LETTERS.index(extraction)]
        return Verdict(option, float(option in question.answers), method)
    if kind == "list":
        said = _values(extraction)
        return Verdict(extraction, float(any(said == _values(answer) for answer in question.answers)), method)
    if kind not in ("integer", "float"):
        return Verdict(extraction, float(extraction in question.answers), method)
    value = _value(extraction)
    wanted = [_value(answer) for answer in question.answers]
    if kind == "float" and value is not None:
        value = round(value, _decimals(question))
    return Verdict(extraction, float(value is not None and value in wanted), method)


def _value(text: str) -> float | None:
    found = numbers(text)
    return found[0][1] if len(found) == 1 else None


def _values(text: str) -> list[float | str]:
    parts = [part.strip(" '\"") for part in text.strip("[] ").split(",")]
    return [part if number(part) is None else number(part) for part in parts]


def check_mathvista(at: str, question: Question) -> None:
    """Raises: DataError if the metadata do not say how to score, or an answer is none of the choices."""
    for name, known in (("question_type", QUESTION_TYPES), ("answer_type", ANSWER_TYPES)):
        if question.metadata.get(name) not in known:
            found = question.metadata.get(name)
            raise DataError(f"{at}: unknown metadata.{name} '{found}'; {nearest(found, known)}")
    if question.metadata["question_type"] == "multi_choice":
        check_options(at, question)
