"""How little each decoder layer, and each block of them, changes its input, at the price of a forward pass.

Definitions (ShortGPT 2403.03853; INTERLACE 2511.19676; methods of arXiv 2603.20275): a decoder layer's input and output
are compared at each token, in float32, and averaged over the tokens of a group; a block is judged by the angle that the
last token turns from its input to its output (2403.17887). Hooks on the layers see the true input and output;
`output_hidden_states` would give the last output after the final norm, and inputs without injected visual features.

While the model runs, a layer costs four numbers per token, and its input at the last token; no hidden state outlives
its layer. All else is derived from these afterwards, for all layers at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pruning_regimes.inference.batches import batches
from pruning_regimes.inference.passes import check_context, decoded, fitting, last_logits
from pruning_regimes.inference.prompts import image_token_id, inputs, lengths, prompts, shown_images
from pruning_regimes.jobs.errors import ModelError
from pruning_regimes.jobs.progress import Progress
from pruning_regimes.models.decoder import find_decoder
from pruning_regimes.models.loading import Loaded
from pruning_regimes.tables import frame
from pruning_regimes.tables.contracts import TOKEN_GROUPS

METRICS = ("cosine", "relative_update", "angular_distance")
# Values of a hidden state that are compared at a time: they stay in the cache of a CPU core, or keep a GPU busy.
CPU_CHUNK, GPU_CHUNK = 2**17, 2**22
RIGHT_ANGLE = math.sqrt(2)  # the chord of two unit vectors


class Measured(NamedTuple):
    """The tables of one model and domain: `similarity` (each layer) and `blocks` (consecutive layers)."""

    similarity: pl.DataFrame
    blocks: pl.DataFrame


def magnitudes(x: Tensor, y: Tensor) -> list[Tensor]:
    """What the statistics of a layer's input x and output y derive from.

    Args:
        x, y: [N, D], any floating dtype; computed in float32, a chunk of tokens at a time.

    Returns: |x|, |y|, |y - x| and |y - x |y| / |x||, each [N] float32. Differences are taken vector by vector, since
        those of sums of squares cancel.
    """
    step = max(1, (CPU_CHUNK if x.device.type == "cpu" else GPU_CHUNK) // x.shape[1])
    if len(x) <= step:
        return _magnitudes(x, y)
    chunks = [_magnitudes(*pair) for pair in zip(x.split(step), y.split(step), strict=True)]
    return [torch.cat(parts) for parts in zip(*chunks, strict=True)]


def _magnitudes(x: Tensor, y: Tensor) -> list[Tensor]:
    if x.device.type == "cpu":
        x, y = x.float(), y.float()  # elsewhere, the kernels convert as they read
    norm_x, norm_y = (torch.linalg.vector_norm(states, dim=-1, dtype=torch.float32) for states in (x, y))
    # A factor of dtype float32 makes the whole operation one of float32.
    difference = torch.addcmul(y, x, torch.ones_like(norm_x[:1]), value=-1)
    update = torch.linalg.vector_norm(difference, dim=-1)
    torch.addcmul(y, x, (norm_y / norm_x).unsqueeze(-1), value=-1, out=difference)
    return [norm_x, norm_y, update, torch.linalg.vector_norm(difference, dim=-1)]


def statistics(magnitudes: Tensor) -> Tensor:
    """Per-token statistics from the magnitudes of inputs and outputs.

    Args:
        magnitudes: [4, ...] float32, the four that `magnitudes` gives.

    Returns: [3, ...] float32: cosine, relative update |y - x| / |x|, angular distance arccos(cosine) / pi, which comes
        from the chord of the unit vectors, since arccos loses half the digits near 0. A vector of zeros is at a right
        angle to all others, and an update of it counts as 1: some families add an image's features in a later layer
        only. NaN or infinity where x or y has such values.
    """
    norm_x, norm_y, update, turned = magnitudes
    changed = (update > 0) + 0 * update  # 0, 1, or NaN
    chord = torch.where((norm_x == 0) | (norm_y == 0), RIGHT_ANGLE * changed, turned / norm_y)
    relative = torch.where(norm_x == 0, changed, update / norm_x)
    return torch.stack([1 - (chord.square() / 2).clamp_max(2), relative, _angular_distance(chord)])


def block_distances(points: Tensor) -> Tensor:
    """Angular distances of each two of the points that a token passes.

    Args:
        points: [B, P, D] float32.

    Returns: [B, P, P] float32.
    """
    norms = points.norm(dim=-1, keepdim=True)
    directions, zero = points / norms.clamp_min(torch.finfo(torch.float32).tiny), norms == 0
    # Through a product of matrices, the distances would lose half the digits near 0.
    chords = torch.cdist(directions, directions, compute_mode="donot_use_mm_for_euclid_dist")
    return _angular_distance(torch.where(zero != zero.mT, RIGHT_ANGLE, chords))


def token_groups(input_ids: Tensor, attention_mask: Tensor, image_token: int | None) -> Tensor:
    """Which tokens belong to which group, padding to none.

    Args:
        input_ids, attention_mask: [B, T]; padding on either side.

    Returns: [4, B, T] bool, in the order of `TOKEN_GROUPS`: all, image, text, last.
    """
    real = attention_mask.bool()
    image = real & (input_ids == image_token) if image_token is not None else torch.zeros_like(real)
    positions = torch.arange(real.shape[1], device=real.device)
    last_at = torch.where(real, positions, -1).amax(1, keepdim=True)
    return torch.stack([real, image, real & ~image, real & (positions == last_at)])


@dataclass
class Trace:
    """What the hooks keep of one forward pass.

    Attributes:
        magnitudes: of each layer, one after the other: four of [B * T] float32, on the layer's device.
        points: the last token as it enters each layer and as it leaves the last one, [B, D] in the model's dtype.
    """

    magnitudes: list[Tensor] = field(default_factory=list)
    points: list[Tensor] = field(default_factory=list)


@contextmanager
def watched(layers: nn.ModuleList, groups: Tensor) -> Iterator[Trace]:
    """Trace one forward pass through the layers.

    Args:
        groups: [4, B, T] bool, as `token_groups` gives them.

    Yields: the trace, complete after the pass.

    Raises: ModelError, out of the forward pass, if a layer does not see the prompt's tokens.
    """
    shape = groups.shape[1:]
    last = groups[-1].flatten().nonzero().squeeze(1)  # [B], places in [B * T]
    trace = Trace()

    def keep(states: Tensor) -> None:
        trace.points.append(states.index_select(0, last.to(states.device)))

    def before(_: nn.Module, positional: tuple, named: dict) -> None:
        keep(by_token(layer_input(positional, named), shape, len(trace.points)))

    def after(_: nn.Module, positional: tuple, named: dict, output: Tensor | tuple) -> None:
        index = len(trace.points) - 1
        y = by_token(output[0] if isinstance(output, tuple) else output, shape, index)
        trace.magnitudes += magnitudes(by_token(layer_input(positional, named), shape, index), y)
        if index == len(layers) - 1:
            keep(y)

    handles = [layer.register_forward_pre_hook(before, with_kwargs=True) for layer in layers]
    handles += [layer.register_forward_hook(after, with_kwargs=True) for layer in layers]
    try:
        yield trace
    finally:
        for handle in handles:
            handle.remove()


class Means(NamedTuple):
    """What one batch comes to, on the host, float32.

    Attributes:
        statistics: [B, L, 4, 3], means over the tokens of each group; NaN where a group is empty.
        counts: [B, 4], tokens of each group.
        blocks: [B, L + 1, L + 1], angular distances of the last token between the inputs of two layers; at L stands
            the output of the last layer, before the final norm.
    """

    statistics: np.ndarray
    counts: np.ndarray
    blocks: np.ndarray


@torch.inference_mode()
def observe(model: PreTrainedModel, layers: nn.ModuleList, encoded: Mapping[str, Tensor], groups: Tensor) -> Means:
    """Run one batch through a model and compare what enters and leaves its decoder layers.

    Args:
        layers: the decoder layers.
        encoded: the model's inputs.
        groups: [4, B, T] bool, as `token_groups` gives them.

    Raises: ModelError if the hidden state of a token becomes NaN or infinite, if it cannot be told which token it
        is, or if a layer overwrites its input.
    """
    name, device, weights = type(model).__name__, groups.device, groups.float()
    with watched(layers, groups) as trace, last_logits(model, 1):
        model(**encoded, use_cache=False)
    n_run = len(trace.magnitudes) // 4
    refuse_other_runs(name, len(layers), n_run)
    found = torch.stack([part.to(device) for part in trace.magnitudes])
    found = found.view(n_run, 4, *groups.shape[1:]).transpose(0, 1)  # [4, L, B, T]
    points = torch.stack([point.to(device) for point in trace.points], 1).float()  # [B, L + 1, D]
    # Some attention kernels give NaN at padding, which a weight of 0 would not remove.
    values = torch.where(groups[0], statistics(found), 0)
    counts = weights.sum(-1)  # [4, B]
    means = torch.einsum("mlbt,gbt->blgm", values, weights) / counts.T[:, None, :, None]
    norms = torch.where(groups[-1], found[0], 0).sum(-1).T, points[:, :-1].norm(dim=-1)  # [B, L] after and before
    parts = (means, counts.T, block_distances(points), *norms)
    host = torch.cat([part.flatten() for part in parts]).cpu().split([part.numel() for part in parts])
    *measured, after, before = (part.view(whole.shape).numpy() for part, whole in zip(host, parts, strict=True))
    if not np.isfinite(measured[0][:, :, 0]).all():
        raise ModelError(f"{name}: {_damage(found, groups[0])}")
    refuse_overwritten(name, np.arange(n_run), before, after)
    return Means(*measured)


def measure(loaded: Loaded, samples: pl.DataFrame, batch_size: int) -> Measured:
    """Similarity of every decoder layer, and of every block of them, over calibration samples.

    Args:
        samples: the calibration table.
        batch_size: samples at a time; halved when memory runs out.

    Returns: the tables, in the order of the samples; a token group that a sample lacks has no rows.

    Raises: DataError if a sample's image cannot be decoded, its question holds the model's image token, or it does not
        fit into memory by itself; ModelError as `observe`.
    """
    layers = find_decoder(loaded.model, loaded.decoder_path).layers
    observed = over_samples(loaded, samples, batch_size, "Similarity, samples", partial(observe, loaded.model, layers))
    return _tables(samples["sample_id"], Means(*observed))


def over_samples(
    loaded: Loaded,
    samples: pl.DataFrame,
    batch_size: int,
    title: str,
    look: Callable[[Mapping[str, Tensor], Tensor], tuple[np.ndarray, ...]],
) -> list[np.ndarray]:
    """Look at calibration samples in batches of about equal lengths.

    Args:
        samples: the calibration table.
        batch_size: samples at a time; halved when memory runs out.
        title: what the log calls the work.
        look: takes the model's inputs of a batch and its token groups, [4, B, T] bool; gives arrays of B rows.

    Returns: the arrays that `look` gives, with a row for each sample, in the order of the samples.

    Raises: DataError if a sample's image cannot be decoded, its question holds the model's image token, or it does not
        fit into memory by itself.
    """
    names, encoded = samples["sample_id"], shown_images(samples)
    texts, image_token = prompts(loaded, samples), image_token_id(loaded.model)

    def work(positions: list[int]) -> tuple[np.ndarray, ...]:
        chosen = [names[position] for position in positions]
        images = decoded(chosen, [encoded[position] for position in positions])
        batch = inputs(loaded, [texts[position] for position in positions], images)
        check_context(loaded.model, chosen, batch["attention_mask"])
        groups = token_groups(batch["input_ids"], batch["attention_mask"], image_token)
        with fitting(chosen):
            return look(batch, groups)

    progress, order, parts = Progress(title, len(samples)), [], []
    for positions, part in batches(lengths(loaded, texts, encoded), batch_size, work):
        order += positions
        parts.append(part)
        progress.advance(len(positions))
    back = np.argsort(order)
    return [np.concatenate(part)[back] for part in zip(*parts, strict=True)]


def _tables(names: pl.Series, means: Means) -> Measured:
    sample, layer, group = (index.ravel() for index in np.indices(means.statistics.shape[:3]))
    similarity = pl.DataFrame(
        {
            "sample_id": names.gather(sample),
            "layer": layer,
            "token_group": pl.Series(TOKEN_GROUPS).gather(group),
            "n_tokens": means.counts[sample, group],
            **{name: means.statistics[..., i].ravel() for i, name in enumerate(METRICS)},
        }
    ).filter(pl.col("n_tokens") > 0)
    starts, ends = np.triu_indices(means.blocks.shape[1], k=1)
    blocks = {
        "sample_id": names.gather(np.repeat(np.arange(len(names)), len(starts))),
        "start": np.tile(starts, len(names)),
        "length": np.tile(ends - starts, len(names)),
        "angular_distance": means.blocks[:, starts, ends].ravel(),
    }
    return Measured(frame("similarity", similarity), frame("blocks", pl.DataFrame(blocks)))


def _angular_distance(chord: Tensor) -> Tensor:
    """Angle between two unit vectors in units of pi, from their distance; exact to 1e-6 but next to opposite ones."""
    return torch.asin((chord / 2).clamp_max(1)) * (2 / math.pi)


def layer_input(positional: tuple, named: dict) -> Tensor:
    """The hidden states among the arguments of a decoder layer."""
    return positional[0] if positional else named["hidden_states"]


def by_token(states: Tensor, shape: torch.Size, layer: int) -> Tensor:
    """Hidden states as [B * T, D], where D is the width of all parallel streams together if a layer has several.

    Raises: ModelError if the tokens are not those of the prompt.
    """
    if states.shape[:2] == shape:
        return states.reshape(shape.numel(), -1)
    if states.dim() == 4 and states.shape[1:3] == shape:
        return states.movedim(0, 2).reshape(shape.numel(), -1)
    raise ModelError(
        f"Decoder layer {layer} has hidden states of shape {tuple(states.shape)}, where the prompts have "
        f"{shape[0]} x {shape[1]} tokens; it cannot be told which of them are which."
    )


def refuse_other_runs(name: str, n_layers: int, n_run: int) -> None:
    """Raises: ModelError if more or fewer layers ran than the model has."""
    if n_run != n_layers:
        raise ModelError(f"{name} has {n_layers} decoder layers, but ran {n_run}; each must run once.")


def refuse_overwritten(name: str, layers: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
    """Compare the lengths of layers' inputs when they enter and when they are used afterwards.

    Args:
        layers: [N], which layer each column is about.
        before, after: [B, N].

    Raises: ModelError if they differ.
    """
    kept = np.isclose(after, before, rtol=1e-4).all(0)
    if not kept.all():
        raise ModelError(
            f"{name}: decoder layer {layers[~kept].min()} overwrites its input, which is needed afterwards."
        )


def damage(layer: int, way: str) -> str:
    """What is wrong when a token is NaN or infinite as it "enters" or "leaves" a layer."""
    return (
        f"a token is NaN or infinite when it {way} decoder layer {layer}; the weights up to there are damaged, or "
        "their dtype cannot hold what they compute."
    )


def _damage(magnitudes: Tensor, real: Tensor) -> str:
    """What is wrong with the first layer that has NaN or infinity at a token; magnitudes [4, L, B, T], real [B, T]."""
    enters, leaves = (magnitudes[:2].isfinite() | ~real).flatten(2).all(-1).tolist()  # [2, L]
    layer = next(i for i, both in enumerate(zip(enters, leaves, strict=True)) if not all(both))
    return damage(layer, "leaves" if enters[layer] else "enters")
