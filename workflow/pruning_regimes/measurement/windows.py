"""How much windows of two and three decoder layers change their input, as INTERLACE (2511.19676) ranks them.

A window is judged by the cosine of each token's states as they enter its first layer and as they enter the layer after
its last one, so that visual features injected in between count. The output of the last layer is in no window.

States are compared while the model runs, so that about four hidden states are in memory at once, where `similarity`
needs none beyond the layer's own. Hence a pass of its own, for studies with a criterion that needs it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pruning_regimes.inference.passes import last_logits
from pruning_regimes.jobs.errors import ModelError
from pruning_regimes.measurement.similarity import (
    by_token,
    damage,
    layer_input,
    magnitudes,
    over_samples,
    refuse_other_runs,
    refuse_overwritten,
    statistics,
)
from pruning_regimes.models.decoder import find_decoder
from pruning_regimes.models.loading import Loaded
from pruning_regimes.tables import frame
from pruning_regimes.tables.contracts import TOKEN_GROUPS

LENGTHS = (2, 3)


def spans(n_layers: int) -> np.ndarray:
    """First layer and length of each window, [W, 2], in the order in which a forward pass completes them."""
    found = [(end - length, length) for end in range(n_layers) for length in LENGTHS if length <= end]
    return np.array(found, dtype=int).reshape(-1, 2)


@dataclass
class Trace:
    """What the hooks keep of one forward pass.

    Attributes:
        norms: of each layer's input at the last token, [B] float32, on the layer's device.
        windows: of each window, in the order of `spans`: norm at its start and at its end, and cosine, [3, B * T]
            float32, on the device of the layer after it.
    """

    norms: list[Tensor] = field(default_factory=list)
    windows: list[Tensor] = field(default_factory=list)


@contextmanager
def watched(layers: nn.ModuleList, groups: Tensor) -> Iterator[Trace]:
    """Trace one forward pass through the layers, holding the inputs of the last three.

    Args:
        groups: [4, B, T] bool, as `similarity.token_groups` gives them.

    Yields: the trace, complete after the pass.

    Raises: ModelError, out of the forward pass, if a layer does not see the prompt's tokens.
    """
    last = groups[-1].flatten().nonzero().squeeze(1)  # [B], places in [B * T]
    trace, held = Trace(), deque[Tensor](maxlen=max(LENGTHS))

    def before(_: nn.Module, positional: tuple, named: dict) -> None:
        y = by_token(layer_input(positional, named), groups.shape[1:], len(trace.norms))
        at_last = y.index_select(0, last.to(y.device))
        trace.norms.append(torch.linalg.vector_norm(at_last, dim=-1, dtype=torch.float32))
        for length in LENGTHS:
            if length <= len(held):
                found = torch.stack(magnitudes(held[-length].to(y.device), y))
                trace.windows.append(torch.cat([found[:2], statistics(found)[:1]]))
        held.append(y)

    with ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(layer.register_forward_pre_hook(before, with_kwargs=True))
        yield trace


class Means(NamedTuple):
    """What one batch comes to, on the host, float32.

    Attributes:
        cosine: [B, W, 4], means over the tokens of each group; NaN where a group is empty.
        counts: [B, 4], tokens of each group.
    """

    cosine: np.ndarray
    counts: np.ndarray


@torch.inference_mode()
def observe(model: PreTrainedModel, layers: nn.ModuleList, encoded: Mapping[str, Tensor], groups: Tensor) -> Means:
    """Run one batch through a model and compare what enters its decoder layers.

    Args:
        layers: the decoder layers, three or more.
        encoded: the model's inputs.
        groups: [4, B, T] bool, as `similarity.token_groups` gives them.

    Raises: ModelError if the hidden state of a token is NaN or infinite where it enters a layer, if it cannot be told
        which token it is, or if a layer overwrites its input.
    """
    name, device, weights = type(model).__name__, groups.device, groups.float()
    with watched(layers, groups) as trace, last_logits(model, 1):
        model(**encoded, use_cache=False)
    refuse_other_runs(name, len(layers), len(trace.norms))
    starts, lengths = spans(len(layers)).T
    found = torch.stack([part.to(device) for part in trace.windows]).view(-1, 3, *groups.shape[1:])  # [W, 3, B, T]
    # Some attention kernels give NaN at padding, which a weight of 0 would not remove.
    start, end, cosine = torch.where(groups[0], found, 0).unbind(1)
    damaged = ~torch.stack([start, end], 1).isfinite().flatten(2).all(-1).cpu().numpy()  # [W, 2]
    if damaged.any():
        layer = np.stack([starts, starts + lengths], 1)[damaged].min()
        raise ModelError(f"{name}: {damage(layer, 'enters')}")
    norms = torch.stack([part.to(device) for part in trace.norms], 1).cpu().numpy()  # [B, L]
    at_last = torch.where(groups[-1], start, 0).sum(-1).T.cpu().numpy()  # [B, W]
    refuse_overwritten(name, starts, norms[:, starts], at_last)
    counts = weights.sum(-1).T  # [B, 4]
    means = torch.einsum("wbt,gbt->bwg", cosine, weights) / counts[:, None]
    return Means(means.cpu().numpy(), counts.cpu().numpy())


def measure(loaded: Loaded, samples: pl.DataFrame, batch_size: int) -> pl.DataFrame:
    """Cosine over every window of two or three decoder layers, over calibration samples.

    Args:
        samples: the calibration table.
        batch_size: samples at a time; halved when memory runs out.

    Returns: the windows table, in the order of the samples; a token group that a sample lacks has no rows, and a model
        of one or two layers has none.

    Raises: DataError as `similarity.over_samples`; ModelError as `observe`.
    """
    layers = find_decoder(loaded.model, loaded.decoder_path).layers
    windows = spans(len(layers))
    if not len(windows):
        return frame("windows", [])
    look = partial(observe, loaded.model, layers)
    means = Means(*over_samples(loaded, samples, batch_size, "Windows, samples", look))
    sample, window, group = (index.ravel() for index in np.indices(means.cosine.shape))
    by_start = np.lexsort(windows.T[::-1])
    rows = pl.DataFrame(
        {
            "sample_id": samples["sample_id"].gather(sample),
            "start": windows[by_start, 0][window],
            "length": windows[by_start, 1][window],
            "token_group": pl.Series(TOKEN_GROUPS).gather(group),
            "cosine": means.cosine[:, by_start].ravel(),
            "n_tokens": means.counts[sample, group],
        }
    )
    return frame("windows", rows.filter(pl.col("n_tokens") > 0))
