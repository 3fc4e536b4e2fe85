"""What can be had without looking at the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from pruning_regimes.scoring import aggregates
from pruning_regimes.tables import frame
from tests.scoring.test_aggregates import Row, answer, question


def by_equality(questions: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
    """A rule without libraries: the response is an answer, or the letter of the option that is one."""
    asked = {row["sample_id"]: row for row in questions.iter_rows(named=True)}
    rows = []
    for row in predictions.iter_rows(named=True):
        of = asked[row["sample_id"]]
        lettered = dict(zip("ABCD", of["choices"] or (), strict=False))
        score = lettered.get(row["response"], row["response"]) in of["answers"]
        rows.append(answer(row["sample_id"], score, row["variant_id"], of["category"], row["response"]))
    return frame("scores", rows)


def predictions(responses: Mapping[str, str | None]) -> pl.DataFrame:
    """Answers of the dense model; None stands for one that failed."""
    columns = ("variant_id", "sample_id", "prompt_digest", "response", "n_tokens", "finish_reason", "error")
    rows = [
        ("dense", name, "d", response or "", 1, "stop", None if response else "failed")
        for name, response in responses.items()
    ]
    return frame("predictions", [dict(zip(columns, row, strict=True)) for row in rows])


def baselines(questions: Sequence[Row], responses: Mapping[str, str | None], seed: int = 0) -> dict[str, Any]:
    """metric -> value and n."""
    found = aggregates.baselines(frame("benchmark", list(questions)), predictions(responses), by_equality, seed)
    assert set(found["variant_id"]) <= {"baseline"}
    return {row["metric"]: (row["value"], row["n"]) for row in found.iter_rows(named=True)}


def test_the_best_constant_is_a_text_or_a_letter() -> None:
    texts = [question(f"{index}", answer="aabcd"[index]) for index in range(5)]
    assert baselines(texts, {})["constant_answer"] == (pytest.approx(0.4), 5)
    # The same letter is right three times, no text more than once.
    choices = [["p", "q"], ["r", "s"], ["t", "u"], ["v", "w"]]
    letters = [question(f"{index}", answer=choices[index][index > 0], choices=choices[index]) for index in range(4)]
    assert baselines(letters, {})["constant_answer"] == (pytest.approx(0.75), 4)
    assert baselines([*letters, *(question(f"o{index}", answer="B") for index in range(4))], {})["constant_answer"] == (
        pytest.approx(7 / 8),
        8,
    )


def test_an_annotators_answer_counts_once_for_a_question() -> None:
    questions = [question("a", answers=["x"] * 9 + ["y"]), question("b", answers=["y"]), question("c", answers=["y"])]
    assert baselines(questions, {})["constant_answer"] == (1, 3)


def test_no_questions_have_no_baselines() -> None:
    assert baselines([], {}) == {}


def test_a_shuffled_answer_never_stays_with_its_question() -> None:
    # Each has an answer of its own: shuffled ones are never right.
    questions = [question(f"{index}", answer=f"{index}") for index in range(7)]
    assert baselines(questions, {f"{index}": f"{index}" for index in range(7)})["shuffled_answer"] == (0, 7)
    # With one answer for all, they always are.
    questions = [question(f"{index}", answer="x") for index in range(7)]
    assert baselines(questions, {f"{index}": "x" for index in range(7)})["shuffled_answer"] == (1, 7)


def test_answers_are_shuffled_among_questions_with_as_many_options() -> None:
    two = [question(f"t{index}", choices=["yes", "no"], answer="yes") for index in range(3)]
    open_ones = [question(f"o{index}", answer="3") for index in range(3)]
    alone = [question("alone", choices=["a", "b", "c"], answer="a"), question("other", answer="3", answer_type="word")]
    responses = {f"t{index}": "A" for index in range(3)} | {f"o{index}": "3" for index in range(3)}
    # One that has nobody to exchange with, and one without an answer, are left out.
    found = baselines([*two, *open_ones, *alone], {**responses, "alone": "A", "other": "3"})
    assert found["shuffled_answer"] == (1, 6)
    assert baselines([*two, *open_ones], {**responses, "o0": None})["shuffled_answer"] == (1, 5)


def test_without_a_dense_model_nothing_is_shuffled() -> None:
    assert baselines([question("a"), question("b")], {}).keys() == {"constant_answer"}


def test_shuffling_is_seeded_and_near_its_expectation() -> None:
    # A quarter of the answers is "a": given to another question, one is right with a probability of 3/15 + 12/15 x 0.
    questions = [question(f"{index:02}", answer="a" if index < 4 else f"{index}") for index in range(16)]
    responses = {row["sample_id"]: row["answers"][0] for row in questions}
    runs = [baselines(questions, responses, seed)["shuffled_answer"][0] for seed in range(8)]
    assert baselines(questions, responses, 0)["shuffled_answer"][0] == runs[0] and len(set(runs)) > 1
    assert sum(runs) / 8 == pytest.approx(4 / 16 * 3 / 15, abs=0.02)
