"""What variants of a model generate: in a batch that all share, and each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pruning_regimes.inference.replay import Replay, depth_first
from pruning_regimes.models.decoder import Removal
from tests.helpers.families import Tensors


def generated(model: PreTrainedModel, inputs: Tensors) -> tuple[Tensor, Tensor]:
    """Greedy tokens and the logits of every step."""
    found = model.generate(
        **inputs, output_logits=True, return_dict_in_generate=True, max_new_tokens=4, do_sample=False
    )
    return found.sequences, torch.stack(found.logits)


def together(model: PreTrainedModel, removals: Sequence[Removal], inputs: Tensors, replay: Replay) -> list:
    """What each variant generates in a batch that all share."""
    found = {}
    order = depth_first([removal.kept for removal in removals])
    with replay.batch():
        for position, following in pairwise([*order, None]):
            replay.variant(removals[position], None if following is None else removals[following])
            with removals[position].applied():
                found[position] = generated(model, inputs)
    return [found[position] for position in range(len(removals))]


def alone(model: PreTrainedModel, removals: Sequence[Removal], inputs: Tensors) -> list:
    """What each variant generates by itself."""
    found = []
    for removal in removals:
        with removal.applied():
            found.append(generated(model, inputs))
    return found


def equal(a: list, b: list) -> bool:
    """Bit for bit."""
    return all(torch.equal(one, other) for pair, others in zip(a, b, strict=True) for one, other in zip(pair, others))  # noqa: B905
