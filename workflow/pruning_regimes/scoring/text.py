"""Reading a response: what of it is the answer, and plain forms of texts that are compared."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pruning_regimes.scoring.verdict import NOTHING, Question, Rule, Verdict

LIMIT = 16_000  # characters of a response that are read: bounds the time of every rule
MINUS = str.maketrans("\u2212\u2013", "--")  # minus sign, en dash
# What comes right before an answer. Gaps are bounded, so that a search takes linear time.
CUE = re.compile(
    r"\banswers?[*_]{0,3}(?:\s+(?:to|for|of)\s[^.:\n]{1,120}?)?"
    r"(?:\s{0,3}[*_]{0,3}\s{0,3}[:=]|\s{1,3}(?:is|are|would\sbe|should\sbe|must\sbe)\b)"
    r"|\b(?:correct|right|best|final|most\sappropriate)\s+(?:option|choice|statement)[*_]{0,3}(?:\s+is\b|\s{0,3}:)"
    r"|\b(?:option|choice)\s+(?:letter\s+)?is\b|\bI(?:\swould)?\s(?:choose|select|pick)\b"
    # "The answer is", "hence choose", "option X" in Chinese.
    r"|\u7b54\u6848\s?(?:\u662f|\u4e3a|[:\uff1a])|(?:\u6545|\u56e0\u6b64|\u6240\u4ee5|\u5e94)\u9009|\u9009\u9879(?=[A-Z])",
    re.IGNORECASE,
)
OPENED, CLOSED = re.compile(r"<answer>", re.IGNORECASE), re.compile(r"</answer>", re.IGNORECASE)
WORD_CHARACTER, NUMBER_START = re.compile(r"\w"), re.compile(r"-?\.?\d")
CLOSING = re.compile(r"(?:I hope|Let me know|Do you|Is there|Would you|Feel free|Please let|If you)\b", re.IGNORECASE)
CONCLUSION = re.compile(
    r"\b(?:therefore|thus|hence|so|in conclusion|in summary|in total|consequently|finally|which means)\b", re.IGNORECASE
)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'(\[*$\\]{0,3}[A-Z0-9])|\n+")


def bounded(text: str) -> str:
    """The first and the last part of a very long text, the text itself otherwise."""
    return text if len(text) <= LIMIT else f"{text[: LIMIT // 2]}\n{text[-LIMIT // 2 :]}"


def taking_all(rule: Rule) -> Rule:
    """The rule, given a response as it is, but for its length."""

    def read(response: str, question: Question) -> Verdict:
        return rule(bounded(response), question)

    return read


def whole_verdict(extracted: str, score: float) -> Verdict:
    """The verdict of a rule that takes the whole response as the answer: unparsed only if there is nothing in it."""
    return Verdict(extracted, score, "whole") if extracted.strip() else NOTHING


BOXED = re.compile(r"boxed\s?\{")


def boxed(text: str) -> str | None:
    r"""What stands in the last \boxed{...}; to the end of the text if it is not closed."""
    opened = list(BOXED.finditer(text))
    if not opened:
        return None
    start, depth = opened[-1].end(), 1
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start:position]
    return text[start:]


def final_part(text: str) -> tuple[str, str] | None:
    """The part of a response that it says is the answer, and what says so: boxed, tag or cue; None if nothing does."""
    box = boxed(text)
    if box is not None and box.strip():
        return box.strip(), "boxed"
    opened = list(OPENED.finditer(text))
    if opened:
        inside = text[opened[-1].end() :]
        closed = CLOSED.search(inside)
        inside = inside[: closed.start()].strip() if closed else inside.strip()
        if inside:
            return inside, "tag"
    for cue in reversed(list(CUE.finditer(text))):
        after = text[cue.end() :].strip(" \t\r\n:=*_")
        if after:
            return after, "cue"
    return None


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text."""
    return [sentence.strip() for sentence in SENTENCE_END.split(text) if sentence and sentence.strip()]


def conclusions(text: str) -> list[str]:
    """The sentences of a response that may hold its answer, the likeliest first.

    The last that draws a conclusion, the last, the first; a chat's polite closing is left out.
    """
    found = sentences(text)
    said = [sentence for sentence in found if not CLOSING.match(sentence)] or found
    drawn = [sentence for sentence in said if CONCLUSION.search(sentence)]
    return list(dict.fromkeys([*drawn[-1:], *said[-1:], *said[:1]]))


def normalise(text: str) -> str:
    """Lower case, single spaces, no punctuation around words; a text of punctuation only stays as it is.

    What belongs to a number stays: the sign and the point of -1.5, the stroke of 3/4.
    """
    words = [_trimmed(word) for word in text.translate(MINUS).casefold().split()]
    return " ".join(word for word in words if word) or " ".join(text.split())


def _trimmed(word: str) -> str:
    start, end = 0, len(word)
    while end and not WORD_CHARACTER.match(word[end - 1]):
        end -= 1
    while start < end and not (WORD_CHARACTER.match(word[start]) or NUMBER_START.match(word, start)):
        start += 1
    return word[start:end]


def exact(response: str, question: Question) -> Verdict:
    """1 if the normalised response is one of the normalised answers."""
    extracted = normalise(response)
    return whole_verdict(extracted, float(extracted in {normalise(answer) for answer in question.answers}))


def same_text(text: str, texts: Sequence[str]) -> list[int]:
    """Places of the texts that are equal to a text, case, spaces and outer punctuation aside."""
    wanted = normalise(text)
    return [place for place, other in enumerate(texts) if other.strip() and normalise(other) == wanted]
