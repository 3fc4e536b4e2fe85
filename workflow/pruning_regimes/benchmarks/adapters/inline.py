"""Options that stand within a question's text."""

from __future__ import annotations

import re
from string import ascii_uppercase

# How an option's letter is written: "(A) ", "A: ", "A. ", "A) "; all options of a question are written alike.
STYLES = (r"\({}\)", r"{}:", r"{}\.", r"{}\)")
HEADING = r"\b(?:Options|Choices):"
# What stands before the letters after A, in order of preference.
SEPARATORS = (r"(?:,\s*|\s*\n\s*)", r"\s+")


def split(text: str) -> tuple[str, list[str]]:
    """A question's text before its options, and the options' texts; the whole text and none if it has fewer than two.

    Letters are taken in order from A, the first at the beginning of a line or after the word "Options:" or "Choices:",
    the others after a comma or a line break, or else after a space: commas and letters within an option do no harm.
    """
    for style in STYLES:
        first = re.search(rf"(?:^|\n|{HEADING})\s*(?P<letter>{style.format('A')}){_after(style)}", text)
        others = _others(text, style, first.end()) if first else []
        if others:
            begins = [first.end(), *(match.end() for match in others)]
            stops = [*(match.start() for match in others), len(text)]
            options = [text[begin:stop].strip() for begin, stop in zip(begins, stops, strict=True)]
            return re.sub(rf"\s*{HEADING}\s*$", "", text[: first.start("letter")]).strip(), options
    return text.strip(), []


def _others(text: str, style: str, begin: int) -> list[re.Match[str]]:
    """Where B, C, ... stand with the separators before them."""
    found = []
    for letter in ascii_uppercase[1:]:
        patterns = (re.compile(rf"{separator}{style.format(letter)}{_after(style)}") for separator in SEPARATORS)
        match = next(filter(None, (pattern.search(text, begin) for pattern in patterns)), None)
        if match is None:
            break
        found.append(match)
        begin = match.end()
    return found


def _after(style: str) -> str:
    """What follows a letter: a space, but for the style with a colon, as in "A:40"."""
    return "" if style == STYLES[1] else r"(?=\s|$)"
