"""The models that are measured, the questions that they get, and the variants that the study would make of them."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import torch
import yaml
from transformers import AutoModelForImageTextToText, BatchFeature, CLIPVisionConfig, GenerationConfig, LlamaConfig

from pruning_regimes.config.criteria import complete_criteria, resolved
from pruning_regimes.config.study import sentence
from pruning_regimes.criteria import Samples, Study, layer_list, registry
from pruning_regimes.criteria.variants import collect
from pruning_regimes.demo import datasets
from pruning_regimes.demo import models as demo_models
from pruning_regimes.inference import prompts
from pruning_regimes.measurement import similarity
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import Decoder, find_decoder
from pruning_regimes.models.loading import Loaded
from tests.helpers import ROOT

DEMO: dict[str, Any] = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
SEED = 0


@dataclass(frozen=True)
class Subject:
    """A model under measurement.

    Attributes:
        name: as it stands in the table.
        loaded: the model with its processor.
        batch_size: samples at a time.
        samples: questions per benchmark, and calibration samples per domain.
        benchmarks: demo benchmarks that it answers.
        max_new_tokens: longest answer.
    """

    name: str
    loaded: Loaded
    batch_size: int
    samples: int
    benchmarks: tuple[str, ...]
    max_new_tokens: int = 8

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.loaded.device

    @property
    def decoder(self) -> Decoder:
        """Its whole decoder."""
        return find_decoder(self.loaded.model)

    @cached_property
    def questions(self) -> dict[str, pl.DataFrame]:
        """Benchmark tables."""
        return {name: datasets.benchmark_table(name, self.samples, SEED) for name in self.benchmarks}

    @cached_property
    def variants(self) -> pl.DataFrame:
        """The variants table of the criteria of config/config.yaml that similarity is enough for, and its budgets."""
        samples = {
            domain: datasets.calibration_table(entry["benchmarks"], self.samples, SEED)
            for domain, entry in DEMO["domains"].items()
        }
        measured = {
            domain: Samples(*similarity.measure(self.loaded, table, self.batch_size))
            for domain, table in samples.items()
        }
        study = Study(self.name, self.decoder.n_layers, SEED, frozenset(), measured)
        config = copy.deepcopy(DEMO)
        complete_criteria(config, sentence)
        entries = {key: resolved(config["criteria"], key) for key in config["criteria"]}
        lists = {
            key: layer_list(entry, study, DEMO["budgets"])
            for key, entry in entries.items()
            if registry.get(entry.get("of", entry)["kind"]).needs is None
        }
        return collect(self.name, "bench", lists)

    def batch(self, table: pl.DataFrame) -> BatchFeature:
        """The model's inputs for a whole calibration or benchmark table."""
        images = [prompts.decode(encoded) for encoded in table["images"].to_list()]
        return prompts.inputs(self.loaded, prompts.prompts(self.loaded, table), images)


def demo(threads: int, samples: int, benchmarks: Sequence[str]) -> list[Subject]:
    """The two demo models on the CPU, in batches as the study's."""
    entries = {key: ROOT / entry["path"] for key, entry in DEMO["models"].items()}
    return [
        Subject(
            name,
            loading.load({"path": str(path), "revision": "main", "dtype": "float32", "gpus": 0}, threads),
            batch_size=128,
            samples=samples,
            benchmarks=tuple(benchmarks),
        )
        for name, path in entries.items()
    ]


@dataclass(frozen=True)
class Shape:
    """Sizes of a LLaVA-like model: keyword arguments of the configs of its decoder and of its vision tower."""

    text: Mapping[str, int]
    vision: Mapping[str, int]


# The vision tower of LLaVA 1.5, an image of which is 576 tokens.
TOWER = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "image_size": 336, "patch_size": 14, "projection_dim": 768,
}  # fmt: skip
# Decoders of 2B and 4B as those of Qwen3-VL, of 7B as that of LLaVA 1.5; `tiny` is for trying the code.
SHAPES = {
    "2b": Shape(
        text={
            "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28,
            "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 4096,
        },
        vision=TOWER,
    ),
    "4b": Shape(
        text={
            "vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36,
            "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 4096,
        },
        vision=TOWER,
    ),
    "7b": Shape(
        text={
            "vocab_size": 32064, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
            "num_attention_heads": 32, "max_position_embeddings": 4096,
        },
        vision=TOWER,
    ),
    "tiny": Shape(
        text={
            "vocab_size": 160, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 10,
            "num_attention_heads": 4, "max_position_embeddings": 128,
        },
        vision={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 28, "patch_size": 14, "projection_dim": 32,
        },
    ),
}  # fmt: skip
LARGE = ("2b", "4b", "7b")


def untrained(shape: Shape, directory: Path, device: torch.device, dtype: torch.dtype) -> Loaded:
    """A LLaVA-like model of random weights, made on the device; nothing is downloaded or saved but its config.

    Args:
        directory: an empty one, for the config and the processor.
    """
    small, processor = demo_models.build("llava", SEED)
    config = small.config
    ends = {"eos_token_id": processor.tokenizer.eos_token_id, "pad_token_id": processor.tokenizer.pad_token_id}
    config.text_config = LlamaConfig(**shape.text, **ends, tie_word_embeddings=False)
    config.vision_config = CLIPVisionConfig(**shape.vision)
    config.tie_word_embeddings = False
    side, patch = shape.vision["image_size"], shape.vision["patch_size"]
    config.image_seq_length = (side // patch) ** 2
    processor.patch_size = patch
    processor.image_processor.size = {"shortest_edge": side}
    processor.image_processor.crop_size = {"height": side, "width": side}
    config.save_pretrained(directory)
    processor.save_pretrained(directory)
    loaded = loading.load({"path": str(directory), "revision": "main", "dtype": str(dtype).split(".")[-1], "gpus": 0})
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(loaded.config, dtype=dtype)
    model.generation_config = GenerationConfig(do_sample=False, **ends)
    # In place of the weights that it would read from the directory.
    loaded.model = model.eval()
    return loaded


def shaped(
    shapes: Sequence[str], threads: int, samples: int, benchmarks: Sequence[str], device: torch.device
) -> Iterator[Subject]:
    """Models of some of `SHAPES` in bfloat16, each made when it is asked for, so that one is in memory at a time."""
    for name in shapes:
        with TemporaryDirectory() as directory:
            loaded = untrained(SHAPES[name], Path(directory), device, torch.bfloat16)
            torch.set_num_threads(threads)
            yield Subject(f"{name}-shape", loaded, batch_size=16, samples=samples, benchmarks=tuple(benchmarks))
        del loaded
        gc.collect()
        torch.cuda.empty_cache()


def encoder_parts(subject: Subject) -> list[torch.nn.Module]:
    """The vision tower and the projector: what stands beside the decoder in the base model."""
    return [
        child
        for name, child in subject.loaded.model.base_model.named_children()
        if f".{name}." not in f".{subject.decoder.path}"
    ]
