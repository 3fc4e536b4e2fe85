"""Errors that are put into the tested side, to see that the checks notice them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from pruning_regimes.inference import replay
from pruning_regimes.models.decoder import find_decoder
from tests.gpu.sides import Sides


@contextmanager
def scaled(sides: Sides) -> Iterator[None]:
    """One decoder layer's output is a hundredth too large."""
    layers = find_decoder(sides.tested.model).layers
    handle = layers[len(layers) // 2].register_forward_hook(lambda _, given, output: output * 1.01)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def dropped(_: Sides) -> Iterator[None]:
    """A layer that is replayed gives back its input, as if it were not there."""
    whole = replay._replay

    def without(call: Any, *others: Any) -> torch.Tensor:
        whole(call, *others)
        return next(filter(torch.is_tensor, call.given)).clone()

    replay._replay = without
    try:
        yield
    finally:
        replay._replay = whole


# Which checks have to notice it.
FAULTS: Mapping[str, tuple[Callable[[Sides], AbstractContextManager[None]], tuple[str, ...]]] = {
    "a hidden state scaled by 1.01": (scaled, ("similarity", "windows", "losses", "taylor", "evaluation")),
    "a layer dropped from replay": (dropped, ("losses", "evaluation")),
}
