"""Text as printed: how wide it is, broken into lines, shortened, and without what the font cannot show."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font, LoadFlags

FONT = "DejaVu Sans"  # matplotlib brings it along, so that figures are the same everywhere
ELLIPSIS = "…"
LINE = 1.25  # height of a line, as a share of the font's size
SPACE = r"[^\S\xa0]"  # but not one that keeps words together
WORD = re.compile(rf"(?:(?!{SPACE})[^-_/])*(?:[-_/]+|{SPACE}+)|(?:(?!{SPACE})[^-_/])+")  # a line may break after each
LACKING = re.compile(r"x(?:[x ]*x)?")
INVISIBLE = ("Cc", "Cf", "Co", "Cs")  # categories of Unicode


@cache
def _font() -> FT2Font:
    return get_font(findfont(FontProperties(family=FONT)))


@cache
def _advance(letter: str) -> float:
    """Width of a letter at size 1."""
    return _font().load_char(ord(letter), flags=LoadFlags.NO_SCALE).horiAdvance / _font().units_per_EM


def width(text: str, points: float) -> float:
    """Width in inches of the widest line of a text.

    Args:
        points: size of the font.
    """
    return max(sum(map(_advance, line)) for line in text.split("\n")) * points / 72


def height(text: str, points: float) -> float:
    """Height in inches of a text of one or more lines."""
    return (text.count("\n") + 1) * LINE * points / 72


def wrapped(text: str, inches: float, points: float, lines: int = 1, tail: float = 0.4) -> str:
    """A text in lines that are no wider than the inches, shortened by an ellipsis if it takes too many.

    Lines break after spaces, hyphens, underscores and slashes, and elsewhere only in what is wider than a line.

    Args:
        points: size of the font.
        lines: how many there may be.
        tail: share of what is kept that comes after the ellipsis; 0 to keep the beginning only.
    """
    text = re.sub(rf"{SPACE}+", " ", text).strip(" ")
    whole = _lines(text, inches, points)
    if len(whole) <= lines:
        return "\n".join(whole)
    fewest, most = 0, len(text)
    while fewest < most:
        kept = (fewest + most + 1) // 2
        fits = len(_lines(_cut(text, kept, tail), inches, points)) <= lines
        fewest, most = (kept, most) if fits else (fewest, kept - 1)
    return "\n".join(_lines(_cut(text, fewest, tail), inches, points))


def _cut(text: str, kept: int, tail: float) -> str:
    end = round(kept * tail)
    return text[: kept - end].rstrip() + ELLIPSIS + text[len(text) - end :].lstrip()


def _lines(text: str, inches: float, points: float) -> list[str]:
    room = inches * 72 / points
    lines, used = [""], 0.0
    for word in WORD.findall(text):
        if lines[-1] and used + sum(map(_advance, word.rstrip(" "))) > room:
            lines.append("")
            used = 0.0
        for letter in word:
            if lines[-1] and used + _advance(letter) > room and letter != " ":
                lines.append("")
                used = 0.0
            lines[-1] += letter
            used += _advance(letter)
    return [line.rstrip(" ") for line in lines]


def printable(text: str) -> str:
    """A text in which what the font lacks is told instead, such as [Hangul: 5 characters]."""
    text = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in INVISIBLE)
    mask = "".join(" " if c.isspace() else "." if _font().get_char_index(ord(c)) else "x" for c in text)
    found, done = "", 0
    for run in LACKING.finditer(mask):
        scripts = dict.fromkeys(filter(None, map(_script, text[slice(*run.span())])))
        count = len(run[0])
        told = f"[{' and '.join(scripts) or 'symbols'}: {count} character{'s' if count > 1 else ''}]"
        found, done = found + text[done : run.start()] + told, run.end()
    return found + text[done:]


def _script(letter: str) -> str | None:
    """Of a letter; None of what is none."""
    if unicodedata.category(letter)[0] not in "LM":
        return None
    first = unicodedata.name(letter, "unnamed").split()[0].split("-")[0]
    return first if first == "CJK" else first.capitalize()
