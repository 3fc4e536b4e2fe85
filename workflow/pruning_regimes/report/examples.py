"""Example answers: questions that the dense model answers rightly, with what is answered as more layers go.

Which questions is decided by a rule, so that none is picked by hand: they are spread over the budgets at which an
answer is wrong for the first time, and over the benchmarks; of those that are alike, the first by their ids are taken.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

import polars as pl

from pruning_regimes.tables import frame
from pruning_regimes.tables.contracts import DENSE, SCHEMAS

RIGHT = 0.5  # least score of an answer that counts as right
COLUMNS = ("benchmark", "sample_id", "first_wrong", "n_right", "n_alike")
LETTER = re.compile(r"\(?([A-Z])\)?[.:]?")


def steps(variants: pl.DataFrame, criterion: str) -> pl.DataFrame:
    """The dense model and the variants of a criterion's first replicate, by layers removed: n_removed, variant_id.

    Args:
        variants: the variants table of a model.
    """
    own = (pl.col("criterion") == criterion) & (pl.col("replicate") == 0)
    return variants.filter((pl.col("criterion") == DENSE) | own).select("n_removed", "variant_id").sort("n_removed")


def outcomes(scores: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """What becomes of the questions that the dense model answers rightly: sample_id, first_wrong; by sample_id.

    first_wrong: layers removed when the answer is wrong for the first time, null if it never is.

    Args:
        scores: the scores table of a benchmark.
    """
    answered = scores.join(steps, on="variant_id").with_columns(right=pl.col("score") >= RIGHT)
    dense = answered.filter(pl.col("n_removed") == 0, "right").select("sample_id")
    wrong = answered.filter(~pl.col("right")).group_by("sample_id").agg(first_wrong=pl.col("n_removed").min())
    return dense.join(wrong, on="sample_id", how="left").sort("sample_id")


def choose(found: Mapping[str, pl.DataFrame], count: int) -> pl.DataFrame:
    """Questions, spread over what became of them and over the benchmarks, the soonest wrong first.

    Args:
        found: benchmark -> its outcomes.
        count: of questions; there may be fewer.

    Returns: the first columns of the examples table, until n_alike.
    """
    waiting = {
        (name, first): part["sample_id"].to_list()
        for name, table in found.items()
        for (first,), part in table.group_by("first_wrong", maintain_order=True)
    }
    alike = {key: len(names) for key, names in waiting.items()}
    kinds = _spread(sorted({first for _, first in waiting}, key=lambda first: (first is None, first)), count)
    picked: list[tuple[str, str, int | None]] = []
    while len(picked) < count and any(waiting.values()):
        for kind in kinds:
            able = [name for name in found if waiting.get((name, kind))]
            if able and len(picked) < count:
                # The benchmark that has been asked least.
                name = min(able, key=Counter(name for name, _, _ in picked).__getitem__)
                picked.append((name, waiting[name, kind].pop(0), kind))
    picked.sort(key=lambda row: kinds.index(row[2]))
    return pl.DataFrame(
        [
            {
                "benchmark": name,
                "sample_id": sample,
                "first_wrong": first,
                "n_right": len(found[name]),
                "n_alike": alike[name, first],
            }
            for name, sample, first in picked
        ],
        schema={name: SCHEMAS["examples"][name] for name in COLUMNS},
    )


def _spread(kinds: Sequence[Any], count: int) -> list[Any]:
    """As many of them as are asked for, evenly, the first and the last among them."""
    if count >= len(kinds):
        return list(kinds)
    return [kinds[round(index * (len(kinds) - 1) / max(1, count - 1))] for index in range(count)]


def collect(
    chosen: pl.DataFrame,
    steps: pl.DataFrame,
    questions: Mapping[str, pl.DataFrame],
    predictions: Mapping[str, pl.DataFrame],
    scores: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:
    """The examples table.

    Args:
        chosen: questions, as `choose` returns them.
        steps: variants, as `steps` returns them.
        questions, predictions, scores: benchmark -> its table; rows of other questions are not looked at.
    """
    rows = []
    for row in chosen.iter_rows(named=True):
        name, asked = row["benchmark"], pl.col("sample_id") == row["sample_id"]
        question = questions[name].filter(asked).row(0, named=True)
        said = predictions[name].filter(asked).select("variant_id", "response")
        answers = steps.join(said, on="variant_id").join(scores[name].filter(asked), on="variant_id").sort("n_removed")
        choices = question["choices"] or []
        rows.append(
            {
                **row,
                "question": _asked(question),
                "images": question["images"],
                "reference": " / ".join(dict.fromkeys(named(answer, choices) for answer in question["answers"])),
                "n_removed": answers["n_removed"].to_list(),
                "answers": [
                    f"[no answer: {error}]" if error else named(response, choices) if response.strip() else "[empty]"
                    for response, error in answers.select("response", "error").iter_rows()
                ],
                "read": [named(read, choices) for read in answers["extracted"].fill_null("")],
                "scores": answers["score"].to_list(),
            }
        )
    return frame("examples", rows)


def _asked(question: Mapping[str, Any]) -> str:
    """The question without what the prompt adds, where that is known."""
    raw = json.loads(question["metadata"] or "{}").get("question")
    return raw if isinstance(raw, str) and raw.strip() else question["question"]


def named(answer: str, choices: Sequence[str]) -> str:
    """An answer that is the letter of a choice, with the choice behind it; others as they are."""
    letter = LETTER.fullmatch(answer.strip())
    index = ascii_uppercase.index(letter[1]) if letter else len(choices)
    return answer if index >= len(choices) or answer in choices else f"{answer.strip()} ({choices[index]})"
