"""The demo's questions are right, its data sets disjoint, and its training says what it measures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pruning_regimes.demo import datasets, models, questions, scenes, seeds, training
from pruning_regimes.inference import prompts
from pruning_regimes.models import loading as study_models

SAMPLERS = {sampler for _, _, sampler in questions.BENCHMARKS.values()}


@given(st.integers(0, 2**32))
def test_object_answers_are_what_the_cells_show(seed: int) -> None:
    content = scenes.sample_objects(np.random.default_rng(seed))
    things = [cell for cell in content.cells if cell]
    singular = {plural: shape for shape, plural in questions.PLURAL.items()}

    def count(word: str) -> int:
        return sum(singular.get(word, word) in thing for thing in things)

    for question in questions.questions(content):
        words = question.text.split()
        if question.task == "count":
            assert int(question.answer) == count(words[2])
        elif question.task == "compare":
            a, b = count(words[1]), count(words[3])
            assert question.answer == ("same" if a == b else words[1] if a > b else words[3])
        elif question.task in ("colour", "shape"):
            (thing,) = [t for t in things if words[4] in t]
            assert question.answer == thing[0 if question.task == "colour" else 1]
        elif question.task == "existence":
            assert (question.answer == "yes") == ((words[3], words[4]) in things)
        elif question.task == "position":
            row, column = divmod(content.cells.index((words[3], words[4])), 3)
            assert question.answer == {(0, 1): "above", (1, 0): "left", (1, 2): "right", (2, 1): "below"}[row, column]
        if question.choices:
            assert question.answer in question.choices


@given(st.integers(0, 2**32))
def test_chart_and_expression_answers_are_right(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chart, expression = scenes.sample_chart(rng), scenes.sample_expression(rng)
    heights = dict(zip(chart.colours, chart.heights, strict=True))
    for question in questions.questions(chart):
        words = question.text.split()
        named = [heights[word] for word in words if word in heights]
        if question.task == "sum":
            assert int(question.answer) == sum(named)
        elif question.task == "difference":
            assert int(question.answer) == max(named) - min(named)
        elif question.task == "maximum":
            assert int(question.answer) == max(heights.values())
    (result,) = [q for q in questions.questions(expression) if q.task in ("one_step", "two_step")]
    assert int(result.answer) == eval(expression.text.replace("x", "*")) >= 0


@pytest.mark.parametrize("benchmark", questions.BENCHMARKS)
def test_a_benchmark_has_its_questions_balanced_and_unique(benchmark: str) -> None:
    table = datasets.benchmark_table(benchmark, 120, seed=0)
    assert len(table) == table["sample_id"].n_unique() == 120
    assert set(table["category"]) == set(questions.BENCHMARKS[benchmark][1])
    for encoded in table["images"]:
        image = Image.open(io.BytesIO(encoded[0]))
        assert image.size == (72, 72) and image.format == "PNG"
    for (category,), part in table.filter(pl.col("choices").is_not_null()).group_by("category"):
        if category == "compare":
            same = [row["answers"][0] == "same" for row in part.iter_rows(named=True)]
            assert sum(same) == len(part) / 3
        else:
            counts = part["answers"].list.first().value_counts()["count"]
            assert counts.max() - counts.min() <= 1
            assert part["chance"][0] == 1 / len(counts)


def test_benchmarks_calibration_and_training_share_no_image() -> None:
    seen: list[set[bytes]] = [
        {images[0] for images in datasets.benchmark_table("counting", 60, seed=0)["images"]},
        {images[0] for images in datasets.calibration_table(["counting"], 60, seed=0)["images"]},
    ]
    assert not seen[0] & seen[1]
    streams = [seeds.generator(purpose, 0, 0).integers(2**63) for purpose in seeds.PURPOSES]
    assert len(set(streams)) == len(streams)


def test_the_same_seed_gives_the_same_table_and_another_seed_another() -> None:
    tables = [datasets.benchmark_table("reading", 8, seed) for seed in (0, 0, 1)]
    assert tables[0].equals(tables[1]) and not tables[0]["images"].equals(tables[2]["images"])


def test_the_tokenizer_knows_every_question_and_spells_every_answer_back() -> None:
    tokenizer = models.build_tokenizer()
    rng = np.random.default_rng(0)
    asked = [q for _ in range(150) for sample in SAMPLERS for q in questions.questions(sample(rng))]
    for text in {text for question in asked for text in (question.text, question.answer)}:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert tokenizer.unk_token_id not in ids, text
        assert tokenizer.decode(ids).replace(" ?", "?") == text.replace(" ?", "?")


@torch.inference_mode()
def test_the_packed_loss_is_that_of_each_question_alone(loaded: study_models.Loaded) -> None:
    rng = np.random.default_rng(0)
    contents = [scenes.sample_objects(rng) for _ in range(3)]
    images = [scenes.draw(content, rng) for content in contents]
    asked = [questions.questions(content)[::5] for content in contents]
    packer = training.Packer(loaded.processor)
    packed, tokens, _ = training.packed_loss(loaded.model, packer, training.pixels(images), packer.pack(asked))
    total, count = 0.0, 0
    for image, image_questions in zip(images, asked, strict=True):
        for question in image_questions:
            text = prompts.prompt(loaded, question.text, 1)
            answer = packer.ids(question.answer) + [loaded.processor.tokenizer.eos_token_id]
            batch = loaded.processor(text=[text], images=[[image]], return_tensors="pt")
            batch["input_ids"] = torch.cat([batch["input_ids"], torch.tensor([answer])], 1)
            batch["attention_mask"] = torch.ones_like(batch["input_ids"])
            logits = loaded.model(**batch).logits[0, -len(answer) - 1 : -1]
            total += torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="sum").item()
            count += len(answer)
    assert count == tokens
    assert packed.item() == pytest.approx(total, rel=1e-4)


@pytest.mark.slow
def test_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    recipe = training.Recipe(tower_steps=2, tower_batch=4, steps=3, first_stage=2, warmup=1)
    training.train("idefics3", tmp_path / "whole", recipe, save_every=1)
    training.train("idefics3", tmp_path / "parts", recipe, save_every=1, stop_after=1)
    training.train("idefics3", tmp_path / "parts", recipe, save_every=1)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert weights[0] == weights[1]
