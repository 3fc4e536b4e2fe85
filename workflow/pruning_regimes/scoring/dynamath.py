"""DynaMath (Zou et al. 2024): a "short answer" in JSON; metadata.answer_type is float, multiple choice or text."""

from __future__ import annotations

import json
import math
import re

from pruning_regimes.jobs.errors import DataError, nearest
from pruning_regimes.scoring.freeform import final_value
from pruning_regimes.scoring.letters import letter
from pruning_regimes.scoring.mathematics import value
from pruning_regimes.scoring.numbers import numbers
from pruning_regimes.scoring.text import normalise
from pruning_regimes.scoring.verdict import NOTHING, Question, Verdict

TYPES = ("float", "multiple choice", "text")
KEY = "short answer"
WITHIN = 0.001
# JSON that is cut off or has unescaped quotes or LaTeX is read by its key.
KEYED = re.compile(
    r'"short[ _]answer"\s{0,4}:\s{0,4}(?:"((?:[^"\\]|\\.){0,400})"|(-?[\d.]{1,40}|true|false))', re.IGNORECASE
)
OPTIONS = "ABCDE"


def short_answer(response: str) -> str | None:
    """The value of the last "short answer" in a response; None if there is none."""
    found = [one or other for one, other in KEYED.findall(response)]
    return found[-1].replace('\\"', '"').strip() if found else None


def dynamath(response: str, question: Question) -> Verdict:
    """1 if the short answer, or else what the response says is its answer, is right: a number within 0.001, the
    letter of an option, or the same words."""
    short = short_answer(response)
    text, method = (response, None) if short is None else (short, "json")
    kind = question.metadata.get("answer_type")
    if kind == "multiple choice":
        said = letter(text, question)
        return said if said.extracted is None else Verdict(said.extracted, said.score, method or said.method)
    if kind == "float":
        found, how = final_value(text)
        amount = None if found is None else _amount(found)
        if found is None or amount is None:
            return NOTHING
        wanted = [_amount(answer) for answer in question.answers]
        right = any(gold is not None and _close(amount, gold) for gold in wanted)
        return Verdict(found, float(right), method or how)
    if short is None:
        found, how = final_value(text)
        text, method = found or "", how
    said, gold = normalise(text), {normalise(answer) for answer in question.answers}
    return Verdict(text.strip(), float(said in gold), method or "whole") if said else NOTHING


def _amount(text: str) -> float | None:
    found = value(text)
    if found is None:
        several = numbers(text)
        found = several[0][1] if len(several) == 1 else None
    return found


def _close(said: float, gold: float) -> bool:
    return math.isclose(said, gold, rel_tol=0.0, abs_tol=WITHIN * (1 + 1e-6))


def dynamath_upstream(response: str, question: Question) -> Verdict:
    """VLMEvalKit's rules without its language model.

    Faults: all backslashes are dropped before the JSON is read; a number ends at the first space, so that "1 000" is 1
    and what is no number there is unparsed; any of A to E in a text counts as a letter if it is the only one, "BC" is
    none; a text is right if it is a part of the answer, be it empty.
    """
    start, end = response.find("{"), response.rfind("}")
    plain = (response[start : end + 1] if 0 <= start < end else response).replace("\\", "")
    kind = str(question.metadata.get("answer_type"))
    short = _json_answer(plain)
    said, method = (None if short is None else _parsed(short, kind)), "json"
    if said is None:
        said, method = _parsed(plain, kind), "whole"
    if said is None:
        # Upstream takes the letter from the first three characters then, without saying that it has read one.
        right = kind == "multiple choice" and any(answer in plain[:3].upper() for answer in question.answers)
        return Verdict(plain[:3], 1.0, "start") if right else NOTHING
    if kind == "float":
        wanted = [_parsed(answer, "float") for answer in question.answers]
        right = any(gold is not None and abs(float(said) - float(gold)) <= WITHIN for gold in wanted)
    elif kind == "multiple choice":
        right = said in question.answers
    else:
        right = any(said.lower() in answer.lower() for answer in question.answers)
    return Verdict(said, float(right), method) if said else NOTHING


def _json_answer(text: str) -> str | None:
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    short = found.get(KEY) if isinstance(found, dict) else None
    return short if isinstance(short, str) else None


def _parsed(text: str, kind: str) -> str | None:
    if kind == "multiple choice":
        if len(text) == 1:
            return text.upper()
        found = [option for option in OPTIONS if option in text.upper()]
        return found[0] if len(found) == 1 else None
    if kind != "float":
        return text
    head = text.split(" ")[0]
    try:
        amount = float(head.split("\u03c0")[0]) * math.pi if "\u03c0" in head else float(head)
    except ValueError:
        return None
    return repr(amount) if math.isfinite(amount) else None


def check_dynamath(at: str, question: Question) -> None:
    """Raises: DataError for an unknown metadata.answer_type, or a number or letter that is none."""
    kind = question.metadata.get("answer_type")
    if kind not in TYPES:
        raise DataError(f"{at}: unknown metadata.answer_type '{kind}'; {nearest(kind, TYPES)}")
    for answer in question.answers:
        if kind == "float" and _amount(answer) is None:
            raise DataError(f"{at}: the answer '{answer}' is no number.")
        if kind == "multiple choice" and not re.fullmatch(r"[A-Z]", answer):
            raise DataError(f"{at}: the answer '{answer}' is not the letter of an option.")
