"""Multiple choice as benchmarks' and harnesses' own scorers read it, known faults included.

Where upstream draws an option at random, the response is unparsed here. `answers` are letters.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable

from pruning_regimes.scoring.letters import option_letters
from pruning_regimes.scoring.verdict import NOTHING, Question, Rule, Verdict

Reader = Callable[[str, str, dict[str, str]], str | None]

PHRASES = (
    "the answer is|answer is|the correct answer is|correct answer is|the best answer is|best answer is|"
    "the correct option is|correct option is|the best option is|best option is|the choice is|choice is|"
    "the correct choice is|correct choice is|i choose|i select|i pick|my answer is|my choice is"
).split("|")
FORMS = ((6, "({})"), (5, "{}."), (4, "{}:"), (3, "{})"), (2, "{} "))
REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
    "Failed to obtain answer via API",
)
VERBOSE = re.compile(r"(?:correct\s+)?answer\s+is\s+\**([ABCD])\**", re.IGNORECASE)
GEOMETRY3K = (
    re.compile(r"[Aa]nswer\s*[:=]\s*\(?([A-Da-d])\)?"),
    re.compile(r"\b([A-Da-d])\s*[.)\]]"),
    re.compile(r"^\s*\(?([A-Da-d])\)?$"),
    re.compile(r"\b([A-Da-d])\b"),
)
GEOQA = re.compile(r"Answer:\s*([A-D])")


def mmmu(response: str, letters: str, options: dict[str, str]) -> str | None:
    """MMMU's own parser: "(X)" anywhere, else " X ", else an option's text in over five words; the last of several.

    Faults: brackets anywhere beat the final answer, "A)" and "**A**" are not read, "a A b" is, a short option's text
    is found inside other words, and the last letter wins ("A, not B" is B). Upstream draws at random if it finds
    nothing.
    """
    for mark in ",.!?;:'":
        response = response.strip(mark)
    response = f" {response} "
    lower = response.lower()
    for form in ("({})", " {} "):
        found = [letter for letter in letters if form.format(letter) in response]
        if found:
            return max(found, key=lambda letter: response.rfind(form.format(letter)))
    if len(response.split()) > 5:
        found = [letter for letter in letters if options.get(letter, "").lower() in lower and letter in options]
        if found:
            return max(found, key=lambda letter: lower.rfind(options[letter].lower()))
    return None


def sqa(response: str, letters: str, options: dict[str, str]) -> str | None:
    """LLaVA's rule for ScienceQA: the whole response is a letter, or it starts with a capital and a point.

    Fault: "(A)", "A) dog" and "The answer is A." are wrong.
    """
    said = response.strip()
    if len(said) == 1:
        return said.upper()
    return said[0] if len(said) > 1 and said[0].isupper() and said[1] == "." else None


def ai2d(response: str, letters: str, options: dict[str, str]) -> str | None:
    """lmms-eval's rule for AI2D: "X." at the start, else the whole response without case and punctuation.

    Fault: "The answer is A" is wrong.
    """
    match = re.match(r"\s*([A-Z])\.", response)
    said = match[1] if match else response.translate(str.maketrans("", "", string.punctuation)).upper()
    return said if len(said) == 1 else None


def first(response: str, letters: str, options: dict[str, str]) -> str | None:
    """lmms-eval's rule for SEED-Bench: the first character. Fault: of "The answer is B" that is T."""
    return response.strip()[:1] or None


def geometry3k(response: str, letters: str, options: dict[str, str]) -> str | None:
    """lmms-eval's rule for Geometry3K: the last match of the first pattern that matches, A to D in either case.

    Faults: the word "a" is option A, the letters of a figure's points count, and so does an option's text in a longer
    number.
    """
    response = response.strip()
    for pattern in GEOMETRY3K:
        found = pattern.findall(response)
        if found:
            return found[-1].upper()
    return next((letter for letter, option in options.items() if option.lower() in response.lower()), None)


def geoqa(response: str, letters: str, options: dict[str, str]) -> str | None:
    """G-LLaVA's rule for GeoQA: the last "Answer: X", X from A to D. Fault: no other wording is read."""
    found = GEOQA.findall(response)
    return found[-1] if found else None


def vlmevalkit(response: str, letters: str, options: dict[str, str]) -> str | None:
    """VLMEvalKit's can_infer: the only letter if it is among the last four words, "answer is X", the only option text.

    Faults: "A" as an article counts, lower case does not, an option's text is found inside other words.
    """
    if any(refusal in response for refusal in REFUSALS):
        return None
    words = re.sub(r"[.()\[\],:;!*#{}]", " ", response).split()
    found = [letter for letter in letters if letter in words]
    if len(found) == 1 and words.index(found[0]) > len(words) - 5:
        return found[0]
    match = VERBOSE.search(response)
    if match and match[1].upper() in letters:
        return match[1].upper()
    if len(response) > 2 * sum(map(len, options.values())):
        return None
    inside = [letter for letter, option in options.items() if option.lower() in response.lower()]
    return inside[0] if len(inside) == 1 else None


def lmms(response: str, letters: str, options: dict[str, str]) -> str | None:
    """lmms-eval's extract_mcq_answer: the best kind of match, of several the last; its English phrases only.

    Faults: a letter in front beats the final answer ("A cat is shown, so the answer is C" is A), any capital after
    "the answer is" counts and the last one wins, and at last any capital inside a word ("DNA" is A).
    """
    text = response.strip()
    for mark in ",.!?;:'\"":
        text = text.strip(mark)
    if not text.strip():
        return None
    stripped, text = text.strip(), f" {text} "
    lower = text.lower()
    ends = [lower.find(phrase) + len(phrase) for phrase in PHRASES if phrase in lower]
    found: list[tuple[int, int, str]] = []
    for letter in letters:
        if stripped.startswith(letter) and not stripped[1:2].isalpha():
            found.append((10, 0, letter))
        if stripped.endswith(letter) and not stripped[-2:-1].isalpha():
            found.append((9, len(text) - 1, letter))
        found += [(7, text.find(letter, end), letter) for end in ends if letter in text[end:]]
        marked = ((rank, form.format(letter)) for rank, form in FORMS)
        found += [(rank, text.rfind(mark), letter) for rank, mark in marked if mark in text]
    if not found:
        found = [(0, text.rfind(letter), letter) for letter in letters if letter in text]
    return max(found, key=lambda one: one[:2])[2] if found else None


def by(reader: Reader) -> Rule:
    """The rule of an upstream reader."""

    def rule(response: str, question: Question) -> Verdict:
        letters = option_letters(question)
        said = reader(response, letters, dict(zip(letters, question.choices, strict=False)))
        if said is None:
            return NOTHING
        return Verdict(said, float(said in {answer.strip().upper() for answer in question.answers}), reader.__name__)

    return rule
