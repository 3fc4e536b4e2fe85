"""RealWorldQA: one text holds the question, its options and how to answer."""

from __future__ import annotations

import re
from typing import Any

from pruning_regimes.benchmarks.adapters import inline

INSTRUCTION = re.compile(r"\s*Please answer directly with [^\n]*\s*$")
LETTERS = "ABCD"


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Adds kind, stem (the question without options and instruction) and options; answer becomes a list.

    A question whose answer is a letter is a multiple-choice one; where its options cannot be read, it has the four
    letters that lmms-eval allows.
    """
    answer = row["answer"].strip()
    stem, options = inline.split(INSTRUCTION.sub("", row["question"]))
    if answer.upper() not in tuple(LETTERS):
        return {**row, "kind": "open", "stem": stem, "options": None, "answer": [answer]}
    if LETTERS.index(answer.upper()) >= len(options):
        stem, options = INSTRUCTION.sub("", row["question"]).strip(), [""] * len(LETTERS)
    return {**row, "kind": "multiple-choice", "stem": stem, "options": options, "answer": [answer.upper()]}
