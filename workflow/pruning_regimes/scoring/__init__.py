"""Score stored answers. Pure functions: a changed metric re-scores without a model."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence

import polars as pl

from pruning_regimes.errors import DataError, nearest
from pruning_regimes.tables import frame

Scorer = Callable[[str, Sequence[str], Sequence[str] | None], tuple[str | None, float]]

MINUS = str.maketrans("\u2212\u2013", "--")  # minus sign, en dash
# A whole number that is not part of a word or of a decimal number, with or without thousands separators.
INTEGER = re.compile(r"(?<![\w.,])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?!\w|[.,]\d)")
LETTERS = tuple(string.ascii_uppercase)
LETTER = re.compile(r"\(?([A-Za-z])\)?(?:[.:)]\s*(.*))?", re.DOTALL)


def normalise(text: str) -> str:
    """Lower case, single spaces, no punctuation around words; a text of punctuation only stays as it is.

    What belongs to a number stays: the sign and the point of -1.5, the stroke of 3/4.
    """
    words = [re.sub(r"^(?:(?!-?\.?\d)\W)+|\W+$", "", word) for word in text.translate(MINUS).casefold().split()]
    return " ".join(word for word in words if word) or " ".join(text.split())


def whole(text: str) -> int:
    """The integer that a text is, thousands separators allowed.

    Raises: ValueError if it is none.
    """
    return int(text.strip().translate(MINUS).replace(",", ""))


def exact(response: str, answers: Sequence[str], _: Sequence[str] | None) -> tuple[str | None, float]:
    """1 if the normalised response is one of the normalised answers."""
    extracted = normalise(response)
    if not extracted:
        return None, 0.0
    return extracted, float(extracted in {normalise(answer) for answer in answers})


def integer(response: str, answers: Sequence[str], _: Sequence[str] | None) -> tuple[str | None, float]:
    """1 if the response is one integer, with or without words around it, and equals an answer.

    A response with two different integers has no answer: picking one of them would be a guess.
    """
    found = {whole(number) for number in INTEGER.findall(response.translate(MINUS))}
    if len(found) != 1:
        return None, 0.0
    number = found.pop()
    return str(number), float(number in {whole(answer) for answer in answers})


def choice(response: str, answers: Sequence[str], choices: Sequence[str] | None) -> tuple[str | None, float]:
    """1 if the response names the right option: by its letter ("B", "(B)", "B. red") or by its text.

    A letter with a reason counts unless the reason names the letter of another option. `answers` are options' texts.
    """
    options = list(choices or ())
    chosen = _by_letter(response.strip(), options)
    if chosen is None:
        same = [option for option in options if normalise(option) == normalise(response)]
        chosen = same[0] if len(same) == 1 else None
    return chosen, float(chosen is not None and chosen in answers)


def _by_letter(response: str, options: Sequence[str]) -> str | None:
    match, lettered = LETTER.fullmatch(response), dict(zip(LETTERS, options, strict=False))
    letter = match[1].upper() if match else ""
    if letter not in lettered:
        return None
    reason = match[2] or ""
    others = lettered.keys() & set(re.findall(r"\b[A-Z]\b", reason)) - {letter}
    return lettered[letter] if not others or normalise(reason) == normalise(lettered[letter]) else None


SCORERS: dict[str, Scorer] = {"exact": exact, "integer": integer, "choice": choice}


def check(benchmark: str, questions: pl.DataFrame) -> None:
    """Check that every question of a benchmark table can be scored.

    Raises: DataError naming the question: an unknown answer type, no answer, an answer that is no integer or no option,
        options that cannot be told apart.
    """
    for row in questions.drop("images").iter_rows(named=True):
        at = f"benchmarks.{benchmark}: question '{row['sample_id']}'"
        answers, choices = row["answers"], row["choices"] or []
        if row["answer_type"] not in SCORERS:
            raise DataError(f"{at}: unknown answer_type '{row['answer_type']}'; {nearest(row['answer_type'], SCORERS)}")
        if not answers:
            raise DataError(f"{at} has no answer; every question needs at least one.")
        if row["answer_type"] == "integer":
            _check_integers(at, answers)
        elif row["answer_type"] == "choice":
            _check_choices(at, answers, choices)


def _check_integers(at: str, answers: Sequence[str]) -> None:
    for answer in answers:
        try:
            whole(answer)
        except ValueError as error:
            raise DataError(
                f"{at}: the answer '{answer}' is no whole number; write it in digits, or use answer_type 'exact'."
            ) from error


def _check_choices(at: str, answers: Sequence[str], choices: Sequence[str]) -> None:
    if not 2 <= len(choices) <= 26:
        raise DataError(f"{at}: answer_type 'choice' needs 2 to 26 choices, found {len(choices)}.")
    for answer in answers:
        if answer not in choices:
            raise DataError(f"{at}: the answer '{answer}' is none of its choices; {nearest(answer, choices)}")
    if len({normalise(option) for option in choices}) < len(choices):
        raise DataError(f"{at}: two of its choices differ by case or punctuation only: {', '.join(choices)}.")
    for letter, option in zip(LETTERS, choices, strict=False):
        if option.upper() != letter and option.upper() in LETTERS[: len(choices)]:
            raise DataError(f"{at}: the choice '{option}' is the letter of another choice; use answer_type 'exact'.")


def score(questions: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
    """Score every prediction.

    Args:
        questions: the benchmark table.
        predictions: the predictions table; answers to questions that are no longer in the benchmark are left out.

    Returns: the scores table; a prediction with an error scores 0 and has nothing extracted.
    """
    asked = {row["sample_id"]: row for row in questions.drop("images").iter_rows(named=True)}
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
        rows.append({**identity, **asked_for, "extracted": extracted, "score": value, "error": answer["error"]})
    return frame("scores", rows)
