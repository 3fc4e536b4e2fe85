"""MMMU's open questions (Yue et al. 2024, eval/eval_utils.py): an answer is searched in the key parts of a response."""

from __future__ import annotations

import re
from collections.abc import Callable

from pruning_regimes.scoring.text import final_part, normalise, sentences
from pruning_regimes.scoring.verdict import NOTHING, Question, Verdict

INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
TRIVIAL = {":", ",", ".", "!", "?", ";", "'"}
WITH_COMMAS = re.compile(r"-?\b\d{1,3}(?:,\d{3})++\b")
SCIENTIFIC = re.compile(r"-?(?<!\d)\d++(?:\.\d+)?[eE][+-]?\d+")
SIMPLE = re.compile(r"-?(?:\d+\.\d+|\.\d+|(?<!\d)\d+\b)(?![eE][+-]?\d+)(?![,\d])")
MAX_NUMBER = 60  # characters


def _key_parts(pieces: list[str]) -> list[str]:
    """Of each piece, the shortest tail after a word that announces an answer; the last may be an equation."""
    keys = []
    for place, piece in enumerate(pieces):
        indicators = (*INDICATORS, "=") if place == len(pieces) - 1 else INDICATORS
        tails = [piece.rpartition(indicator)[2].strip() for indicator in indicators if indicator in piece]
        shortest = min(tails, key=len, default="")
        if shortest and shortest not in TRIVIAL:
            keys.append(shortest)
    return keys


def _numbers(text: str) -> list[str]:
    return [found for pattern in (WITH_COMMAS, SCIENTIFIC, SIMPLE) for found in pattern.findall(text)]


def _forms(text: str) -> list[str | float]:
    """A number, or the text in lower case; a single letter with a space at either side, lest it be found in words."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except (ValueError, OverflowError):
        text = text.lower()
        return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def candidates(response: str, pieces: list[str]) -> list[str | float]:
    """The texts and numbers that may be the answer, in the order in which they are found."""
    keys = _key_parts(pieces) or [response]
    found = [*keys, *(number for key in keys for number in _numbers(key) if len(number) <= MAX_NUMBER)]
    return list(dict.fromkeys(form for text in found for form in _forms(text)))


def mmmu_open_upstream(response: str, question: Question) -> Verdict:
    """1 if a candidate number equals an answer, or an answer stands in a candidate text.

    Faults: the response is in lower case before it is split at points with a capital after them, so that lines only
    are split; any number in a key part may be the answer; an answer is found inside other words ("on" in "carbon").
    """
    text = response.strip().strip(".").lower()
    found = candidates(text, re.split(r"\.\s(?=[A-Z])|\n", text))
    return _verdict(found, question, _inside) if text else NOTHING


def mmmu_open(response: str, question: Question) -> Verdict:
    """1 if what the response says is the answer is it: a number to two decimals, or its words as whole words.

    As upstream, but split into sentences, with the last key part only.
    """
    text = response.strip()
    part = final_part(text)
    if part and part[1] != "cue":
        return _verdict(candidates(part[0], []), question, _as_words)
    pieces = [sentence.strip().rstrip(".").lower() for sentence in sentences(text)]
    keys = _key_parts(pieces) or pieces[-1:]
    return _verdict(candidates(keys[-1], []), question, _as_words) if keys else NOTHING


def _inside(answer: str, text: str) -> bool:
    return answer in text


def _as_words(answer: str, text: str) -> bool:
    wanted = normalise(answer)
    return bool(wanted) and re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", normalise(text)) is not None


def _verdict(found: list[str | float], question: Question, within: Callable[[str, str], bool]) -> Verdict:
    gold = [form for answer in question.answers for form in _forms(answer)]
    for one in found:
        right = (
            one in gold
            if isinstance(one, float)
            else any(isinstance(answer, str) and within(answer, one) for answer in gold)
        )
        if right:
            return Verdict(str(one).strip(), 1.0, "number" if isinstance(one, float) else "key part")
    return Verdict(str(found[0]).strip(), 0.0, "key part") if found and str(found[0]).strip() else NOTHING
