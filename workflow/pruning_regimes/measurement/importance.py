"""First-order importance of decoder layers (Taylor criterion of Shortened LLaMA, 2402.02834).

Setting a weight w to zero changes the loss by about -w g, where g is the loss's gradient. A layer is as important as
its weights together: the sum of |w g|, with g over all calibration samples before the absolute value.
"""

from __future__ import annotations

import gc
import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import polars as pl
import torch
from torch import Tensor, nn
from transformers import BatchFeature, PreTrainedModel

from pruning_regimes.inference.batches import is_out_of_memory
from pruning_regimes.jobs.errors import ModelError
from pruning_regimes.jobs.progress import Progress
from pruning_regimes.measurement.teacher_forcing import Answered, answered, batched, nll
from pruning_regimes.models.decoder import find_decoder
from pruning_regimes.models.loading import Loaded
from pruning_regimes.tables import frame

Gradients = dict[nn.Parameter, Tensor]


class _TooLarge(Exception):
    """Memory ran out; says how many samples to try."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def measure(loaded: Loaded, samples: Mapping[str, pl.DataFrame], batch_size: int) -> pl.DataFrame:
    """Importance of every decoder layer.

    The loss is the mean over domains of the mean over a domain's samples of the mean over an answer's tokens.

    Args:
        samples: domain -> its calibration table; samples without an answer are left out.
        batch_size: samples at a time; halved when memory runs out.

    Returns: the importance table, in the order of the layers.

    Raises: DataError and ModelError as `teacher_forcing.answered` and `batched`; ModelError also if an importance is
        NaN or infinite.
    """
    asked = answered(loaded, samples)
    layers = find_decoder(loaded.model, loaded.decoder_path).layers
    while True:
        try:
            gradients = _gradients(loaded, layers, asked, batch_size)
            break
        except _TooLarge as smaller:
            # A part of the failed batch's gradients is in the sums, so that they have to begin again.
            logging.warning("A batch ran out of memory; all samples are tried in batches of %d.", smaller.size)
            batch_size = smaller.size
        gc.collect()
        torch.cuda.empty_cache()
    importance = [
        sum(_importance(weight, gradients[weight]) for weight in layer.parameters() if weight in gradients) / len(asked)
        for layer in layers
    ]
    damaged = [layer for layer, value in enumerate(importance) if not math.isfinite(value)]
    if damaged:
        raise ModelError(
            f"Model '{loaded.path}': the importance of decoder layer {damaged[0]} is NaN or infinite; the weights are "
            "damaged, or their dtype cannot hold their gradients."
        )
    return frame("importance", {"layer": range(len(layers)), "importance": importance})


def _importance(weight: nn.Parameter, gradient: Tensor) -> float:
    return float((weight.detach().float() * gradient).abs().sum(dtype=torch.float64))


def _gradients(loaded: Loaded, layers: nn.ModuleList, asked: Sequence[Answered], batch_size: int) -> Gradients:
    """Gradients of the loss times the number of samples, by the layers' weights, float32.

    Small gradients, such as those of the loss itself, vanish in float16. A weight that takes no part in the loss has
    none.

    Raises: _TooLarge if memory runs out in a batch of several samples.
    """
    in_domain = Counter(sample.domain for sample in asked)
    shares = {domain: len(asked) / (len(in_domain) * n) for domain, n in in_domain.items()}

    def work(chosen: Sequence[Answered], encoded: BatchFeature) -> int:
        n_tokens = [len(sample.tokens) for sample in chosen]
        weights = [shares[sample.domain] / len(sample.tokens) for sample in chosen]
        try:
            losses = nll(loaded.model, encoded, n_tokens)
            (losses * torch.tensor(weights, dtype=losses.dtype, device=losses.device)).sum().backward()
        except (MemoryError, RuntimeError) as error:
            if len(chosen) == 1 or not is_out_of_memory(error):
                raise
            raise _TooLarge(len(chosen) // 2) from error
        return len(chosen)

    progress = Progress("importance, samples", len(asked))
    with summed(loaded.model, layers) as gradients:
        for n in batched(loaded, asked, batch_size, work):
            progress.advance(n)
    return gradients


@contextmanager
def summed(model: PreTrainedModel, layers: nn.ModuleList) -> Iterator[Gradients]:
    """Sum up the gradients of the layers' weights in float32 while the context lasts; no other weight has one.

    A weight's own `grad` is freed as soon as it is complete. Afterwards the model is as it was.

    Yields: weight -> sum of its gradients in the backward passes so far.
    """
    gradients: Gradients = {}

    def add(weight: nn.Parameter) -> None:
        if weight in gradients:
            gradients[weight] += weight.grad
        else:
            gradients[weight] = weight.grad.float()
        weight.grad = None

    before = {weight: weight.requires_grad for weight in model.parameters()}
    inside = set(layers.parameters())
    handles = []
    try:
        for weight in before:
            weight.requires_grad_(weight in inside)
        handles += [weight.register_post_accumulate_grad_hook(add) for weight in inside]
        with torch.enable_grad():
            yield gradients
    finally:
        for handle in handles:
            handle.remove()
        for weight, required in before.items():
            weight.grad = None
            weight.requires_grad_(required)
