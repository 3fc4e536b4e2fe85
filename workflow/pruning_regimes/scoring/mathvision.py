"""MATH-Vision's own scorer (mathllm/MATH-V, evaluation/; also lmms-eval's), without its eval() of model output.

Faults: "(A)" and the like are read at the very end or start only, of several sentences with "is" the last number is
taken, "\\text" content is kept, a value and its unit do not equal the value, nor does an option in degrees equal a
number, values are compared after rounding to two decimals, an expression is read up to the first brace too many, and
without a box or one of four phrases the whole response is compared.
"""

from __future__ import annotations

import re

from pruning_regimes.scoring.letters import LETTERS
from pruning_regimes.scoring.mathematics import computed
from pruning_regimes.scoring.verdict import NOTHING, Question, Verdict

PHRASES = ("the final answer is", "the answer is", "the correct answer is", "the answer should be")
PLAIN = re.compile(r"-?\d+(?:\.\d+)?")
MAX_DIGITS = 300
DROPPED = (
    " ", "\\,", "+\\infty:\\infty", "\\\\:\\", "\n", "\\text", "\\mbox", "bmatrix:pmatrix", "\\left", "\\right",
    "^{\\circ}", "^\\circ", "{m}^3", "m^3", "{units}", "units", "{km}", "km",
)  # fmt: skip
LATER = ("\\!", "\\\\:\\", "tfrac:frac", "dfrac:frac", "\\left", "\\right", "^{\\circ}", "^\\circ", "\\$", "$")


def model_answer(response: str) -> str:
    """The answer that upstream reads from a response (its field `model_answer`)."""
    said = response.strip()
    for letter in "ABCDE":
        if said.endswith((f" {letter}.", f" ({letter}).")) or said.startswith(
            (f"{letter}\n", f"({letter})\n", f"({letter}) {letter}\n")
        ):
            said = letter
    tail = said.split("is ")[-1].rstrip(".")
    if _is_float(tail):
        said = tail
    if "oxed{" not in said:
        for phrase in PHRASES:
            for form in (phrase, phrase.replace("the", "The")):
                _, found, after = said.rpartition(form)
                said = after.strip()
                if found:
                    said = said.split("\n")[0].split(". ")[0]
    elif said.count("oxed{") > 1:
        said = "\\boxed{" + said.split("oxed{")[-1]
    said = _plain(said)
    for letter in "abcde":
        said = said.replace(f"({letter})", letter)
    for letter in "abcde":
        said = said.replace(f"{{{letter}}}", letter)
    return said.rstrip(".").lstrip(":").strip()


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without(text: str, parts: tuple[str, ...]) -> str:
    for part in parts:
        old, _, new = part.partition(":")
        text = text.replace(old, new)
    return text


def _plain(text: str) -> str:
    text = text.lower().replace("{}", "")
    start, end = text.find("oxed{"), text.rfind("}")
    if start >= 0 and start + len("oxed{") <= end:
        text = text[start + len("oxed{") : end]
    if "}" in text and ("{" not in text or text.find("}") < text.find("{")):
        text = text.split("}")[0]
    text = text.split("=")[-1].split("\\approx")[-1].replace("\u221e", "\\infty")
    text = _without(_without(text, DROPPED), LATER).split("\\text{ ")[0].replace("\\%", "").replace("{.", "{0.")
    if text.startswith("."):
        text = "0" + text
    if "sqrt" in text:
        text = re.sub(r"\\sqrt(?!\{)(.)", r"\\sqrt{\1}", text)
        text = re.sub(
            r"\\frac(?!\{)(.)([^{])", r"\\frac{\1}{\2}", re.sub(r"\\frac(?!\{)(.)(?=\{)", r"\\frac{\1}", text)
        )
    if text == "0.5":
        return "\\frac{1}{2}"
    fraction = re.fullmatch(r"(-?[1-9]\d*|0)/(-?[1-9]\d*|0)", text)
    return f"\\frac{{{fraction[1]}}}{{{fraction[2]}}}" if fraction else text


def same(said: str, gold: str) -> bool:
    """Upstream's equality: the same text in lower case, tuple, or value to two decimals."""
    said, gold = said.lower(), gold.lower()
    if not said.replace(" ", "") or not gold.replace(" ", ""):
        return False
    if said.strip() == gold.strip():
        return True
    one, other = _tuple(said), _tuple(gold)
    if one is not None and one == other:
        return True
    values = _value(said), _value(gold)
    return None not in values and values[0] == values[1]


def _value(text: str) -> float | None:
    text = _to_first_open_end(text.replace("$", "").replace("\\displaystyle", ""))
    if PLAIN.fullmatch(text) and len(text) < MAX_DIGITS:
        return round(float(text), 2)
    # Upstream's parser takes a degree sign for an unknown.
    found = None if "\\circ" in text else computed(text)
    return None if found is None else round(found, 2)


def _to_first_open_end(text: str) -> str:
    depth = 0
    for place, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return text[:place]
    return text


def _tuple(text: str) -> list[str | float | None] | None:
    parts = text[1:-1].split(",")
    if len(parts) < 2 or (text[0], text[-1]) not in (("(", ")"), ("[", "]")) or len(text) > 200:
        return None
    found = [part if "infty" in part or part in ("a", "-a") else _value(part) for part in parts]
    return None if None in found else [text[0], *found]


def mathvision_upstream(response: str, question: Question) -> Verdict:
    """1 if what upstream reads is the right option's letter or text, or the answer."""
    said = model_answer(response)
    if not said:
        return NOTHING
    right = False
    for answer in question.answers:
        place = LETTERS.find(answer) if len(answer) == 1 else -1
        option = question.choices[place] if 0 <= place < len(question.choices) else ""
        right = right or same(answer, said) or same(option, said)
    return Verdict(said, float(right), "upstream")
