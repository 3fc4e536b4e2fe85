"""MathVerse: the options stand within the question, and an answer may be "B", "(B)" or "A\\nC"."""

from __future__ import annotations

import re
from typing import Any

from pruning_regimes.benchmarks.adapters import inline

LETTERS = "ABCD"
LETTER = re.compile(r"\b[A-Z]\b")
# "A.x" at the beginning of a line, for "A. x".
CLOSE = re.compile(r"^([A-Z]\.)(?=\S)", re.MULTILINE)


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds answers and options, none for free-form questions; four letters without text where they cannot be read."""
    answer = row["answer"].strip()
    if not row["question_type"].startswith("multi"):
        return {**row, "options": None, "answers": [answer]}
    options, answers = inline.split(CLOSE.sub(r"\1 ", row["question"]))[1], LETTER.findall(answer)
    if any(LETTERS.find(letter) >= len(options) for letter in answers):
        options = [""] * len(LETTERS)
    return {**row, "options": options, "answers": answers or [answer]}
