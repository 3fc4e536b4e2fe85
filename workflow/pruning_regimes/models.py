"""Load a model with its processor, and turn questions into its inputs through its own chat template."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    BatchFeature,
    GenerationConfig,
    PreTrainedModel,
    ProcessorMixin,
)

from pruning_regimes.errors import DataError, ModelError

LOADING_ERRORS = (OSError, ValueError, ImportError, KeyError, AttributeError, RuntimeError, SafetensorError)


class Loaded:
    """A processor, and the model that goes with it, whose weights are loaded when they are first used.

    Attributes:
        path: directory or hub id.
        dtype: what the config asks for, a torch dtype's name or `auto`.
        decoder_path: where the decoder layers are, if the config says so.
        device: where the model runs.
        processor: pads on the left.
    """

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.path = str(Path(entry["path"]).expanduser()) if entry["path"].startswith("~") else entry["path"]
        self.dtype: str = entry["dtype"]
        self.decoder_path: str | None = entry.get("decoder_path")
        self.device = torch.device("cuda" if entry["gpu"] else "cpu")
        self._revision = entry["revision"]
        try:
            self.processor: ProcessorMixin = AutoProcessor.from_pretrained(self.path, revision=self._revision)
        except LOADING_ERRORS as error:
            raise self._unloadable(error) from error
        if not getattr(self.processor, "chat_template", None):
            raise ModelError(f"Model '{self.path}' has no chat template; add a chat_template.jinja to its directory.")
        tokenizer = self.processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token

    @cached_property
    def model(self) -> PreTrainedModel:
        """The model in evaluation mode on its device, its generation set to plain greedy decoding.

        Raises: ModelError if it cannot be loaded, or its checkpoint lacks weights.
        """
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise ModelError(f"Model '{self.path}' asks for a GPU, but torch sees no CUDA device.")
        dtype = self.dtype if self.dtype == "auto" else getattr(torch, self.dtype)
        try:
            model, found = AutoModelForImageTextToText.from_pretrained(
                self.path, revision=self._revision, dtype=dtype, output_loading_info=True
            )
        except LOADING_ERRORS as error:
            raise self._unloadable(error) from error
        if found["missing_keys"]:
            missing = sorted(found["missing_keys"])
            raise ModelError(
                f"Model '{self.path}' lacks {len(missing)} weights that its config.json asks for, such as "
                f"'{missing[0]}'; transformers would fill them with random numbers."
            )
        logging.info("Loaded %s (%s) on %s", self.path, model.dtype, self.device)
        model.generation_config = self._greedy(model)
        return model.eval().to(self.device)

    def skeleton(self) -> PreTrainedModel:
        """The model without weights, on the meta device.

        Raises: ModelError if its config cannot be loaded.
        """
        try:
            config = AutoConfig.from_pretrained(self.path, revision=self._revision)
            with torch.device("meta"):
                return AutoModelForImageTextToText.from_config(config)
        except LOADING_ERRORS as error:
            raise self._unloadable(error) from error

    @property
    def end_tokens(self) -> list[int]:
        """Ids of the tokens that end an answer."""
        ends = self.model.generation_config.eos_token_id
        return ends if isinstance(ends, list) else [ends]

    def _greedy(self, model: PreTrainedModel) -> GenerationConfig:
        """The model's special tokens, and nothing of its sampling, penalties or forced tokens."""
        stated, text = model.generation_config, model.config.get_text_config(decoder=True)
        tokenizer = self.processor.tokenizer
        ends = next(
            (e for e in (stated.eos_token_id, text.eos_token_id, tokenizer.eos_token_id) if e is not None), None
        )
        if ends is None:
            raise ModelError(f"Model '{self.path}' names no end token (eos_token_id), so no answer would ever end.")
        pad = stated.pad_token_id if stated.pad_token_id is not None else tokenizer.pad_token_id
        return GenerationConfig(
            do_sample=False, num_beams=1, bos_token_id=stated.bos_token_id, eos_token_id=ends, pad_token_id=pad
        )

    def _unloadable(self, error: Exception) -> ModelError:
        reason = " ".join(str(error).split())
        # Processors with a video part fail in ways that do not name what they lack.
        hint = "" if find_spec("torchvision") else " (torchvision is not installed; some processors need it)"
        return ModelError(f"Model '{self.path}' cannot be loaded: {reason}{hint}")


def load(entry: Mapping[str, Any], threads: int = 1) -> Loaded:
    """The processor and, when first used, the model of a config entry (path or hub id, revision, dtype, gpu).

    Raises: ModelError if the processor cannot be loaded or has no chat template.
    """
    torch.set_num_threads(threads)
    return Loaded(entry)


def prompt(processor: ProcessorMixin, question: str, n_images: int) -> str:
    """The model's own chat prompt for one user turn, images first, up to where the answer begins."""
    content = [{"type": "image"}] * n_images + [{"type": "text", "text": question}]
    return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)


def prompts(processor: ProcessorMixin, samples: pl.DataFrame) -> list[str]:
    """The prompts of a calibration or benchmark table.

    Raises: DataError if a question holds the token that the processor replaces by an image.
    """
    token, texts = getattr(processor, "image_token", None), []
    for name, question, images in samples.select("sample_id", "question", "images").iter_rows():
        if token is not None and token in question:
            raise DataError(
                f"Sample '{name}': its question holds '{token}', which the model takes for an image; leave it out, "
                "images are shown before the question."
            )
        texts.append(prompt(processor, question, len(images)))
    return texts


def prompt_digest(text: str, images: Sequence[bytes]) -> str:
    """Short hash of a rendered prompt and its encoded images: equal digests mean equal inputs."""
    digest = hashlib.sha256(text.encode())
    for image in images:
        digest.update(hashlib.sha256(image).digest())
    return digest.hexdigest()[:16]


def decode(images: Sequence[bytes]) -> list[Image.Image]:
    """The encoded images of one sample as RGB.

    Raises: DataError if one is no image, or is damaged.
    """
    decoded = []
    for encoded in images:
        try:
            decoded.append(Image.open(io.BytesIO(encoded)).convert("RGB"))
        # Pillow raises SyntaxError for damaged PNG files.
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"An image of {len(encoded)} bytes cannot be decoded.") from error
    return decoded


def inputs(loaded: Loaded, prompts: Sequence[str], images: Sequence[Sequence[Image.Image]]) -> BatchFeature:
    """One left-padded batch on the model's device, floating-point inputs in the model's dtype."""
    batch = loaded.processor(
        text=list(prompts), images=list(images) if any(images) else None, padding=True, return_tensors="pt"
    )
    batch = batch.to(loaded.device)
    for name, value in batch.items():
        if torch.is_tensor(value) and value.is_floating_point():
            batch[name] = value.to(loaded.model.dtype)
    return batch


def image_token_id(model: PreTrainedModel) -> int | None:
    """Token id that stands for image features, None for a model without images."""
    for name in ("image_token_id", "image_token_index"):
        if getattr(model.config, name, None) is not None:
            return getattr(model.config, name)
    return None
