"""Example questions: chosen by a rule, spread over what becomes of them, and collected with all that is shown."""

from __future__ import annotations

import json
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes import tables
from pruning_regimes.report import examples
from tests.helpers import ROOT
from tests.helpers.example_tables import picture

SCRIPT = ROOT / "scripts" / "examples.py"
COUNTS = (0, 1, 3, 5)
# Of a criterion with two replicates; another criterion shares a variant with it.
VARIANTS = [
    ("dense", 0, 0, "d"),
    ("mine", 0, 5, "m5"),
    ("mine", 0, 1, "m1"),
    ("mine", 0, 3, "m3"),
    ("mine", 1, 1, "x1"),
]
VARIANTS += [("other", 0, 1, "m1"), ("other", 0, 3, "o3")]
IDS = dict(zip(COUNTS, ("d", "m1", "m3", "m5"), strict=True))


def variants() -> pl.DataFrame:
    rows = [
        {
            "criterion": criterion,
            "replicate": replicate,
            "budget": str(count),
            "n_removed": count,
            "removed": list(range(count)),
            "kept": list(range(count, 6)),
            "variant_id": variant,
        }
        for criterion, replicate, count, variant in VARIANTS
    ]
    return tables.frame("variants", rows)


def scores(found: Mapping[str, Sequence[float]]) -> pl.DataFrame:
    """The scores table of questions: sample_id -> its scores with all layers, and with 1, 3 and 5 less."""
    rows = [
        {
            "variant_id": variant,
            "sample_id": sample,
            "cluster": sample,
            "category": "c",
            "chance": 0.0,
            "extracted": None if score == 0 else f"{score:g}",
            "method": "whole",
            "score": score,
            "error": "broken" if variant == "m5" and score == 0 else None,
        }
        for sample, of_sample in reversed(found.items())
        for variant, score in [*zip(IDS.values(), of_sample, strict=True), ("x1", 0.0), ("o3", 0.0)]
    ]
    return tables.frame("scores", rows)


STEPS = examples.steps(variants(), "mine")
# Wrong with all layers; wrong from one less on; partly right; right again with more layers gone; always right.
MIXED = {"w": (0, 1, 1, 1), "a": (1, 0, 0, 0), "p": (1, 0.6, 0.4, 0), "b": (1, 1, 0, 1), "n": (0.5, 0.9, 1, 1)}


def test_steps_are_the_dense_model_and_the_first_replicate_in_the_order_of_layers_removed() -> None:
    assert STEPS.rows() == [(0, "d"), (1, "m1"), (3, "m3"), (5, "m5")]


def test_outcomes_are_of_questions_that_the_dense_model_answers_rightly() -> None:
    assert examples.outcomes(scores(MIXED), STEPS).rows() == [("a", 1), ("b", 3), ("n", None), ("p", 3)]


def outcomes(**kinds: int) -> pl.DataFrame:
    """Outcomes of so many questions first wrong at 1, 3, 5, or never: w1=2, never=1."""
    rows = [
        (f"{kind}-{index}", None if kind == "never" else int(kind[1:]))
        for kind, count in kinds.items()
        for index in range(count)
    ]
    return pl.DataFrame(rows, schema={"sample_id": pl.String, "first_wrong": pl.Int32}, orient="row").sort("sample_id")


def chosen(found: Mapping[str, pl.DataFrame], count: int) -> list[tuple[str, str]]:
    return list(examples.choose(found, count).select("benchmark", "sample_id").iter_rows())


def test_questions_are_spread_over_kinds_from_the_soonest_wrong_to_never() -> None:
    found = {"b": outcomes(w1=3, w3=3, w5=3, never=9)}
    assert chosen(found, 4) == [("b", "w1-0"), ("b", "w3-0"), ("b", "w5-0"), ("b", "never-0")]
    assert chosen(found, 2) == [("b", "w1-0"), ("b", "never-0")]
    assert chosen(found, 1) == [("b", "w1-0")]
    six = [("b", f"{kind}-{index}") for kind in ("w1", "w3") for index in range(2)]
    assert chosen(found, 6) == [*six, ("b", "w5-0"), ("b", "never-0")]


def test_benchmarks_take_turns_where_both_have_a_kind() -> None:
    found = {"one": outcomes(w1=5, w3=5, never=5), "two": outcomes(w3=5, never=5)}
    names = [name for name, _ in chosen(found, 3)]
    assert names == ["one", "two", "one"]
    assert sorted(name for name, _ in chosen(found, 6)) == ["one"] * 3 + ["two"] * 3


def test_each_question_knows_how_many_are_like_it() -> None:
    rows = examples.choose({"one": outcomes(w1=2, never=5), "two": outcomes(w1=1)}, 3)
    counted = rows.select("benchmark", "first_wrong", "n_alike", "n_right").rows()
    assert sorted(counted, key=str) == [("one", 1, 2, 7), ("one", None, 5, 7), ("two", 1, 1, 1)]


def test_there_may_be_fewer_or_none() -> None:
    assert len(examples.choose({"one": outcomes(w1=1), "two": outcomes()}, 9)) == 1
    assert examples.choose({"one": outcomes()}, 4).is_empty()


KINDS = st.fixed_dictionaries({kind: st.integers(0, 4) for kind in ("w1", "w3", "w5", "never")})


@given(st.lists(KINDS, min_size=1, max_size=3), st.integers(1, 20))
def test_no_question_twice_and_as_many_as_there_are(kinds: list[dict[str, int]], count: int) -> None:
    found = {f"b{index}": outcomes(**numbers) for index, numbers in enumerate(kinds)}
    picked = chosen(found, count)
    assert len(set(picked)) == len(picked) == min(count, sum(sum(numbers.values()) for numbers in kinds))
    # Every kind that there is comes before any comes twice.
    seen = [sample.partition("-")[0] for _, sample in picked]
    there = {kind for numbers in kinds for kind, number in numbers.items() if number}
    assert len(set(seen)) == min(count, len(there))


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("B", "B (two)"),
        (" (B) ", "(B) (two)"),
        ("b.", "b."),
        ("D", "D"),
        ("B: two", "B: two"),
        ("", ""),
        ("A", "A (one)"),
    ],
)
def test_a_letter_is_named_by_its_choice(answer: str, shown: str) -> None:
    assert examples.named(answer, ["one", "two", "three"]) == shown
    assert examples.named("A", ["B", "A"]) == "A" and examples.named("A", []) == "A"


def question(sample: str, **others: Any) -> dict[str, Any]:
    return {
        "sample_id": sample,
        "question": f"What is {sample}?\nAnswer with a letter.",
        "images": [picture()],
        "choices": ["one", "two"],
        "answers": ["B", "B"],
        "answer_type": "letter",
        "category": "c",
        "chance": 0.5,
        "metadata": None,
        **others,
    }


def predictions(*samples: str) -> pl.DataFrame:
    rows = [
        {
            "variant_id": variant,
            "sample_id": sample,
            "prompt_digest": "",
            "response": "" if variant == "m3" else "B",
            "n_tokens": 1,
            "finish_reason": "stop",
            "error": None,
        }
        for variant in (*IDS.values(), "x1")
        for sample in samples
    ]
    return tables.frame("predictions", rows)


def test_the_script_reads_what_was_asked_and_answered(tmp_path: Path) -> None:
    asked = [
        question("a", metadata=json.dumps({"question": "What is a?"})),
        question("b", choices=None, answers=["x", "y"]),
    ]
    tables.write(variants(), "variants", tmp_path / "variants.parquet", {})
    tables.write(asked + [question("w")], "benchmark", tmp_path / "quiz.parquet", {})
    tables.write(scores({name: MIXED[name] for name in "abw"}), "scores", tmp_path / "scores.parquet", {})
    answers = predictions("a", "b", "w")
    for budget, ids in (("0", ["d"]), ("1", ["m1", "x1"]), ("rest", ["m3", "m5"])):
        part = answers.filter(pl.col("variant_id").is_in(ids))
        tables.write(part, "predictions", tmp_path / "quiz" / f"{budget}.parquet", {})
    # Another benchmark, of which nothing is chosen, has questions of the same names.
    tables.write(answers.with_columns(response=pl.lit("no")), "predictions", tmp_path / "other" / "0.parquet", {})
    tables.write(scores({"a": (0, 0, 0, 0)}), "scores", tmp_path / "none.parquet", {})
    files = [*map(str, sorted(tmp_path.glob("*/*.parquet")))]
    output = tmp_path / "examples.parquet"
    runpy.run_path(str(SCRIPT))["main"](
        "mine",
        str(tmp_path / "variants.parquet"),
        {"quiz": str(tmp_path / "quiz.parquet"), "other": str(tmp_path / "missing.parquet")},
        {"quiz": str(tmp_path / "scores.parquet"), "other": str(tmp_path / "none.parquet")},
        files,
        4,
        str(output),
    )
    first, second = tables.read(output, "examples").iter_rows(named=True)
    assert (first["sample_id"], first["first_wrong"], first["n_alike"], first["n_right"]) == ("a", 1, 1, 2)
    assert (first["question"], first["reference"], first["images"]) == ("What is a?", "B (two)", [picture()])
    assert first["n_removed"] == list(COUNTS) and first["scores"] == [1, 0, 0, 0]
    assert first["answers"] == ["B (two)", "B (two)", "[empty]", "[no answer: broken]"]
    assert first["read"] == ["1", "", "", ""]
    assert (second["question"], second["reference"]) == ("What is b?\nAnswer with a letter.", "x / y")
    assert tables.provenance(output)["questions"] == 4


def test_rows_of_a_table_can_be_read_alone(tmp_path: Path) -> None:
    tables.write([question("a"), question("b")], "benchmark", tmp_path / "t.parquet", {})
    assert tables.read(tmp_path / "t.parquet", "benchmark", pl.col("sample_id") == "b")["sample_id"].to_list() == ["b"]
