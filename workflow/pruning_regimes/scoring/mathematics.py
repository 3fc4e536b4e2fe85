"""Equality of mathematical answers, in bounded time and without evaluating what a model wrote as code.

math-verify's parser (latex2sympy2_extended) reads LaTeX. It has no time limit of its own outside the main thread, and
sympy computes what it reads, so only short expressions of known commands and small powers are given to it.
"""

from __future__ import annotations

import logging
import math
import re
from functools import lru_cache
from typing import Any

from pruning_regimes.scoring.numbers import PLAIN, number
from pruning_regimes.scoring.text import MINUS

MAX_LENGTH, MAX_SYMBOLIC, MAX_DEPTH, MAX_DIGITS = 120, 60, 12, 15
COMMANDS = set(
    "frac dfrac tfrac sqrt pi cdot times div pm left right infty circ sin cos tan cot log ln text mathrm "
    "alpha beta gamma theta phi lambda mu in leq geq le ge ne neq".split()
)
COMMAND = re.compile(r"\\([A-Za-z]+)")
# A power of a small whole number or fraction, or of one letter.
POWER = re.compile(
    r"\^\s?(?:\{?\s?(?:-?\d{1,2}|-?\d/\d|\\frac\{?\d\}?\{?\d\}?|[a-z])\s?\}?(?!\s*[\d^!])|\\circ|\{\\circ\})"
)
MAX_POWERS, SMALL = 3, 9  # up to three powers; only one of them may be above 9
UNIT_NAMES = (
    "km cm mm m inches inch in feet foot ft yards yd miles units unit degrees degree meters meter metres metre "
    "centimeters centimeter centimetres centimetre kilometers kilometer seconds second minutes minute hours hour "
    "kg grams gram g"
).split()
UNITS = re.compile(
    r"(?<=[\d)}\s])(?:\\?(?:text|mathrm|mbox)\s?\{\s*(?:[a-zA-Z%. ~]|\\ )+\}(?:\s?\^\s?\{?[23]\}?)?"
    rf"|\s?\b(?:square |cubic |sq\.? ?)?(?:{'|'.join(UNIT_NAMES)})(?:\s?(?:\^\s?\{{?[23]\}}?|\u00b2|\u00b3))?)\s*\.?$"
)
DROPPED = (
    "\\displaystyle", "\\!", "\\,", "\\;", "\\$", "$", "\\left", "\\right", "^{\\circ}", "^\\circ", "\\circ", "\u00b0",
    "\\(", "\\)", "\\[", "\\]",
)  # fmt: skip
PLAIN_FORMS = {form: "" for form in DROPPED} | {
    "\\ ": " ", "\\%": "%", "\\dfrac": "\\frac", "\\tfrac": "\\frac", "\u221e": "\\infty ", "\u03c0": "\\pi ",
    "\u00d7": "\\times ", "\u00b7": "\\cdot ", "\u00f7": "\\div ", "\u00b2": "^2", "\u00b3": "^3", "**": "^",
    "\u2264": "\\le ", "\u2265": "\\ge ",
}  # fmt: skip
PERCENT = re.compile(r"\s?\bper\s?cent\b", re.IGNORECASE)
PI = re.compile(r"(?<![\\A-Za-z])pi\b")
POWER_IN_BRACKETS = re.compile(r"\^\((-?\d{1,2}(?:/\d)?)\)")
SPELLED = {word: float(number) for number, word in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty".split()
)}  # fmt: skip
# A word, which is neither a command nor a function: what holds one is no expression, and is not parsed.
WORD = re.compile(r"(?<![\\A-Za-z])(?!(?:sqrt|sin|cos|tan|cot|log|ln|pi)(?![A-Za-z]))[A-Za-z]{3,}")
ROOT = re.compile(
    "\u221a\\s?(?:\\(([^()]{1,40})\\)|\\{([^{}]{1,40})\\}|(\\d++|[a-z]))|(?<!\\\\)\\bsqrt\\(([^()]{1,40})\\)"
)
BARE_ROOT = re.compile(r"\\sqrt\s?([0-9a-z])")
BARE_FRACTION = re.compile(r"\\frac\s?(\d)\s?(\d)")
DECIMALS = 0.005  # half a unit of the second decimal
EXACT = 1e-6
POINTS = (0.731, 1.913, 3.187)  # where expressions are compared


def plain_latex(text: str) -> str:
    """A mathematical text without layout, units, degree signs and the like, in LaTeX where it had signs of its own."""
    plain = text.translate(MINUS).strip()
    for old, new in PLAIN_FORMS.items():
        plain = plain.replace(old, new)
    plain = ROOT.sub(lambda match: f"\\sqrt{{{next(part for part in match.groups() if part)}}}", plain)
    plain = BARE_FRACTION.sub(r"\\frac{\1}{\2}", BARE_ROOT.sub(r"\\sqrt{\1}", plain))
    plain = PERCENT.sub("%", PI.sub(r"\\pi ", plain)).replace("*", "\\cdot ")
    plain = POWER_IN_BRACKETS.sub(r"^{\1}", plain)
    plain = UNITS.sub("", plain.strip().rstrip(".").strip())
    whole_text = re.fullmatch(r"\\(?:text|mathrm|mathbf|textbf)\s?\{([^{}]*)\}", plain)
    return (whole_text[1] if whole_text else plain).strip()


def right_side(text: str) -> str:
    """What stands after the only equals sign (exact or about) of a text, if a name stands before it."""
    for sign in ("=", "\\approx", "\u2248"):
        left, found, right = text.partition(sign)
        if found and sign not in right and re.fullmatch(r"[\\\w\s{}(),.'\u2220]{1,20}", left) and right.strip():
            return right.strip()
    return text


@lru_cache(maxsize=8192)
def value(text: str) -> float | None:
    """The finite real number that a text stands for; None if it stands for none, or is too large to be computed."""
    plain = plain_latex(text)
    if plain.casefold() in SPELLED:
        return SPELLED[plain.casefold()]
    percent = plain.endswith("%")
    plain = plain.removesuffix("%").strip()
    found = number(plain)
    # What is written as a number and is none is too large.
    if found is None and not PLAIN.fullmatch(plain) and not WORD.search(plain) and re.search(r"\d|\\pi|^e$", plain):
        found = computed(plain)
    return found / 100 if found is not None and percent else found


def _safe(text: str, limit: int) -> bool:
    """Whether a text may be given to a computer algebra system."""
    if not text or len(text) > limit or "!" in text or re.search(rf"\d{{{MAX_DIGITS + 1},}}", text):
        return False
    if any(name not in COMMANDS for name in COMMAND.findall(text)):
        return False
    powers = [match.group() for match in POWER.finditer(text)]
    if len(powers) != text.count("^") or len(powers) > MAX_POWERS:
        return False
    large = [power for power in powers if any(int(digits) > SMALL for digits in re.findall(r"\d+", power))]
    if len(large) > 1 or (large and len(powers) > 1):
        return False
    depth = deepest = 0
    for character in text:
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(character, 0)
        deepest = max(deepest, depth)
        if depth < 0:
            return False
    return depth == 0 and deepest <= MAX_DEPTH


@lru_cache(maxsize=8192)
def computed(latex: str) -> float | None:
    """The finite real number that a LaTeX expression without unknowns has; None for any other text."""
    expression = _expression(latex) if _safe(latex, MAX_LENGTH) else None
    # A product of letters is a word, not a number.
    if expression is None or getattr(expression, "free_symbols", True):
        return None
    try:
        found = float(expression.evalf(15))
    except (ArithmeticError, AttributeError, TypeError, ValueError, RecursionError):
        return None
    return found if math.isfinite(found) else None


def _expression(text: str) -> Any:
    from latex2sympy2_extended import latex2sympy  # half a second: only where an answer needs it

    try:
        return latex2sympy(text)
    except Exception:  # the parser raises whatever its grammar, sympy and Python raise
        return None


def equal(gold: str, said: str) -> bool:
    """Whether two texts stand for the same: the same text, number, tuple, interval or expression.

    Decimal numbers are compared to the decimals that the less exact of the two has, but to two at least; others
    exactly. A name before an equals sign, units and degree signs do not matter.
    """
    gold, said = right_side(plain_latex(gold)), right_side(plain_latex(said))
    if not gold or not said:
        return False
    if _squeezed(gold) == _squeezed(said):
        return True
    wanted, found = value(gold), value(said)
    if wanted is not None and found is not None:
        # A per cent sign on one side only: 17% is 17 or 0.17.
        one_sided = gold.endswith("%") != said.endswith("%")
        readings = [wanted, wanted * 100, wanted / 100] if one_sided else [wanted]
        return any(math.isclose(one, found, rel_tol=EXACT, abs_tol=_tolerance(gold, said)) for one in readings)
    if wanted is not None or found is not None:
        return False
    one, other = _elements(gold), _elements(said)
    if one and other:
        ends = (gold[0], gold[-1]) == (said[0], said[-1])
        return ends and len(one) == len(other) and all(map(equal, one, other))
    return _same_expression(gold, said)


def _tolerance(gold: str, said: str) -> float:
    decimals = [len(part) for text in (gold, said) for part in re.findall(r"\.(\d+)", text)]
    return min(DECIMALS, 0.5 * 10.0 ** -min(decimals)) * (1 + EXACT) if decimals else 0.0


def _squeezed(text: str) -> str:
    return re.sub(r"[\s{}]", "", text).casefold().rstrip(".")


def _elements(text: str) -> list[str]:
    """The parts of a tuple, an interval or a set in brackets; none if a text is no such thing."""
    text = text.strip()
    if len(text) < 5 or text[0] not in "([" or text[-1] not in ")]" or len(text) > MAX_LENGTH:
        return []
    parts = [part.strip() for part in text[1:-1].split(",")]
    return parts if len(parts) > 1 and all(parts) else []


def _same_expression(gold: str, said: str) -> bool:
    # Words are no mathematics: "red" is not r*e*d, and "der" not the same.
    if not all(_safe(text, MAX_SYMBOLIC) and re.search(r"[\d=^+\\<>/-]", text) for text in (gold, said)):
        return False
    one, other = _expression(gold), _expression(said)
    if one is None or other is None:
        return False
    try:
        if _differences(one) is not None and _differences(other) is not None:
            return _same_at_points(one, other)
        # Relations and sets; with small powers only, since they are simplified.
        return all("^" not in text for text in (gold, said)) and _verified(one, other)
    except Exception:  # sympy's arithmetic and comparisons raise all kinds
        return False


def _differences(expression: Any) -> Any:
    """What has to be zero: both sides' difference for an equation, the expression itself otherwise; None for others."""
    from sympy import Eq, Expr

    if isinstance(expression, Eq):
        return expression.lhs - expression.rhs
    return expression if isinstance(expression, Expr) else None


def _same_at_points(one: Any, other: Any) -> bool:
    """Whether two expressions agree wherever they are looked at, equations up to a factor: much faster than algebra."""
    equations = type(one).__name__ == type(other).__name__ == "Equality"
    sides = _differences(one), _differences(other)
    symbols = sorted(sides[0].free_symbols | sides[1].free_symbols, key=str)
    if sides[0].free_symbols != sides[1].free_symbols or not symbols:
        return False
    ratios = []
    for point in POINTS:
        values = dict(zip(symbols, (point + 0.37 * place for place in range(len(symbols))), strict=True))
        first, second = (complex(side.evalf(15, subs=values)) for side in sides)
        if not abs(second) > 0 or not math.isfinite(abs(first)):
            return False
        ratios.append(first / second)
    wanted = ratios[0] if equations else 1
    return all(abs(ratio - wanted) <= EXACT * abs(wanted) for ratio in ratios)


def _verified(one: Any, other: Any) -> bool:
    from math_verify import verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # warns of every call without a time limit
    return bool(verify(one, other, timeout_seconds=None))
