"""What forward passes over calibration samples have in common: images, memory, and how much the head computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel

from pruning_regimes.inference.batches import is_out_of_memory
from pruning_regimes.inference.prompts import context, decode
from pruning_regimes.jobs.errors import DataError


def decoded(names: Sequence[str], encoded: Sequence[Sequence[bytes]]) -> list[list[Image.Image]]:
    """The images of calibration samples as RGB.

    Raises: DataError that names the sample, if one is no image or is damaged.
    """
    images = []
    for name, own in zip(names, encoded, strict=True):
        try:
            images.append(decode(own))
        except DataError as error:
            raise DataError(f"Calibration sample '{name}': {error}") from error
    return images


def check_context(model: PreTrainedModel, names: Sequence[str], attention_mask: Tensor) -> None:
    """Check that calibration samples are no longer than what the model reads.

    Args:
        attention_mask: [B, T].

    Raises: DataError that names the first sample that is.
    """
    limit = context(model)
    if limit is None or attention_mask.shape[1] <= limit:
        return
    for name, n_tokens in zip(names, attention_mask.sum(1).tolist(), strict=True):
        if n_tokens > limit:
            raise DataError(
                f"Calibration sample '{name}' has {n_tokens} tokens, and the model's context {limit}; leave it out, or "
                "shorten it."
            )


@contextmanager
def fitting(names: Sequence[str]) -> Iterator[None]:
    """Work on a batch of calibration samples; a single one that does not fit into memory is named.

    Raises: DataError if memory runs out for one sample; for several, the error that says so.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if len(names) > 1 or not is_out_of_memory(error):
            raise
        raise DataError(
            f"Calibration sample '{names[0]}' does not fit into memory by itself; leave it out, or give the model more "
            "GPUs (models.<key>.gpus) or a smaller dtype."
        ) from error


@contextmanager
def last_logits(model: PreTrainedModel, n: int) -> Iterator[None]:
    """Let the language-model head see the last n tokens alone.

    In every family alike: not all forward methods take `logits_to_keep`, and with it, that of gemma4 leaves tokens out
    of the last decoder layers too.
    """
    head = model.get_output_embeddings()
    handles = []
    if head is not None:
        handles.append(head.register_forward_pre_hook(lambda _, states: (states[0][:, -n:], *states[1:])))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
