"""Answers are those of each variant and question alone; what is answered stays answered."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch

from pruning_regimes import tables
from pruning_regimes.criteria import layer_list
from pruning_regimes.criteria.variants import collect
from pruning_regimes.demo import datasets
from pruning_regimes.evaluation import grid
from pruning_regimes.inference import prompts
from pruning_regimes.jobs.errors import DataError, ModelError
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import find_decoder, pruned
from tests.helpers.criteria_tables import entry, plain

KEYS = ["variant_id", "sample_id"]


@pytest.fixture
def questions() -> pl.DataFrame:
    """Questions of unequal lengths."""
    return datasets.benchmark_table("attributes", 6, seed=1)


@pytest.fixture
def variants(loaded: loading.Loaded) -> pl.DataFrame:
    """Dense, deepest one and two; one of them asked for twice."""
    n_layers = find_decoder(loaded.model).n_layers
    lists = layer_list(entry("last"), plain(n_layers), [1, 2])
    return collect("m", "r", {"last": lists, "again": lists.filter(pl.col("budget") == "1")})


def run(
    loaded: loading.Loaded, questions: pl.DataFrame, variants: pl.DataFrame, path: Path, size: int = 4, tokens: int = 5
) -> tuple[int, pl.DataFrame]:
    """Number of answers computed, and the answers of all budgets, each of which has its table in the directory."""
    journal = grid.Journal({budget: path / f"{budget}.parquet" for budget in sorted(set(variants["budget"]))}, {})
    tally = grid.answer_all(loaded, questions, variants, journal, size, tokens)
    journal.clear()
    return tally.computed, read(path, variants)


def read(path: Path, variants: pl.DataFrame) -> pl.DataFrame:
    """The answers of all budgets."""
    return pl.concat(
        tables.read(path / f"{budget}.parquet", "predictions") for budget in sorted(set(variants["budget"]))
    )


def test_answers_outlast_their_tables_until_the_whole_job_is_done(
    loaded: loading.Loaded, questions: pl.DataFrame, variants: pl.DataFrame, tmp_path: Path
) -> None:
    paths = {budget: tmp_path / f"{budget}.parquet" for budget in sorted(set(variants["budget"]))}
    journal = grid.Journal(paths, {})
    assert grid.answer_all(loaded, questions, variants, journal, 4, 5).computed == 3 * 6
    answers = read(tmp_path, variants)
    for path in paths.values():
        path.unlink()  # as Snakemake does if the job fails at another benchmark
    again = grid.Journal(paths, {})
    assert grid.answer_all(loaded, questions, variants, again, 4, 5).computed == 0
    assert read(tmp_path, variants).equals(answers)
    again.clear()
    assert sorted(tmp_path.iterdir()) == sorted(paths.values())


def test_answers_are_those_of_each_variant_and_question_alone(
    loaded: loading.Loaded, questions: pl.DataFrame, variants: pl.DataFrame, tmp_path: Path
) -> None:
    computed, together = run(loaded, questions, variants, tmp_path / "p")
    distinct = variants.unique("variant_id", maintain_order=True)
    assert len(distinct) == 3 and computed == len(together) == 3 * 6
    expected = []
    for variant in distinct.iter_rows(named=True):
        for question in questions.iter_rows(named=True):
            text = prompts.prompt(loaded, question["question"], 1)
            with pruned(loaded.model, variant["removed"]):
                (reply,) = grid.answer(loaded, [text], [question["images"]], 5)
            expected.append((variant["variant_id"], question["sample_id"], reply["response"], reply["n_tokens"]))
    assert together.select(*KEYS, "response", "n_tokens").rows() == expected
    assert len({response for _, _, response, _ in expected}) > 1


def test_a_second_run_computes_nothing_and_an_addition_only_itself(
    loaded: loading.Loaded, questions: pl.DataFrame, variants: pl.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "p"
    fewer = variants.filter(pl.col("n_removed") < 2)
    _, first = run(loaded, questions.head(4), fewer, path)
    assert run(loaded, questions.head(4), fewer, path)[0] == 0
    computed, more = run(loaded, questions, variants, path)
    assert computed == 2 * 2 + 6
    assert first.rows() == more.join(first.select(KEYS), on=KEYS, how="semi", maintain_order="left").rows()
    computed, back = run(loaded, questions.head(4), fewer, path)
    assert computed == 0 and back.equals(first)


def test_other_questions_or_settings_are_answered_anew(
    loaded: loading.Loaded, questions: pl.DataFrame, variants: pl.DataFrame, tmp_path: Path
) -> None:
    path, dense = tmp_path / "p", variants.head(1)
    run(loaded, questions, dense, path)
    changed = questions.with_columns(
        question=pl.when(pl.int_range(pl.len()) == 2).then(pl.lit("highest bar ?")).otherwise("question")
    )
    assert run(loaded, changed, dense, path)[0] == 1
    assert run(loaded, changed, dense, path, tokens=3)[0] == 6
    assert run(loaded, changed, dense, path, size=1, tokens=3)[0] == 0


def test_a_run_that_breaks_off_keeps_its_finished_batches(
    loaded: loading.Loaded,
    questions: pl.DataFrame,
    variants: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, expected = run(loaded, questions, variants, tmp_path / "whole", size=2)
    whole, calls = grid._generated, []

    def breaking(*arguments):
        calls.append(1)
        if len(calls) > 5:  # three variants a batch: in the second
            raise KeyboardInterrupt
        return whole(*arguments)

    path = tmp_path / "p"
    monkeypatch.setattr(grid, "_generated", breaking)
    with pytest.raises(KeyboardInterrupt):
        run(loaded, questions, variants, path, size=2)
    assert [file.name for file in path.iterdir()] == [".0.answered"]
    monkeypatch.setattr(grid, "_generated", whole)
    computed, resumed = run(loaded, questions, variants, path, size=2)
    assert computed == 3 * 4 and resumed.equals(expected)
    assert sorted(file.name for file in path.iterdir()) == ["0.parquet", "1.parquet", "2.parquet"]


def test_each_budget_has_its_table_and_a_variant_of_two_budgets_is_answered_once(
    loaded: loading.Loaded, questions: pl.DataFrame, variants: pl.DataFrame, tmp_path: Path
) -> None:
    twice = pl.concat([variants, variants.filter(pl.col("budget") == "1").with_columns(budget=pl.lit("0.1"))])
    computed, _ = run(loaded, questions, twice, tmp_path)
    assert computed == 3 * 6
    assert read(tmp_path, twice.filter(pl.col("budget") == "0.1")).equals(read(tmp_path, twice.filter(budget="1")))
    computed, _ = run(loaded, questions, twice.filter(budget="0.1"), tmp_path)
    assert computed == 0


def test_a_sample_that_does_not_fit_into_memory_is_an_error_and_tried_again(
    loaded: loading.Loaded,
    variants: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    many = datasets.benchmark_table("attributes", 24, seed=1)
    _, expected = run(loaded, many, variants, tmp_path / "whole", size=4)
    large, whole = many["images"][7].to_list(), grid._generated
    pixels = prompts.inputs(loaded, prompts.prompts(loaded, many[7]), [prompts.decode(large)])["pixel_values"]

    def small_memory(loaded_: loading.Loaded, batch: dict, tokens: int):
        if any(torch.equal(row, pixels[0]) for row in batch["pixel_values"]):
            raise torch.OutOfMemoryError
        return whole(loaded_, batch, tokens)

    monkeypatch.setattr(grid, "_generated", small_memory)
    _, answers = run(loaded, many, variants, tmp_path / "p", size=4)
    failed = answers.filter(pl.col("error").is_not_null())
    assert set(failed["sample_id"]) == {many["sample_id"][7]} and len(failed) == 3
    assert "1 of 24 samples failed" in caplog.text and "ran out of memory" in caplog.text
    monkeypatch.setattr(grid, "_generated", whole)
    computed, again = run(loaded, many, variants, tmp_path / "p", size=4)
    assert computed == 3 and again.select(*KEYS, "response").equals(expected.select(*KEYS, "response"))


def test_too_many_failures_end_the_benchmark(
    loaded: loading.Loaded, questions: pl.DataFrame, variants: pl.DataFrame, tmp_path: Path
) -> None:
    damaged = questions.with_columns(images=pl.Series([[b"x"], [b"x"], *questions["images"].to_list()[2:]]))
    with pytest.raises(
        DataError, match=r"of 6 samples failed, more than 5%; the last is 'attributes-0000\d': An image"
    ):
        run(loaded, damaged, variants, tmp_path)
    # What could be answered is kept.
    assert run(loaded, questions, variants, tmp_path)[0] <= 3 * 6


def test_a_variant_that_cannot_be_is_named_before_anything_is_answered(
    loaded: loading.Loaded, questions: pl.DataFrame, variants: pl.DataFrame, tmp_path: Path
) -> None:
    wrong = variants.with_columns(removed=pl.when(pl.col("budget") == "2").then([99]).otherwise("removed"))
    with pytest.raises(ModelError, match=r"^criteria\.last at budget 2: Layer 99 cannot be removed"):
        run(loaded, questions, wrong, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_image_that_cannot_be_decoded_costs_its_answer_only(
    loaded: loading.Loaded, variants: pl.DataFrame, tmp_path: Path
) -> None:
    questions = datasets.benchmark_table("attributes", 20, seed=1)
    images = questions["images"].to_list()
    images[1] = [b"no image"]
    damaged = questions.with_columns(images=pl.Series(images, dtype=pl.List(pl.Binary)))
    _, answers = run(loaded, damaged, variants.head(1), tmp_path / "p")
    _, intact = run(loaded, questions, variants.head(1), tmp_path / "q")
    assert answers["finish_reason"].to_list().count("error") == 1
    assert "cannot be opened" in answers["error"][1]
    others = pl.int_range(pl.len()) != 1
    assert answers.filter(others).equals(intact.filter(others))


def test_an_answer_ends_at_the_end_token_or_at_its_longest(loaded: loading.Loaded, questions: pl.DataFrame) -> None:
    texts = [prompts.prompt(loaded, question, 1) for question in questions["question"]]
    images = questions["images"].to_list()
    config = loaded.model.generation_config
    end = config.eos_token_id
    (free,) = grid.answer(loaded, texts[:1], images[:1], 4)
    batch = prompts.inputs(loaded, texts[:1], [prompts.decode(images[0])])
    tokens = loaded.model.generate(**batch, max_new_tokens=4)[0, batch["input_ids"].shape[1] :]
    try:
        config.eos_token_id = int(tokens[0])
        (stopped,) = grid.answer(loaded, texts[:1], images[:1], 4)
    finally:
        config.eos_token_id = end
    assert stopped["finish_reason"] == "stop" and stopped["n_tokens"] == 0 and stopped["response"] == ""
    assert free["finish_reason"] == ("stop" if end in tokens.tolist() else "length")
