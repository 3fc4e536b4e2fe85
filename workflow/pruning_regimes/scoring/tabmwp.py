"""TabMWP (Lu et al. 2023, lupantech/PromptPG): multiple choice and free text about tables.

metadata: unit (or null). Questions with choices are multiple choice; answers are option texts then.
"""

from __future__ import annotations

import re

from pruning_regimes.scoring.freeform import final_value
from pruning_regimes.scoring.letters import check_options, choice
from pruning_regimes.scoring.mathematics import value
from pruning_regimes.scoring.text import bounded, final_part
from pruning_regimes.scoring.verdict import NOTHING, Question, Verdict
from pruning_regimes.tables.contracts import UNPARSED

LETTERED = tuple(
    map(re.compile, (
        r"^\(([A-Za-z])\)$", r"^([A-Za-z])$", r"^([A-Za-z]). ", r"[Th]he answer is ([A-Z])",
        r"^\(([A-Za-z])\) [\s\S]+$", r"[Th]he answer is \(([A-Za-z])\) [\s\S]+$",
    ))
)  # fmt: skip
UPSTREAM_LETTERS = "ABCDEF"
# Tried in this order, the last match counts. A run of digits and signs is taken as a whole, for linear time.
FREE = tuple(
    map(re.compile, (
        r"[Th]he answer is ([\s\S]+)$", r"[Th]he table shows that ([\d$.,/:]++) ", r" = ([\d$.,/:]+)",
        r"(?<= be| is) ([-\d$.,/:]*\d)", r"(?<= are| was) ([-\d$.,/:]*\d)", r"(?<= were) ([-\d$.,/:]*\d)",
        r" ([\d$.,/:]++ [AP]\.M\.)", r"(?<![-\d$.,/:])([-\d$.,/:]*\d)",
    ))
)  # fmt: skip
FRACTION = re.compile(r"\$?\\frac\{([\d.,-]+)\}\{([\d.,]+)\}\$?")
PER = re.compile(r"\s?(?:/|\bper\b)\s?[A-Za-z]{1,30}$")
TIME = re.compile(r"\b(\d{1,2}:\d{2}\s?[APap]\.?\s?[Mm]\.?)")


def prediction(output: str, choices: list[str]) -> str | None:
    """What upstream reads from a response (its field `prediction`); None where it draws an option at random."""
    output = FRACTION.sub(r"\1/\2", output)
    output = re.sub(r"(?<![AP]\.M)\.$", "", output)
    output = re.sub(r"(?<=\d)=(?=[-$\d])", " = ", output).replace("\u2212", "-")
    if choices:
        for pattern in LETTERED:
            found = pattern.findall(output)
            if found and found[0].upper() in UPSTREAM_LETTERS:
                place = UPSTREAM_LETTERS.index(found[0].upper())
                return choices[place] if place < len(choices) else None
        # The first of those that are most alike, be it not at all.
        return max(choices, key=lambda option: _overlap(option, output))
    for pattern in FREE:
        found = pattern.findall(output)
        if found:
            said = found[-1].strip()
            return said[:-1] if said.endswith(".") and ".M." not in said else said
    return output


def _overlap(option: str, output: str) -> float:
    if option == output:
        return 2.0
    if " " not in option and " " not in output:
        return 0.0
    words, others = option.split(" "), output.split(" ")
    return len(set(words) & set(others)) / max(len(words), len(others))


def normalise(text: str, unit: str | None) -> str:
    """Upstream's normal form of an answer (its fields `answer_norm` and `prediction_norm`); "" if it has none."""
    text = re.sub(r"[,./]$", "", re.sub(r"^\$", "", text))
    if not re.fullmatch(r"[-+]?[\d,./]+\n?", text):
        return text.replace(unit, "").strip() if unit else text
    text = text.replace(",", "").strip()
    try:
        if re.fullmatch(r"[-+]?\d+", text):
            return str(int(text))
        above, stroke, below = text.partition("/")
        number = round(float(above) / float(below.split("/")[0]), 3) if stroke else round(float(text), 3)
    except (ValueError, ZeroDivisionError, OverflowError):
        return ""  # upstream stops here
    return re.sub(r"\.0+$", "", str(number))


def _unit(question: Question) -> str | None:
    unit = question.metadata.get("unit")
    return str(unit) if unit else None


def tabmwp_upstream(response: str, question: Question) -> Verdict:
    """1 if upstream's normal forms of the prediction and an answer are equal in lower case.

    Faults: without a letter the most similar option is taken, be it not similar at all; "the answer is" in lower case
    is not read; what follows "The answer is" is taken to the end of the response. Upstream draws at random for a letter
    beyond the options: unparsed here.
    """
    said = prediction(response, list(question.choices))
    if not said or not said.strip():
        return NOTHING
    normal = normalise(said, _unit(question))
    right = any(normal.lower() == normalise(answer, _unit(question)).lower() for answer in question.answers)
    return Verdict(said, float(right and bool(normal)), "upstream")


def tabmwp(response: str, question: Question) -> Verdict:
    """1 if the response gives the right option, or the right number, time or words.

    Numbers are compared to three decimals as upstream, the unit and a currency sign do not matter.
    """
    if question.choices:
        return choice(response, question)
    said, method = _free(response)
    if said is None:
        return NOTHING
    return Verdict(said, float(any(_same(said, answer, _unit(question)) for answer in question.answers)), method)


def _free(response: str) -> tuple[str | None, str]:
    text = bounded(response)
    part = final_part(text)
    clock = TIME.search(part[0] if part else text)
    if clock and len(set(TIME.findall(part[0] if part else text))) == 1:
        return clock[1], part[1] if part else "time"
    said, method = final_value(text)
    if said is None and text.strip() and "\n" not in text.strip() and not re.search(r"\d", text):
        return text.strip(), "whole"
    return said, method if said is not None else UNPARSED


def _same(said: str, answer: str, unit: str | None) -> bool:
    forms = []
    for text in (said, answer):
        plain = normalise(text.strip().lstrip("$"), unit)
        plain = PER.sub("", plain.replace("$", "")).removesuffix("%").strip()
        found = value(plain)
        forms.append(re.sub(r"[\s.,]", "", plain.casefold()) if found is None else round(found, 3))
    return forms[0] == forms[1] and forms[0] != ""


def check_tabmwp(at: str, question: Question) -> None:
    """Raises: DataError if an answer is none of the choices."""
    if question.choices:
        check_options(at, question)
