"""Rules for questions that are answered by yes or no; answers: "yes" or "no"."""

from __future__ import annotations

import re

from pruning_regimes.jobs.errors import DataError
from pruning_regimes.scoring.text import final_part, sentences
from pruning_regimes.scoring.verdict import NOTHING, Question, Verdict

LEADING = re.compile(r"\W*(yes|no)\s*(?:[,.;:!\n*_\"')}\u2014-]|$)", re.IGNORECASE)
WORD = re.compile(r"(?<![\w'])(yes|no)(?![\w'])", re.IGNORECASE)

DETERMINER = re.compile(
    r"(?<![\w'])(?<!\bis )no(?=\s+(?!because|since|as|it|there|this|that|the|they|he|she|but|and|i)\w)", re.IGNORECASE
)
NEITHER = re.compile(r"\byes\s?(?:or|/)\s?no\b|\bno\s?(?:or|/)\s?yes\b", re.IGNORECASE)
AUXILIARY = set(
    "is are was were be been being do does did has have had can could will would should "
    "there the a an any it this that".split()
)
DENIAL = re.compile(r"\b(?:not|no|never|none|cannot)\b|n['\u2019]t\b", re.IGNORECASE)
LEAST = 2  # content words of a question that can be restated


def restated(response: str, asked: str) -> str | None:
    """Yes or no, of a response whose first sentence repeats the question as a statement, affirmed or denied.

    All words of the question but auxiliaries and articles have to follow each other in it.
    """
    first = (sentences(response) or [""])[0]
    # An instruction may follow the question.
    questions = [sentence for sentence in sentences(asked) if sentence.endswith("?")] or sentences(asked)
    wanted = _content((questions or [""])[-1])
    if len(wanted) < LEAST or f" {' '.join(wanted)} " not in f" {' '.join(_content(first))} ":
        return None
    return "no" if DENIAL.search(first) else "yes"


def _content(text: str) -> list[str]:
    plain = re.sub(r"n['\u2019]t\b", "", text.casefold())
    return [word for word in re.findall(r"\w+", plain) if word not in AUXILIARY and not DENIAL.fullmatch(word)]


def yesno(response: str, question: Question) -> Verdict:
    """1 if the response says the right one of yes and no.

    As its first word or after "the answer is", or as the only one of the two words in it, or by repeating the question
    (metadata.question) as a statement.
    """
    part = final_part(response)
    for text, method in ((part[0], part[1]) if part else ("", ""), (response, "leading")):
        match = LEADING.match(text)
        if match:
            return _verdict(match[1].lower(), question, method)
    # "No" before a noun is a determiner, and "yes or no" is the question.
    spoken = NEITHER.sub("", DETERMINER.sub("", response))
    match = LEADING.match(spoken.lstrip("?.,;: "))
    if match and spoken != response:
        return _verdict(match[1].lower(), question, "leading")
    found = {word.lower() for word in WORD.findall(spoken)}
    if len(found) == 1:
        return _verdict(found.pop(), question, "word")
    said = None if found else restated(response, str(question.metadata.get("question", "")))
    return _verdict(said, question, "restated") if said else NOTHING


def _verdict(said: str, question: Question, method: str) -> Verdict:
    return Verdict(said, float(said in {answer.strip().casefold() for answer in question.answers}), method)


def pope_upstream(response: str, question: Question) -> Verdict:
    """POPE as lmms-eval has it. Fault: the whole response has to be yes or no; "Yes." is wrong."""
    said = response.lower().strip()
    return _verdict(said, question, "whole") if said in ("yes", "no") else NOTHING


def mme_upstream(response: str, question: Question) -> Verdict:
    """MME as lmms-eval has it: y, n, or yes or no within the first four characters.

    Faults: "Not really" and "None" are no, "The answer is yes" is neither, "Yes or no" is yes.
    """
    said = response.lower().strip().replace(".", "")
    head = {"y": "yes", "n": "no"}.get(said, said[:4] if len(said) > 1 else "")
    for word in ("yes", "no"):
        if word in head:
            return _verdict(word, question, "leading")
    return NOTHING


def hallusion_upstream(response: str, question: Question) -> Verdict:
    """VLMEvalKit's reading: one of the words yes and no, and not the other.

    Fault: "Yes, there is no dog" is neither.
    """
    words = set(re.findall(r"[\w']+", response.lower()))
    said = words & {"yes", "no"}
    return _verdict(said.pop(), question, "word") if len(said) == 1 else NOTHING


def check_yesno(at: str, question: Question) -> None:
    """Raises: DataError if an answer is neither yes nor no."""
    for answer in question.answers:
        if answer.strip().casefold() not in ("yes", "no"):
            raise DataError(f"{at}: the answer '{answer}' is neither 'yes' nor 'no'.")
