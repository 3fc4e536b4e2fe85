"""Answers are those of each variant and question alone; what is answered stays answered."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pruning_regimes import evaluation, models, prompts, tables
from pruning_regimes.criteria import Study, layer_list
from pruning_regimes.decoder import find_decoder, pruned
from pruning_regimes.demo import datasets
from pruning_regimes.variants import collect

KEYS = ["variant_id", "sample_id"]


@pytest.fixture
def questions() -> pl.DataFrame:
    """Questions of unequal lengths."""
    return datasets.benchmark_table("attributes", 6, seed=1)


@pytest.fixture
def variants(loaded: models.Loaded) -> pl.DataFrame:
    """Dense, deepest one and two; one of them asked for twice."""
    n_layers = find_decoder(loaded.model).n_layers
    lists = layer_list("last", {}, Study("m", n_layers, pl.DataFrame(), 0), [1, 2])
    return collect("m", "r", {"last": lists, "again": lists.filter(pl.col("budget") == "1")})


def run(
    loaded: models.Loaded, questions: pl.DataFrame, variants: pl.DataFrame, path: Path, size: int = 4, tokens: int = 5
) -> tuple[int, pl.DataFrame]:
    """Number of answers computed, and the predictions table."""
    journal = evaluation.Journal(path, {})
    computed = evaluation.answer_all(loaded, questions, variants, journal, size, tokens)
    return computed, tables.read(path, "predictions")


def test_answers_are_those_of_each_variant_and_question_alone(
    loaded: models.Loaded, questions: pl.DataFrame, variants: pl.DataFrame, tmp_path: Path
) -> None:
    computed, together = run(loaded, questions, variants, tmp_path / "p.parquet")
    distinct = variants.unique("variant_id", maintain_order=True)
    assert len(distinct) == 3 and computed == len(together) == 3 * 6
    expected = []
    for variant in distinct.iter_rows(named=True):
        for question in questions.iter_rows(named=True):
            text = prompts.prompt(loaded, question["question"], 1)
            with pruned(loaded.model, variant["removed"]):
                (reply,) = evaluation.answer(loaded, [text], [question["images"]], 5)
            expected.append((variant["variant_id"], question["sample_id"], reply["response"], reply["n_tokens"]))
    assert together.select(*KEYS, "response", "n_tokens").rows() == expected
    assert len({response for _, _, response, _ in expected}) > 1


def test_a_second_run_computes_nothing_and_an_addition_only_itself(
    loaded: models.Loaded, questions: pl.DataFrame, variants: pl.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "p.parquet"
    fewer = variants.filter(pl.col("n_removed") < 2)
    _, first = run(loaded, questions.head(4), fewer, path)
    assert run(loaded, questions.head(4), fewer, path)[0] == 0
    computed, more = run(loaded, questions, variants, path)
    assert computed == 2 * 2 + 6
    assert first.rows() == more.join(first.select(KEYS), on=KEYS, how="semi", maintain_order="left").rows()
    computed, back = run(loaded, questions.head(4), fewer, path)
    assert computed == 0 and back.equals(first)


def test_other_questions_or_settings_are_answered_anew(
    loaded: models.Loaded, questions: pl.DataFrame, variants: pl.DataFrame, tmp_path: Path
) -> None:
    path, dense = tmp_path / "p.parquet", variants.head(1)
    run(loaded, questions, dense, path)
    changed = questions.with_columns(
        question=pl.when(pl.int_range(pl.len()) == 2).then(pl.lit("highest bar ?")).otherwise("question")
    )
    assert run(loaded, changed, dense, path)[0] == 1
    assert run(loaded, changed, dense, path, tokens=3)[0] == 6
    assert run(loaded, changed, dense, path, size=1, tokens=3)[0] == 0


def test_a_run_that_breaks_off_keeps_its_finished_variants(
    loaded: models.Loaded,
    questions: pl.DataFrame,
    variants: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "p.parquet"
    _, expected = run(loaded, questions, variants, tmp_path / "whole.parquet")
    whole, calls = evaluation.answer, []

    def breaking(*arguments):
        calls.append(1)
        if len(calls) > 4:  # two batches a variant: in the third
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(evaluation, "answer", breaking)
    with pytest.raises(KeyboardInterrupt):
        run(loaded, questions, variants, path)
    assert not path.exists()
    monkeypatch.setattr(evaluation, "answer", whole)
    computed, resumed = run(loaded, questions, variants, path)
    assert computed == 6 and resumed.equals(expected)
    assert [file.name for file in tmp_path.glob(".*")] == []


def test_an_image_that_cannot_be_decoded_costs_its_answer_only(
    loaded: models.Loaded, questions: pl.DataFrame, variants: pl.DataFrame, tmp_path: Path
) -> None:
    images = questions["images"].to_list()
    images[1] = [b"no image"]
    damaged = questions.with_columns(images=pl.Series(images, dtype=pl.List(pl.Binary)))
    _, answers = run(loaded, damaged, variants.head(1), tmp_path / "p.parquet")
    _, intact = run(loaded, questions, variants.head(1), tmp_path / "q.parquet")
    assert answers["finish_reason"].to_list().count("error") == 1
    assert "cannot be decoded" in answers["error"][1]
    others = pl.int_range(pl.len()) != 1
    assert answers.filter(others).equals(intact.filter(others))


def test_an_answer_ends_at_the_end_token_or_at_its_longest(loaded: models.Loaded, questions: pl.DataFrame) -> None:
    texts = [prompts.prompt(loaded, question, 1) for question in questions["question"]]
    images = questions["images"].to_list()
    config = loaded.model.generation_config
    end = config.eos_token_id
    (free,) = evaluation.answer(loaded, texts[:1], images[:1], 4)
    batch = prompts.inputs(loaded, texts[:1], [prompts.decode(images[0])])
    tokens = loaded.model.generate(**batch, max_new_tokens=4)[0, batch["input_ids"].shape[1] :]
    try:
        config.eos_token_id = int(tokens[0])
        (stopped,) = evaluation.answer(loaded, texts[:1], images[:1], 4)
    finally:
        config.eos_token_id = end
    assert stopped["finish_reason"] == "stop" and stopped["n_tokens"] == 0 and stopped["response"] == ""
    assert free["finish_reason"] == ("stop" if end in tokens.tolist() else "length")
