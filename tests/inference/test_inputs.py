"""What a model is given, and which of its settings an answer depends on."""

from __future__ import annotations

import io
import json
import random
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pruning_regimes import benchmarks, calibration, tables
from pruning_regimes.demo import datasets
from pruning_regimes.evaluation import grid
from pruning_regimes.inference import pictures, prompts
from pruning_regimes.jobs.errors import DataError, ModelError
from pruning_regimes.measurement import similarity
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import find_decoder
from pruning_regimes.models.identity import variant_id
from tests.conftest import entry


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    """An image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def generating(directory: Path, target: Path, **settings: object) -> loading.Loaded:
    """The model of a directory with other defaults of generation."""
    shutil.copytree(directory, target)
    file = target / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    return loading.load(entry(target))


@pytest.fixture
def asked(loaded: loading.Loaded) -> tuple[list[str], list[list[bytes]]]:
    """Prompts and images of four questions."""
    table = datasets.benchmark_table("attributes", 4, seed=2)
    texts = [prompts.prompt(loaded, question, 1) for question in table["question"]]
    return texts, table["images"].to_list()


@pytest.fixture
def dense(loaded: loading.Loaded) -> pl.DataFrame:
    """The dense variant."""
    kept = list(range(find_decoder(loaded.model).n_layers))
    row = {"criterion": "dense", "replicate": 0, "budget": "0", "n_removed": 0, "removed": [], "kept": kept}
    return tables.frame("variants", [{**row, "variant_id": variant_id("m", "r", kept)}])


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK"])
def test_an_image_of_any_mode_is_read_as_its_colours(mode: str) -> None:
    image = Image.new("RGB", (72, 72), "white")
    image.paste((0, 0, 0), (10, 10, 40, 60))  # black and white: the same in every mode
    (one,) = prompts.decode([encoded(image.convert(mode), "TIFF" if mode == "CMYK" else "PNG")])
    assert one.mode == "RGB" and one.tobytes() == image.tobytes()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_an_image_of_16_bits_is_what_plain_transformers_makes_of_it_and_is_not_used_if_that_is_white(form: str) -> None:
    greys = np.arange(256, dtype=np.uint16).reshape(16, 16)
    for values, fits in ((greys, True), (greys * 257, False)):
        file = encoded(Image.fromarray(values), form)
        (one,) = prompts.decode([file])
        assert one.mode == "RGB" and np.array_equal(np.asarray(one), np.stack([np.minimum(values, 255)] * 3, axis=2))
        assert (pictures.unfit(file) is None) == fits


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_an_image_without_a_known_range_is_a_data_error(dtype: type) -> None:
    image = Image.fromarray(np.ones((4, 4), dtype=dtype))
    with pytest.raises(
        DataError, match=r"An image has pixels of 32 bits \(mode [IF]\); store it with 8 bits a channel"
    ):
        prompts.decode([encoded(image, "TIFF")])


def test_a_damaged_image_is_a_data_error() -> None:
    noise = encoded(Image.effect_noise((72, 72), 50).convert("RGB"))
    start, rng = noise.index(b"IDAT"), random.Random(0)
    refused = 0
    for _ in range(300):
        length = rng.randrange(1, 9000).to_bytes(4, "big")
        try:
            prompts.decode([noise[: start - 4] + length + noise[start:]])
        except DataError:
            refused += 1
    assert refused > 250


def test_an_image_too_large_to_decode_is_a_data_error() -> None:
    with pytest.raises(DataError, match="cannot be opened"):
        prompts.decode([encoded(Image.new("1", (20000, 20000)))])


def test_a_question_with_the_image_token_is_named(loaded: loading.Loaded) -> None:
    token = loaded.processor.image_token
    table = datasets.benchmark_table("chart", 2, 0).with_columns(question=pl.lit(f"what is in {token} ?"))
    with pytest.raises(DataError, match=r"^Sample 'chart-00000': its question holds '<image>'"):
        prompts.prompts(loaded, table)


def test_a_broken_calibration_image_is_named(loaded: loading.Loaded) -> None:
    table = datasets.calibration_table(["chart"], 2, 0)
    images = [table["images"].to_list()[0], [b"x"]]
    table = table.with_columns(images=pl.Series(images, dtype=pl.List(pl.Binary)))
    with pytest.raises(
        DataError, match=f"^Calibration sample '{table['sample_id'][1]}': An image cannot be opened: .*1 bytes"
    ):
        similarity.measure(loaded, table, 2)


def test_weights_that_lack_a_layer_are_refused(model_directory: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(model_directory, tmp_path / "m")
    file = directory / "model.safetensors"
    weights = {k: v for k, v in load_file(file).items() if not (".layers.5." in k and "vision" not in k)}
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks \d+ weights .*layers\.5\."):
        _ = loading.load(entry(directory)).model


def test_truncated_weights_get_one_sentence(model_directory: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(model_directory, tmp_path / "m")
    file = directory / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        _ = loading.load(entry(directory)).model
    assert "\n" not in str(caught.value)


def test_questions_with_and_without_an_image_share_a_batch(
    loaded: loading.Loaded, asked: tuple[list[str], list[list[bytes]]]
) -> None:
    texts = [asked[0][0], prompts.prompt(loaded, "result ?", 0)]
    images = [asked[1][0], []]
    alone = [grid.answer(loaded, [p], [i], 4)[0] for p, i in zip(texts, images, strict=True)]
    assert grid.answer(loaded, texts, images, 4) == alone


def test_images_enter_in_the_models_dtype(model_directory: Path, asked: tuple[list[str], list[list[bytes]]]) -> None:
    loaded = loading.load({**entry(model_directory), "dtype": "bfloat16"})
    pixels = prompts.inputs(loaded, asked[0], [prompts.decode(images) for images in asked[1]])["pixel_values"]
    assert pixels.dtype == torch.bfloat16
    samples = datasets.calibration_table(["chart"], 2, seed=0)
    assert similarity.measure(loaded, samples, 2).similarity["cosine"].is_between(-1, 1).all()
    assert [reply["error"] for reply in grid.answer(loaded, *asked, 2)] == [None] * 4


def test_a_digest_tells_images_apart_that_begin_alike() -> None:
    pictures = [encoded(Image.new("RGB", (8, 8), (shade, 0, 0))) for shade in (1, 2)]
    assert pictures[0][:16] == pictures[1][:16]
    assert prompts.prompt_digest("q", pictures[:1]) != prompts.prompt_digest("q", pictures[1:])


def test_answers_in_another_dtype_are_other_answers(
    loaded: loading.Loaded, model_directory: Path, dense: pl.DataFrame, tmp_path: Path
) -> None:
    table = datasets.benchmark_table("chart", 2, seed=0)
    computed = [
        grid.answer_all(
            loading.load({**entry(model_directory), "dtype": dtype}),
            table,
            dense,
            grid.Journal({"0": tmp_path / "p.parquet"}, {}),
            2,
            2,
        ).computed
        for dtype in ("float32", "float32", "bfloat16")
    ]
    assert computed == [2, 0, 2]


def test_any_of_several_end_tokens_ends_an_answer(
    model_directory: Path, tmp_path: Path, asked: tuple[list[str], list[list[bytes]]]
) -> None:
    texts, images = asked[0][:1], asked[1][:1]
    endless = generating(model_directory, tmp_path / "endless", eos_token_id=[10**6])
    batch = prompts.inputs(endless, texts, [prompts.decode(images[0])])
    tokens = endless.model.generate(**batch, max_new_tokens=4)[0, batch["input_ids"].shape[1] :].tolist()
    never = next(token for token in range(5, 60) if token not in tokens)
    several = generating(model_directory, tmp_path / "several", eos_token_id=[never, tokens[-1]])
    (reply,) = grid.answer(several, texts, images, 4)
    assert (reply["finish_reason"], reply["n_tokens"]) == ("stop", tokens.index(tokens[-1]))


def test_a_model_that_names_no_end_takes_its_tokenizers(model_directory: Path, tmp_path: Path) -> None:
    other = generating(model_directory, tmp_path / "m", eos_token_id=None)
    file = tmp_path / "m" / "config.json"
    config = json.loads(file.read_text())
    config["text_config"]["eos_token_id"] = None
    file.write_text(json.dumps(config))
    assert other.end_tokens == [other.processor.tokenizer.eos_token_id]


@pytest.mark.parametrize(
    "settings",
    [
        {"do_sample": True, "temperature": 5.0},
        {"num_beams": 3},
        {"repetition_penalty": 3.0},
        {"no_repeat_ngram_size": 1},
        {"min_new_tokens": 5},
        {"max_length": 3},
    ],
)
def test_answers_are_greedy_whatever_the_models_defaults(
    loaded: loading.Loaded,
    model_directory: Path,
    tmp_path: Path,
    asked: tuple[list[str], list[list[bytes]]],
    settings: dict[str, object],
) -> None:
    other = generating(model_directory, tmp_path / "m", **settings)
    assert grid.answer(other, *asked, 5) == grid.answer(loaded, *asked, 5)


def test_weights_are_not_loaded_for_answers_that_are_there(
    model_directory: Path, dense: pl.DataFrame, tmp_path: Path
) -> None:
    table = datasets.benchmark_table("chart", 3, seed=0)
    path = tmp_path / "p.parquet"
    for expected in (3, 0):
        loaded = loading.load(entry(model_directory))
        journal = grid.Journal({"0": path}, {})
        assert grid.answer_all(loaded, table, dense, journal, 3, 2).computed == expected
        assert ("model" in vars(loaded)) == bool(expected)


def test_a_broken_image_after_a_hundred_others_costs_its_answer_only(
    loaded: loading.Loaded, dense: pl.DataFrame, tmp_path: Path
) -> None:
    table = datasets.benchmark_table("chart", 130, 0)
    images = table["images"].to_list()
    images[125] = [b"x"]
    table = table.with_columns(images=pl.Series(images, dtype=pl.List(pl.Binary)))
    grid.answer_all(loaded, table, dense, grid.Journal({"0": tmp_path / "p.parquet"}, {}), 130, 1)
    assert tables.read(tmp_path / "p.parquet", "predictions")["error"].null_count() == 129


def test_answers_of_a_broken_run_are_newer_than_the_table(
    loaded: loading.Loaded, dense: pl.DataFrame, tmp_path: Path
) -> None:
    table = datasets.benchmark_table("chart", 3, seed=0)
    path = tmp_path / "p.parquet"
    grid.answer_all(loaded, table, dense, grid.Journal({"0": path}, {}), 3, 2)
    journal = grid.Journal({"0": path}, {})
    newer = journal.answers.with_columns(response=pl.lit("newer"))
    journal.add(newer)
    again = grid.Journal({"0": path}, {})
    assert set(again.answers["response"]) == {"newer"} and len(again.answers) == 3


def test_a_token_group_that_a_sample_lacks_has_no_rows(loaded: loading.Loaded) -> None:
    samples = datasets.calibration_table(["chart"], 2, seed=0)
    images = samples["images"].to_list()
    mixed = samples.with_columns(images=pl.Series([images[0], []], dtype=pl.List(pl.Binary)))
    groups = {
        name: set(part["token_group"])
        for (name,), part in similarity.measure(loaded, mixed, 2).similarity.group_by("sample_id", maintain_order=True)
    }
    assert groups[samples["sample_id"][0]] == {"all", "image", "text", "last"}
    assert groups[samples["sample_id"][1]] == {"all", "text", "last"}


def questions(path: Path, names: list[str]) -> Path:
    """A user's own benchmark table."""
    row = {"question": "q", "images": [], "choices": None, "answers": ["a"], "answer_type": "exact", "category": "c"}
    rows = [{"sample_id": name, **row, "chance": 0.0, "metadata": None} for name in names]
    tables.write(rows, "benchmark", path, {})
    return path


def test_a_users_benchmark_is_drawn_with_the_seed_and_checked(tmp_path: Path) -> None:
    names = [f"q{i:02d}" for i in range(30)]
    source = {"source": "table", "path": str(questions(tmp_path / "b.parquet", names)), "samples": 10}
    drawn = [benchmarks.load("b", source, seed)["sample_id"].to_list() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 10 and set(drawn[0]) <= set(names)
    with pytest.raises(DataError, match=r"^benchmarks\.b\.samples: 31 .* holds 30; ask for at most 30\.$"):
        benchmarks.load("b", {**source, "samples": 31}, 0)
    questions(tmp_path / "b.parquet", ["one", "two", "two"])
    with pytest.raises(DataError, match="'two' more than once"):
        benchmarks.load("b", {**source, "samples": 2}, 0)


def test_a_users_calibration_samples_are_drawn_with_the_seed_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    tables.write(datasets.calibration_table(["chart"], 12, seed=0), "calibration", path, {})
    source = {"source": "table", "path": str(path), "samples": 5}
    drawn = [calibration.load("d", source, seed)["sample_id"].to_list() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] and len(set(drawn[0])) == 5
    with pytest.raises(DataError, match=r"^domains\.d\.samples: 13 .* at most 12\.$"):
        calibration.load("d", {**source, "samples": 13}, 0)
