"""Score stored answers. Pure functions: a changed metric re-scores without a model."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence

import polars as pl

from pruning_regimes.errors import DataError, nearest
from pruning_regimes.tables import frame

Scorer = Callable[[str, Sequence[str], Sequence[str] | None], tuple[str | None, float]]

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower case, no punctuation, single spaces."""
    return " ".join(text.lower().translate(_PUNCTUATION).split())


def exact(response: str, answers: Sequence[str], _: Sequence[str] | None) -> tuple[str | None, float]:
    """1 if the normalised response equals one of the normalised answers."""
    extracted = normalise(response)
    return extracted or None, float(extracted in {normalise(answer) for answer in answers})


def integer(response: str, answers: Sequence[str], _: Sequence[str] | None) -> tuple[str | None, float]:
    """1 if the response is one integer, with or without words around it, and equals an answer.

    A response with two different integers has no answer: picking one of them would be a guess.
    """
    found = {int(number) for number in re.findall(r"(?<![\w.])-?\d+(?![\w]|\.\d)", response)}
    if len(found) != 1:
        return None, 0.0
    number = found.pop()
    return str(number), float(number in {int(answer) for answer in answers})


def choice(response: str, answers: Sequence[str], choices: Sequence[str] | None) -> tuple[str | None, float]:
    """1 if the response names the right option, by its letter ("B", "(B)", "B. red") or by its text.

    Raises: DataError if the question has no choices.
    """
    if not choices:
        raise DataError("A question of answer_type 'choice' has no choices; its table must list them.")
    options = {chr(ord("A") + i): text for i, text in enumerate(choices)}
    lettered = re.fullmatch(r"\s*\(?([A-Za-z])\)?(?:[.:)]\s*.*)?\s*", response, re.DOTALL)
    extracted = options.get(lettered[1].upper()) if lettered else None
    if extracted is None:
        texts = {normalise(text): text for text in choices}
        extracted = texts.get(normalise(response))
    if extracted is None:
        return None, 0.0
    return extracted, float(normalise(extracted) in {normalise(answer) for answer in answers})


SCORERS: dict[str, Scorer] = {"exact": exact, "integer": integer, "choice": choice}


def score(questions: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
    """Score every prediction.

    Args:
        questions: the benchmark table.
        predictions: the predictions table; answers to questions that are no longer in the benchmark are left out.

    Returns: the scores table; a prediction with an error scores 0 and has nothing extracted.

    Raises: DataError for an unknown answer type.
    """
    asked = {row["sample_id"]: row for row in questions.drop("images").iter_rows(named=True)}
    for kind in questions["answer_type"].unique():
        if kind not in SCORERS:
            raise DataError(f"Unknown answer_type '{kind}'; {nearest(kind, SCORERS)}")
    rows = []
    for answer in predictions.iter_rows(named=True):
        question = asked.get(answer["sample_id"])
        if question is None:
            continue
        extracted, value = None, 0.0
        if answer["error"] is None:
            scorer = SCORERS[question["answer_type"]]
            extracted, value = scorer(answer["response"], question["answers"], question["choices"])
        identity = {name: answer[name] for name in ("variant_id", "sample_id")}
        asked_for = {name: question[name] for name in ("category", "chance")}
        rows.append({**identity, **asked_for, "extracted": extracted, "score": value})
    return frame("scores", rows)
