"""Turn questions with images into a model's inputs, through its own chat template."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence

import jinja2
import polars as pl
import torch
from PIL import Image
from transformers import BatchFeature, PreTrainedModel, ProcessorMixin

from pruning_regimes.inference.pictures import UNREADABLE, reason, rgb, size
from pruning_regimes.jobs.errors import DataError, ModelError
from pruning_regimes.models.loading import Loaded

# Where an image stands within a question, counted from one.
PLACE = re.compile(r"<image (\d{1,3})>")
# Pixels a side that most models make one token of.
SQUARE = 28


def content(question: str, n_images: int) -> tuple[list[dict[str, str]], list[int]]:
    """A user turn in parts, and which of the sample's images each image part is.

    `<image k>` in the question is where image k stands; the first mention counts, later ones stay words. Images that
    are not mentioned come before the text.

    Returns: the parts as a chat template takes them, and 0-based image numbers in the order of the image parts.
    """
    parts, order, begin = [], [], 0
    for match in PLACE.finditer(question):
        number = int(match[1]) - 1
        if 0 <= number < n_images and number not in order:
            parts.append({"type": "text", "text": question[begin : match.start()].strip()})
            parts.append({"type": "image"})
            order.append(number)
            begin = match.end()
    parts.append({"type": "text", "text": question[begin:].strip() if order else question})
    first = [number for number in range(n_images) if number not in order]
    parts = [{"type": "image"}] * len(first) + [part for part in parts if part.get("text") != ""]
    return parts, first + order


def prompt(loaded: Loaded, question: str, n_images: int) -> str:
    """The model's own chat prompt for one user turn, images first, up to where the answer begins.

    Raises: ModelError if the chat template fails, or is made for text alone.
    """
    parts, _ = content(question, n_images)
    turns = [{"role": "user", "content": parts if loaded.takes_images else question}]
    try:
        text = loaded.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    except (jinja2.TemplateError, TypeError, KeyError) as error:
        raise ModelError(f"Model '{loaded.path}': its chat template fails with '{error}' for a user's turn.") from error
    if "{'type': " in text:
        raise ModelError(
            f"Model '{loaded.path}': its chat template is made for text alone; it writes an image as {parts[0]}."
        )
    return text


def prompts(loaded: Loaded, samples: pl.DataFrame) -> list[str]:
    """The prompts of a calibration or benchmark table; their images are those of `shown_images`.

    Raises: DataError if a question holds the token that the processor replaces by an image, or has an image that the
        model cannot take.
    """
    token, texts = getattr(loaded.processor, "image_token", None), []
    for name, question, images in samples.select("sample_id", "question", "images").iter_rows():
        if token is not None and token in question:
            raise DataError(
                f"Sample '{name}': its question holds '{token}', which the model takes for an image; leave it out, "
                "images are shown before the question."
            )
        if images and not loaded.takes_images:
            raise DataError(
                f"Sample '{name}' has an image, but transformers loads '{loaded.path}' as a language model without "
                "images; give it domains and benchmarks of text only."
            )
        texts.append(prompt(loaded, question, len(images)))
    return texts


def shown_images(samples: pl.DataFrame) -> list[list[bytes]]:
    """The encoded images of each sample of a calibration or benchmark table, in the order of its prompt."""
    return [
        [images[number] for number in content(question, len(images))[1]]
        for question, images in samples.select("question", "images").iter_rows()
    ]


def prompt_digest(text: str, images: Sequence[bytes]) -> str:
    """Short hash of a rendered prompt and its encoded images: equal digests mean equal inputs."""
    digest = hashlib.sha256(text.encode())
    for image in images:
        digest.update(hashlib.sha256(image).digest())
    return digest.hexdigest()[:16]


def decode(images: Sequence[bytes]) -> list[Image.Image]:
    """The encoded images of one sample as RGB.

    Raises: DataError if one is no image, is damaged, or has pixels of 32 bits.
    """
    decoded = []
    for encoded in images:
        try:
            decoded.append(rgb(encoded))
        except UNREADABLE as error:
            raise DataError(f"An image cannot be opened: {reason(error, len(encoded))}.") from error
    return decoded


def lengths(loaded: Loaded, prompts: Sequence[str], images: Sequence[Sequence[bytes]]) -> list[int]:
    """About how long each prompt is to the model: its text in tokens, and its images in squares of 28 pixels.

    Good enough to batch prompts of equal length; one with an image that cannot be read counts as the longest.
    """
    texts = loaded.tokenizer(list(prompts), add_special_tokens=False)["input_ids"]
    return [len(text) + sum(map(_squares, encoded)) for text, encoded in zip(texts, images, strict=True)]


def _squares(image: bytes) -> int:
    try:
        width, height = size(image)
    except UNREADABLE:
        return sys.maxsize
    return width * height // SQUARE**2


def inputs(loaded: Loaded, prompts: Sequence[str], images: Sequence[Sequence[Image.Image]]) -> BatchFeature:
    """One left-padded batch on the model's device, floating-point inputs in the model's dtype."""
    begin = loaded.tokenizer.bos_token
    options = {
        "padding": True,
        "return_tensors": "pt",
        # Some chat templates write the token that begins a text; it must not stand there twice.
        "add_special_tokens": not (begin and all(text.startswith(begin) for text in prompts)),
    }
    if isinstance(loaded.processor, ProcessorMixin):
        options["images"] = list(images) if any(images) else None
    batch = loaded.processor(text=list(prompts), **options).to(loaded.device)
    for name, value in batch.items():
        if torch.is_tensor(value) and value.is_floating_point():
            batch[name] = value.to(loaded.model.dtype)
    return batch


def context(model: PreTrainedModel) -> int | None:
    """Most tokens that a model reads and writes, as its config states them; None if it states none."""
    stated = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    return stated if isinstance(stated, int) and stated > 0 else None


def image_token_id(model: PreTrainedModel) -> int | None:
    """Token id that stands for image features, None for a model without images."""
    for name in ("image_token_id", "image_token_index"):
        if getattr(model.config, name, None) is not None:
            return getattr(model.config, name)
    return None
