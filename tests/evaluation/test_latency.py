"""What variants cost: one measured for all that are alike, all in turn, with so many tokens; and the bytes of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from pruning_regimes.checkpoints import writing
from pruning_regimes.demo import datasets
from pruning_regimes.evaluation import latency
from pruning_regimes.evaluation.cost_classes import cost_classes, layer_kinds
from pruning_regimes.evaluation.latency import Plan, measure, statistics, weight_bytes
from pruning_regimes.inference import prompts
from pruning_regimes.jobs.errors import DataError, ModelError
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import find_decoder, protected, pruned
from tests.helpers.families import build, built_without, images, words
from tests.helpers.variants import variants

PLAN = Plan(questions=3, repeats=2, new_tokens=4)


def benchmarks(*names: str, n: int = 4) -> dict[str, pl.DataFrame]:
    """Benchmark tables."""
    return {name: datasets.benchmark_table(name, n, 0) for name in names}


class Clock:
    """Goes on by as many seconds as the model has decoder layers, each time that it is looked at."""

    def __init__(self, loaded: loading.Loaded) -> None:
        self.now, self.decoder = 0.0, find_decoder(loaded.model)
        self.depths: list[int] = []

    def __call__(self) -> float:
        self.depths.append(self.decoder.n_layers)
        self.now += self.decoder.n_layers
        return self.now


@contextmanager
def replaced(model: Any, **others: Any) -> Iterator[None]:
    """Attributes of a shared model, for a while."""
    before = {name: getattr(model, name) for name in others}
    for name, value in others.items():
        setattr(model, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            if name in vars(model) and callable(value):
                delattr(model, name)
            else:
                setattr(model, name, value)


@pytest.mark.parametrize(
    ("family", "kinds"),
    [
        ("llava", [0, 0, 0, 0, 0, 0]),
        ("qwen3_vl", [0, 0, 0, 0, 0, 0]),
        ("gemma3", [0, 0, 0, 0, 0, 1]),  # a window or all tokens
        ("mllama", [0, 0, 1, 0, 1, 0]),  # cross-attention
        ("qwen3_vl_moe", [0, 1, 0, 0, 1, 0]),  # experts or not
        ("nemotron_h_omni", [0, 1, 2, 3, 1, 1]),
    ],
)
def test_layers_are_of_one_kind_if_they_are_made_alike(family: str, kinds: list[int]) -> None:
    assert layer_kinds(build(family)) == kinds


def test_variants_with_as_many_layers_of_each_kind_are_one_class() -> None:
    table = variants(6, [0], [3], [5], [1, 2], [0, 5], [5, 4], [3])
    found = cost_classes(build("llava"), table)
    assert len(found) == 7  # one is there twice
    assert found["cost_class"].to_list() == [0, 1, 1, 1, 2, 2, 2]
    # The last layer attends to all tokens.
    assert cost_classes(build("gemma3"), table)["cost_class"].to_list() == [0, 1, 1, 2, 3, 4, 4]


@pytest.mark.parametrize("family", ["llava", "gemma3", "mllama", "nemotron_h_omni", "gemma3n_text", "lfm3_vl"])
def test_weight_bytes_are_those_of_the_model_that_is_built_without_the_layers(family: str) -> None:
    model = build(family)
    path = find_decoder(model).path
    free = [layer for layer in range(6) if layer not in protected(model)]
    dense = weight_bytes(model)
    by_class: dict[frozenset[tuple[int, int]], int] = {}
    # Of each kind of attention some layer stays: a model without one of them lacks its rotary frequencies.
    for removed in (free[:1], free[:2], free[1:3]):
        with pruned(model, removed):
            found = weight_bytes(model)
        assert found == weight_bytes(built_without(model, removed, path)) < dense
        kinds = Counter(layer_kinds(model)[layer] for layer in removed)
        assert by_class.setdefault(frozenset(kinds.items()), found) == found
    assert weight_bytes(model) == dense


def test_weight_bytes_are_those_of_the_exported_checkpoint(
    model_directory: Path, loaded: loading.Loaded, tmp_path: Path
) -> None:
    writing.write(loaded, [2, 5], tmp_path)
    exported = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32)
    with pruned(loaded.model, [2, 5]):
        found = weight_bytes(loaded.model)
    assert found == weight_bytes(exported)
    stored = sum(tensor.nbytes for tensor in load_file(tmp_path / "model.safetensors").values())
    unstored = sum(buffer.nbytes for name, buffer in exported.named_buffers() if name not in exported.state_dict())
    assert found == stored + unstored


def test_times_are_those_of_the_class_and_relative_to_the_dense_model(loaded: loading.Loaded) -> None:
    n_layers = find_decoder(loaded.model).n_layers
    table = variants(n_layers, [1], [0, 1, 2], [4], [3, 4, 5])
    clock = Clock(loaded)
    found = measure(loaded, table, benchmarks("chart", "reading"), PLAN, clock)
    assert found["variant_id"].to_list() == [name for name in table["variant_id"] for _ in range(3)]
    assert found["phase"].to_list() == ["prefill", "decode", "answer"] * 5
    for row in found.iter_rows(named=True):
        depth = n_layers - row["n_removed"]
        assert row["cost_class"] == {0: 0, 1: 1, 3: 2}[row["n_removed"]]
        # The clock is looked at before, at each of four tokens, and afterwards.
        expected = {"prefill": depth, "decode": depth, "answer": 5 * depth}[row["phase"]]
        assert row["seconds"] == row["seconds_low"] == row["seconds_high"] == expected
        assert row["relative"] == row["relative_low"] == row["relative_high"] == depth / n_layers
        assert row["tokens_per_second"] == row["tokens"] / row["seconds"]
        assert (
            row["tokens"] > 10
            if row["phase"] == "prefill"
            else row["tokens"] == {"decode": 1, "answer": 4}[row["phase"]]
        )
        with pruned(loaded.model, range(row["n_removed"])):
            assert row["weight_bytes"] == weight_bytes(loaded.model)
    assert found["peak_bytes"].is_null().all() and set(found["threads"]) == {torch.get_num_threads()}
    assert found["device"][0] and "/" not in found["device"][0]


def test_all_classes_are_timed_in_turn_after_the_dense_model_has_answered(loaded: loading.Loaded) -> None:
    n_layers = find_decoder(loaded.model).n_layers
    clock = Clock(loaded)
    measure(loaded, variants(n_layers, [1], [1, 2], [3]), benchmarks("chart"), Plan(2, 3, 4), clock)
    runs = [clock.depths[begin] for begin in range(0, len(clock.depths), 6)]
    assert all(clock.depths[begin : begin + 6] == [runs[begin // 6]] * 6 for begin in range(0, len(clock.depths), 6))
    dense, one, two = n_layers, n_layers - 1, n_layers - 2
    assert runs == [dense, *(dense, one, two), *(one, two, dense), *(two, dense, one)] * 2


def test_questions_are_shared_out_evenly_and_lie_evenly_apart(
    loaded: loading.Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, asked = benchmarks("chart", "reading", n=9), []

    def noting(of: loading.Loaded, samples: pl.DataFrame) -> list[str]:
        asked.append(samples["sample_id"][0])
        return prompts.prompts(of, samples)

    monkeypatch.setattr(latency, "prompts", noting)
    measure(loaded, variants(find_decoder(loaded.model).n_layers), tables, Plan(5, 1, 2), Clock(loaded))
    assert asked == [name for table in tables.values() for name in table["sample_id"].gather([1, 4, 7])]


def test_a_question_that_cannot_be_answered_is_replaced(
    loaded: loading.Loaded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    table = benchmarks("chart")["chart"]
    images = table["images"].to_list()
    images[1] = [b"no image"]
    question = pl.when(pl.col("sample_id") == table["sample_id"][3]).then(pl.lit("word " * 600)).otherwise("question")
    damaged = table.with_columns(images=pl.Series(images, dtype=pl.List(pl.Binary)), question=question)
    dense, clock = variants(find_decoder(loaded.model).n_layers), Clock(loaded)
    found = measure(loaded, dense, {"chart": damaged}, Plan(2, 1, 2), clock)
    assert len(found) == 3 and len(clock.depths) == 2 * 2 * 4
    said = f"chart: question {table['sample_id'][1]} is not timed: An image cannot be opened: it is none of"
    assert said in caplog.text
    assert f"chart: question {table['sample_id'][3]} is not timed: It takes" in caplog.text

    # All that are left run out of memory.
    def short(**_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with replaced(loaded.model, generate=short), pytest.raises(DataError, match="can answer none of the questions"):
        measure(loaded, dense, {"chart": damaged}, Plan(2, 1, 2), clock)
    assert f"chart: question {table['sample_id'][0]} is not timed: memory ran out" in caplog.text

    def broken(**_: Any) -> None:
        raise RuntimeError("another error")

    with replaced(loaded.model, generate=broken), pytest.raises(RuntimeError, match="another error"):
        measure(loaded, dense, {"chart": damaged}, Plan(2, 1, 2), clock)


def test_a_variant_that_would_stop_at_once_makes_as_many_tokens(loaded: loading.Loaded) -> None:
    (text,), table = prompts.prompts(loaded, benchmarks("chart", n=1)["chart"]), benchmarks("chart", n=1)
    batch = prompts.inputs(loaded, [text], [prompts.decode(table["chart"]["images"][0])])
    first = int(loaded.model.generate(**batch, max_new_tokens=1)[0, -1])
    ends = loaded.model.generation_config.eos_token_id
    loaded.model.generation_config.eos_token_id = first
    try:
        assert loaded.model.generate(**batch, max_new_tokens=4).shape[1] == batch["input_ids"].shape[1] + 1
        found = measure(loaded, variants(find_decoder(loaded.model).n_layers), table, Plan(1, 1, 4), Clock(loaded))
    finally:
        loaded.model.generation_config.eos_token_id = ends
    assert found["tokens"].to_list()[1:] == [1, 4]


def test_a_model_that_makes_another_number_of_tokens_is_refused(loaded: loading.Loaded) -> None:
    whole = loaded.model.generate

    def hasty(**options: Any) -> Any:
        return whole(**{**options, "min_new_tokens": 2, "max_new_tokens": 2})

    dense = variants(find_decoder(loaded.model).n_layers)
    with (
        replaced(loaded.model, generate=hasty),
        pytest.raises(ModelError, match=r"generate\(\) made 2 tokens where 4 were asked for"),
    ):
        measure(loaded, dense, benchmarks("chart"), PLAN, Clock(loaded))


def test_the_answer_is_that_of_plain_generation(loaded: loading.Loaded) -> None:
    table = benchmarks("attributes", n=1)["attributes"]
    batch = prompts.inputs(loaded, prompts.prompts(loaded, table), [prompts.decode(table["images"][0])])
    plain = loaded.model.generate(**batch, min_new_tokens=6, max_new_tokens=6)
    marks = latency._Marks(lambda: 0.0)
    assert torch.equal(
        loaded.model.generate(**batch, min_new_tokens=6, max_new_tokens=6, stopping_criteria=[marks]), plain
    )


@pytest.mark.parametrize("family", ["blip", "blip-2", "gemma3n_text", "janus", "kosmos-2", "mllama", "qwen3_vl"])
def test_families_with_a_generation_of_their_own_are_timed_too(family: str) -> None:
    model, ticks = build(family), count()
    with torch.inference_mode():
        run = latency._Timer(model, 3, lambda: float(next(ticks))).run(images(family, model) or words())
    # Before, at each of three tokens, and afterwards.
    assert (run.prefill, run.decode, run.answer) == (1, 1, 4)


def test_statistics_are_medians_of_rounds_means_of_questions_and_ratios_of_the_same_round() -> None:
    seconds = {  # question -> cost class -> rounds
        0: {0: [1.0, 2.0, 4.0], 1: [0.5, 1.0, 1.0]},
        1: {0: [10.0, 10.0, 20.0], 1: [5.0, 8.0, 5.0]},
    }
    rows = [
        {"question": question, "round": number, "cost_class": cost_class, "prefill": value / 4, "decode": value / 8,
         "answer": value, "working_bytes": None if cost_class else int(value)}
        for question, classes in seconds.items()
        for cost_class, rounds in classes.items()
        for number, value in enumerate(rounds)
    ]  # fmt: skip
    found = statistics(pl.DataFrame(rows, infer_schema_length=None))
    (row,) = found.filter(pl.col("cost_class") == 1, pl.col("phase") == "answer").to_dicts()
    assert (row["seconds"], row["seconds_low"], row["seconds_high"]) == (3.0, (0.75 + 5) / 2, (1 + 6.5) / 2)
    # Ratios: 0.5, 0.5, 0.25 and 0.5, 0.8, 0.25.
    assert (row["relative"], row["relative_low"], row["relative_high"]) == (0.5, 0.3125, 0.5)
    assert row["working_bytes"] is None
    (row,) = found.filter(pl.col("cost_class") == 0, pl.col("phase") == "prefill").to_dicts()
    assert (row["seconds"], row["relative"], row["relative_low"]) == (1.5, 1.0, 1.0) and row["working_bytes"] == 20


def test_memory_is_what_a_run_adds_to_what_was_there_and_the_variants_own_weights(
    loaded: loading.Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On devices that are not there: what was held before a run, removed layers among it, is no part of its peak."""
    gpus = {torch.device("cuda", 0): [1_000_000, 1_250_000], torch.device("cuda", 1): [10_000, 10_500]}
    told: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda gpu: told.append(f"wait {gpu.index}"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda gpu: told.append(f"reset {gpu.index}"))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda gpu: gpus[gpu][0])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda gpu: gpus[gpu][1])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda gpu: "A GPU")
    created = latency._Timer.__init__

    def on_gpus(self: Any, *arguments: Any) -> None:
        created(self, *arguments)
        self.gpus = set(gpus)

    monkeypatch.setattr(latency._Timer, "__init__", on_gpus)
    table = benchmarks("chart", n=1)
    n_layers = find_decoder(loaded.model).n_layers
    found = measure(loaded, variants(n_layers, [1]), table, Plan(1, 1, 2), Clock(loaded))
    batch = prompts.inputs(
        loaded, prompts.prompts(loaded, table["chart"]), [prompts.decode(table["chart"]["images"][0])]
    )
    given = sum(value.nbytes for value in batch.values())
    assert set(found["peak_bytes"] - found["weight_bytes"]) == {250_000 + 500 + given}
    assert found["weight_bytes"].n_unique() == 2 and set(found["device"]) == {"2 x A GPU"}
    # Each run: both peaks reset, and both devices waited for at each of four looks at the clock.
    assert len(told) == 3 * (2 + 2 * 4) and set(told[:2]) == {"reset 0", "reset 1"}
