"""MMMU: lists are written as text, and the subject stands in the id."""

from __future__ import annotations

import ast
import re
from typing import Any

from pruning_regimes.jobs.errors import DataError


def convert(row: dict[str, Any]) -> dict[str, Any]:
    """Options (none for open questions) and answer become lists; adds subject.

    Raises: DataError if the options are no list.
    """
    chosen = row["question_type"] == "multiple-choice"
    subject = re.sub(r"^[a-z]+_|_\d+$", "", row["id"])
    options = _list(row["id"], row["options"]) if chosen else None
    answer = row["answer"].strip()
    # An open question may have several answers: "['1/2', '0.5']".
    answers = _list(row["id"], answer) if not chosen and answer.startswith("[") else [answer]
    return {**row, "options": options, "answer": answers, "subject": subject}


def _list(sample: str, text: str) -> list[str]:
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise DataError(
            f"MMMU's question '{sample}': '{text}' was expected to be a list such as ['a', 'b']."
        ) from error
    if not isinstance(values, list):
        raise DataError(f"MMMU's question '{sample}': '{text}' was expected to be a list such as ['a', 'b'].")
    return [str(value) for value in values]
