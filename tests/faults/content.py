"""Questions and models that a study can hardly use: each in one study, whose other answers must stay as they are."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pruning_regimes.demo import datasets
from tests.faults.study import Outcome, config, differences, resumed, run, sentence
from tests.helpers import ROOT

DEMO = ROOT / "workflow" / "resources" / "demo-llava"
N_GOOD = 24  # one more that fails is less than the 5% at which a benchmark ends
POISONED_LAYER = 3
Row = dict[str, Any]


def study(directory: Path, model: Path = DEMO) -> Row:
    """The config of a study with questions of the user's own."""
    models = {"demo-llava": {"path": str(model), "dtype": "float32", "batch_size": 8}}
    mine = {"source": "custom", "path": str(directory / "rows.jsonl"), "group": "math"}
    return config(models=models, benchmarks={"mine": mine})


def write_rows(directory: Path, *more: Row) -> None:
    """Good questions, and more; their images beside them."""
    rows = []
    for row in datasets.benchmark_table("chart", N_GOOD, 0).iter_rows(named=True):
        (directory / f"{row['sample_id']}.png").write_bytes(row["images"][0])
        known = {key: row[key] for key in ("sample_id", "question", "answers", "choices", "answer_type")}
        rows.append(known | {"images": f"{row['sample_id']}.png"})
    (directory / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, *more]))


def asked(name: str, **changes: Any) -> Row:
    """One more question."""
    row = {"sample_id": "odd", "question": "highest bar ?", "answers": ["1"], "answer_type": "integer", "images": name}
    return row | changes


def picture(image: Image.Image, form: str = "PNG") -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def odd_image(directory: Path, data: bytes | None) -> Row:
    """A question whose image file holds these bytes; None: there is no file."""
    if data is not None:
        (directory / "odd").write_bytes(data)
    return asked("odd")


def _first_image(directory: Path) -> Image.Image:
    return Image.open(directory / "chart-00000.png").convert("RGB")


def _cut(directory: Path) -> bytes:
    whole = (directory / "chart-00000.png").read_bytes()
    return whole[: len(whole) // 2]


def _sixteen_bits(directory: Path) -> bytes:
    return picture(Image.fromarray(np.asarray(_first_image(directory).convert("L")).astype("uint16") * 257))


QUESTIONS: dict[str, Callable[[Path], Row]] = {
    "an image file cut in half": lambda folder: odd_image(folder, _cut(folder)),
    "an image that is not there": lambda folder: odd_image(folder, None),
    "a question without words": lambda folder: asked("chart-00000.png", question=""),
    "an image of 1 x 1 pixels": lambda folder: odd_image(folder, picture(Image.new("RGB", (1, 1)))),
    "an image of 10,000 x 10,000 pixels": lambda folder: odd_image(
        folder, picture(_first_image(folder).resize((10_000, 10_000)))
    ),
    "a CMYK image": lambda folder: odd_image(folder, picture(_first_image(folder).convert("CMYK"), "TIFF")),
    "an image with transparency": lambda folder: odd_image(folder, picture(_first_image(folder).convert("RGBA"))),
    "a grey image of 16 bits": lambda folder: odd_image(folder, _sixteen_bits(folder)),
    "a question longer than the context": lambda folder: asked("chart-00000.png", question="bar " * 600),
}


def questions(directory: Path) -> dict[str, Outcome]:
    """A study, and then each odd question added to it; a job that fails for it goes on without it."""
    directory.mkdir(parents=True)
    write_rows(directory)
    done = run(directory, study(directory))
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found = {}
    for number, (name, odd) in enumerate(QUESTIONS.items()):
        copy = directory.with_name(f"question{number}")
        shutil.copytree(directory, copy)
        write_rows(copy, odd(copy))
        done = run(copy, study(copy))
        said, differing = sentence(done) if done.returncode else _reply(copy), _others(directory, copy)
        if done.returncode:
            write_rows(copy)
            differing = differences(directory, copy) if resumed(copy, study(copy)) else ["the study did not go on"]
        found[name] = (said, differing)
        shutil.rmtree(copy)
    return found


def _answers(directory: Path) -> pl.DataFrame:
    files = sorted((directory / "results" / "predictions" / "demo-llava" / "mine").glob("*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files]).unique(maintain_order=True)


def _reply(directory: Path) -> str:
    """What came of the odd question, and how many answers were computed for it: all variants', and no others."""
    (log,) = (directory / "results" / "logs" / "predictions" / "demo-llava" / "mine").glob("*.log")
    computed = int(re.search(r"(\d+) answers computed", log.read_text())[1])
    rows = _answers(directory).filter(pl.col("sample_id") == "odd")
    if computed != len(rows):
        return f"{computed} answers were computed, of which {len(rows)} were missing"
    error = rows["error"].drop_nulls().unique().to_list()
    return error[0] if error else f"answered: '{rows['response'][0]}' by the dense model"


def _others(undisturbed: Path, directory: Path) -> list[str]:
    others = _answers(directory).filter(pl.col("sample_id") != "odd")
    same = others.sort("variant_id", "sample_id").equals(_answers(undisturbed).sort("variant_id", "sample_id"))
    return [] if same else ["answers of other questions"]


def poisoned(directory: Path) -> Outcome:
    """A model with one weight that is no number; then with good weights."""
    model = _model(directory)
    weights = load_file(model / "model.safetensors")
    good = (model / "model.safetensors").read_bytes()
    name = f"language_model.model.layers.{POISONED_LAYER}.mlp.up_proj.weight"
    weights[name][0, 0] = torch.nan
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    said = sentence(run(directory, study(directory, model)))
    (model / "model.safetensors").write_bytes(good)
    return said, [] if resumed(directory, study(directory, model)) else ["the study did not go on"]


def endless(directory: Path) -> Outcome:
    """A model whose answers never end: an end token that it does not write."""
    model = _model(directory)
    stated = json.loads((model / "generation_config.json").read_text())
    (model / "generation_config.json").write_text(json.dumps(stated | {"eos_token_id": 1}))
    done = run(directory, study(directory, model))
    if done.returncode:
        return sentence(done), ["the study did not end"]
    reasons = _answers(directory).group_by("finish_reason").agg(pl.len(), pl.col("n_tokens").max()).rows()
    return "; ".join(f"{n} answers end by {reason}, after at most {tokens} tokens" for reason, n, tokens in reasons), []


def _model(directory: Path) -> Path:
    """A copy of the demo model without its checksums."""
    model = directory / "model"
    shutil.copytree(DEMO, model, ignore=shutil.ignore_patterns("SHA256SUMS"))
    write_rows(directory)
    return model


MODELS: dict[str, Callable[[Path], Outcome]] = {
    "a weight that is not a number": poisoned,
    "a model whose answers never end": endless,
}
