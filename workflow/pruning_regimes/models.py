"""Load a model with its processor, and turn questions into its inputs through its own chat template."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from PIL import Image, UnidentifiedImageError
from transformers import AutoModelForImageTextToText, AutoProcessor, BatchFeature, PreTrainedModel, ProcessorMixin

from pruning_regimes.errors import DataError, ModelError


@dataclass(frozen=True)
class Loaded:
    """A model ready to run, its processor, and the device both work on."""

    model: PreTrainedModel
    processor: ProcessorMixin
    device: torch.device


def load(entry: Mapping[str, Any], threads: int = 1) -> Loaded:
    """Load the model of a config entry (path or hub id, revision, dtype, gpu).

    Raises: ModelError if it cannot be loaded, has no chat template, or asks for a GPU that is not there.
    """
    torch.set_num_threads(threads)
    if entry["gpu"] and not torch.cuda.is_available():
        raise ModelError(f"Model '{entry['path']}' asks for gpu: {entry['gpu']}, but torch sees no CUDA device.")
    device = torch.device("cuda" if entry["gpu"] else "cpu")
    dtype = entry["dtype"] if entry["dtype"] == "auto" else getattr(torch, entry["dtype"])
    where = {"pretrained_model_name_or_path": entry["path"], "revision": entry["revision"]}
    try:
        processor = AutoProcessor.from_pretrained(**where)
        model = AutoModelForImageTextToText.from_pretrained(**where, dtype=dtype)
    except (OSError, ValueError, ImportError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())
        # Processors with a video part fail in ways that do not name what they lack.
        hint = "" if find_spec("torchvision") else " (torchvision is not installed; some processors need it)"
        raise ModelError(f"Model '{entry['path']}' cannot be loaded: {reason}{hint}") from error
    if not getattr(processor, "chat_template", None):
        raise ModelError(f"Model '{entry['path']}' has no chat template; add a chat_template.jinja to its directory.")
    processor.tokenizer.padding_side = "left"
    return Loaded(model.eval().to(device), processor, device)


def prompt(processor: ProcessorMixin, question: str, n_images: int) -> str:
    """The model's own chat prompt for one user turn, images first, up to where the answer begins."""
    content = [{"type": "image"}] * n_images + [{"type": "text", "text": question}]
    return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)


def prompt_digest(text: str, images: Sequence[bytes]) -> str:
    """Short hash of a rendered prompt and its encoded images: equal digests mean equal inputs."""
    digest = hashlib.sha256(text.encode())
    for image in images:
        digest.update(hashlib.sha256(image).digest())
    return digest.hexdigest()[:16]


def decode_image(encoded: bytes) -> Image.Image:
    """An encoded image as RGB.

    Raises: DataError if the bytes are no image.
    """
    try:
        return Image.open(io.BytesIO(encoded)).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"An image of {len(encoded)} bytes cannot be decoded.") from error


def inputs(loaded: Loaded, prompts: Sequence[str], images: Sequence[Sequence[bytes]]) -> BatchFeature:
    """One left-padded batch on the model's device, floating-point inputs in the model's dtype."""
    decoded = [[decode_image(encoded) for encoded in sample] for sample in images]
    batch = loaded.processor(
        text=list(prompts), images=decoded if any(decoded) else None, padding=True, return_tensors="pt"
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
