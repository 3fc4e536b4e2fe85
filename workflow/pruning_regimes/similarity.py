"""How little each decoder layer changes its input, per sample and token group.

Definition (ShortGPT 2403.03853; INTERLACE 2511.19676; methods of arXiv 2603.20275): the cosine of a decoder layer's
input and output at each token, in float32, averaged over the tokens of a group. Hooks on the layers see the true
input and output; `output_hidden_states` would give the last output after the final norm.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
import torch
from torch import Tensor, nn

from pruning_regimes.decoder import find_decoder
from pruning_regimes.errors import DataError
from pruning_regimes.models import Loaded
from pruning_regimes.prompts import decode, image_token_id, inputs, prompts
from pruning_regimes.tables import TOKEN_GROUPS, frame

METRICS = ("cosine", "relative_update", "angular_distance")


def token_statistics(x: Tensor, y: Tensor) -> Tensor:
    """Per-token statistics of a layer's input x and output y.

    Args:
        x, y: [B, T, D], any floating dtype; computed in float32.

    Returns: [3, B, T] float32: cosine, relative update |y - x| / |x|, angular distance arccos(cosine) / pi, computed as
        2 atan2(|u - v|, |u + v|) / pi of the unit vectors (Kahan), since arccos loses half the digits near 0.
    """
    x, y = x.float(), y.float()
    tiny = torch.finfo(torch.float32).tiny
    norm_x, norm_y = (vector.norm(dim=-1, keepdim=True).clamp_min(tiny) for vector in (x, y))
    u, v = x / norm_x, y / norm_y
    cosine = (u * v).sum(-1).clamp(-1, 1)
    angle = 2 * torch.atan2((u - v).norm(dim=-1), (u + v).norm(dim=-1))
    return torch.stack([cosine, (y - x).norm(dim=-1) / norm_x.squeeze(-1), angle / math.pi])


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


@contextmanager
def watched(layers: nn.ModuleList, groups: Tensor) -> Iterator[list[Tensor]]:
    """Collect each layer's group means during one forward pass; no hidden state outlives its layer.

    Yields: a list that holds, after the pass, one [3, 4, B] float32 tensor per layer (NaN where a group is empty).
    """
    weights = groups.float()  # [4, B, T]
    real = groups.any(0)  # [B, T]
    counts = weights.sum(-1)  # [4, B]
    collected: list[Tensor] = []

    def hook(_: nn.Module, positional: tuple, named: dict, output: Tensor | tuple) -> None:
        x = positional[0] if positional else named["hidden_states"]
        y = output[0] if isinstance(output, tuple) else output
        # Some attention kernels give NaN at padding, which a weight of 0 would not remove.
        statistics = torch.where(real, token_statistics(x, y), 0)
        sums = torch.einsum("mbt,gbt->mgb", statistics, weights)
        collected.append(sums / counts)

    handles = [layer.register_forward_hook(hook, with_kwargs=True) for layer in layers]
    try:
        yield collected
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def measure(loaded: Loaded, samples: pl.DataFrame, batch_size: int) -> pl.DataFrame:
    """Similarity of every decoder layer over calibration samples.

    Args:
        samples: the calibration table.

    Returns: the similarity table; a token group that a sample lacks has no rows.

    Raises: DataError if a sample's image cannot be decoded, or its question holds the model's image token.
    """
    layers = find_decoder(loaded.model, loaded.decoder_path).layers
    tables = []
    for batch in samples.iter_slices(batch_size):
        images = []
        for sample_id, encoded in zip(batch["sample_id"], batch["images"].to_list(), strict=True):
            try:
                images.append(decode(encoded))
            except DataError as error:
                raise DataError(f"Calibration sample '{sample_id}': {error}") from error
        encoded = inputs(loaded, prompts(loaded, batch), images)
        groups = token_groups(encoded["input_ids"], encoded["attention_mask"], image_token_id(loaded.model))
        with watched(layers, groups) as collected:
            loaded.model(**encoded, use_cache=False, logits_to_keep=1)
        values = torch.stack(collected).cpu()  # [L, 3, 4, B]
        counts = groups.sum(-1).cpu()  # [4, B]
        layer, group, sample = (index.flatten() for index in torch.meshgrid(
            *(torch.arange(n) for n in (values.shape[0], *counts.shape)), indexing="ij"
        ))  # fmt: skip
        columns = {name: values[:, i].flatten().numpy() for i, name in enumerate(METRICS)}
        table = pl.DataFrame(
            {
                "sample_id": batch["sample_id"].gather(sample.numpy()),
                "layer": layer.numpy(),
                "token_group": [TOKEN_GROUPS[g] for g in group.tolist()],
                "n_tokens": counts.flatten().repeat(values.shape[0]).numpy(),
                **columns,
            }
        )
        tables.append(frame("similarity", table.filter(pl.col("n_tokens") > 0)))
    return pl.concat(tables)
