"""Score stored answers. Pure functions: a changed metric re-scores without a model.

Each kind of answer has a clean rule and one that scores as upstream does, known faults included. No rule draws at
random, evaluates what a model wrote, or raises on any text; each takes bounded time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import polars as pl

from pruning_regimes.jobs.errors import DataError, nearest
from pruning_regimes.scoring import (
    dynamath,
    freeform,
    letters,
    letters_upstream,
    mathvision,
    mathvista,
    mmmu,
    numbers,
    strings,
    tabmwp,
    text,
    yesno,
)
from pruning_regimes.scoring.reading import reading, reading_all, reading_whole
from pruning_regimes.scoring.verdict import AnswerType, Question, Rule, Verdict
from pruning_regimes.tables import frame
from pruning_regimes.tables.contracts import ERROR, UNPARSED

__all__ = ["ANSWER_TYPES", "MODES", "UNPARSED", "AnswerType", "Question", "Verdict", "check", "score"]
MODES = ("clean", "upstream")


def _any(at: str, question: Question) -> None:
    """Any answer will do."""


def _type(
    clean: Rule,
    upstream: Rule | None = None,
    check: Callable[[str, Question], None] = _any,
    read: Callable[[Rule], Rule] = reading,
) -> AnswerType:
    return AnswerType(read(clean), text.taking_all(upstream or clean), check)


_letter = partial(_type, letters.letter, check=letters.check_letters)
_whole = partial(_type, read=reading_whole)
_yesno = partial(_type, yesno.yesno, check=yesno.check_yesno)

ANSWER_TYPES: dict[str, AnswerType] = {
    "exact": _whole(text.exact),
    "integer": _whole(numbers.integer, check=numbers.check_integers),
    "choice": _type(letters.choice, check=letters.check_choices),
    "letter": _letter(),
    "letter_mmmu": _letter(letters_upstream.by(letters_upstream.mmmu)),
    "letter_sqa": _letter(letters_upstream.by(letters_upstream.sqa)),
    "letter_ai2d": _letter(letters_upstream.by(letters_upstream.ai2d)),
    "letter_first": _letter(letters_upstream.by(letters_upstream.first)),
    "letter_geometry3k": _letter(letters_upstream.by(letters_upstream.geometry3k)),
    "letter_geoqa": _letter(letters_upstream.by(letters_upstream.geoqa)),
    "letter_vlmevalkit": _letter(letters_upstream.by(letters_upstream.vlmevalkit)),
    "letter_lmms": _letter(letters_upstream.by(letters_upstream.lmms)),
    "relaxed": _whole(numbers.relaxed, numbers.relaxed_upstream),
    "anls": _whole(strings.anls, strings.anls_upstream),
    "vqa": _whole(strings.vqa, check=strings.check_vqa),
    "word": _whole(numbers.word),
    "ocr": _type(strings.ocr, read=reading_all),
    "gqa": _whole(strings.gqa),
    "yesno": _yesno(),
    "yesno_pope": _yesno(yesno.pope_upstream),
    "yesno_mme": _yesno(yesno.mme_upstream),
    "yesno_hallusion": _yesno(yesno.hallusion_upstream),
    "number_math": _type(freeform.number_math),
    "mathvision": _type(freeform.mathvision, mathvision.mathvision_upstream, freeform.check_mathvision),
    "mathvista": _type(mathvista.mathvista, mathvista.mathvista_upstream, mathvista.check_mathvista),
    "mathverse": _type(freeform.mathverse, check=freeform.check_mathverse),
    "dynamath": _type(dynamath.dynamath, dynamath.dynamath_upstream, dynamath.check_dynamath),
    "tabmwp": _type(tabmwp.tabmwp, tabmwp.tabmwp_upstream, tabmwp.check_tabmwp),
    "mmmu_open": _type(mmmu.mmmu_open, mmmu.mmmu_open_upstream),
}


def check(benchmark: str, questions: pl.DataFrame) -> None:
    """Check that every question of a benchmark table can be scored.

    Raises: DataError naming the question: an unknown answer type, no answer, metadata that are no JSON object, or what
        its answer type asks for is not there.
    """
    for row in _rows(questions):
        at = f"benchmarks.{benchmark}: question '{row['sample_id']}'"
        if row["answer_type"] not in ANSWER_TYPES:
            raise DataError(
                f"{at}: unknown answer_type '{row['answer_type']}'; {nearest(row['answer_type'], ANSWER_TYPES)}"
            )
        if not row["answers"]:
            raise DataError(f"{at} has no answer; every question needs at least one.")
        ANSWER_TYPES[row["answer_type"]].check(at, _question(row, at))


def score(questions: pl.DataFrame, predictions: pl.DataFrame, mode: str = "clean") -> pl.DataFrame:
    """Score every prediction.

    Args:
        questions: the benchmark table; images are not looked at and may be left out.
        predictions: the predictions table; answers to questions that are no longer in the benchmark are left out.
        mode: "clean", or "upstream" to score as the benchmark's or a harness's own code does, known faults included.

    Returns: the scores table; a prediction with an error scores 0 and has nothing extracted. Every question is a
        cluster of its own; `clusters.clustered` looks at the images.

    Raises: DataError for an unknown mode, or metadata that are no JSON object.
    """
    if mode not in MODES:
        raise DataError(f"There is no scoring mode '{mode}'; {nearest(mode, MODES)}")
    asked = {row["sample_id"]: row for row in _rows(questions)}
    known = {name: _question(row, f"question '{name}'") for name, row in asked.items()}
    rows = []
    for answer in predictions.iter_rows(named=True):
        row = asked.get(answer["sample_id"])
        if row is None:
            continue
        verdict = Verdict(None, 0.0, ERROR)
        if answer["error"] is None:
            rule = getattr(ANSWER_TYPES[row["answer_type"]], mode)
            verdict = rule(answer["response"], known[answer["sample_id"]])
        rows.append(
            {
                **{name: answer[name] for name in ("variant_id", "sample_id", "error")},
                **{name: row[name] for name in ("category", "chance")},
                "cluster": row["sample_id"],
                **vars(verdict),
            }
        )
    return frame("scores", rows)


def _rows(questions: pl.DataFrame) -> Any:
    return questions.drop("images", strict=False).iter_rows(named=True)


def _question(row: dict[str, Any], at: str) -> Question:
    try:
        metadata = json.loads(row["metadata"] or "{}")
    except ValueError as error:
        raise DataError(f"{at}: metadata have to be a JSON object, found '{row['metadata'][:40]}'.") from error
    if not isinstance(metadata, dict):
        raise DataError(f"{at}: metadata have to be a JSON object, found '{row['metadata'][:40]}'.")
    return Question(row["answers"], row["choices"] or (), metadata)
