"""The two sides of a comparison: a model on the CPU in float32, and the same one on the device under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TypeVar

import torch
from transformers import PreTrainedModel

from pruning_regimes.inference import prompts
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import Removal, find_decoder, inspect
from pruning_regimes.models.loading import Loaded
from tests.gpu.data import questions
from tests.helpers import ROOT
from tests.helpers.families import Tensors

T = TypeVar("T")
DEMO = ("demo-llava", "demo-idefics3")
RESOURCES = ROOT / "workflow" / "resources"


def load(name: str, dtype: str, device: torch.device, gpus: int | None = None) -> Loaded:
    """A demo model on a device.

    Args:
        gpus: as in a model's config entry. If None, 1 on a GPU, where accelerate is there to place weights, as a study
            does; without it, the model is loaded on the CPU and moved.
    """
    if gpus is None:
        gpus = int(device.type == "cuda" and find_spec("accelerate") is not None)
    entry = {"path": str(RESOURCES / name), "revision": "main", "dtype": dtype, "gpus": gpus}
    loaded = loading.load(entry)
    if not gpus:
        loaded.model.to(device)
    return loaded


@dataclass(frozen=True)
class Sides:
    """A demo model on both sides.

    Attributes:
        name: of the model.
        dtype: of the tested side.
        reference: on the CPU, float32.
        tested: on the device.
        known: what the reference came to, measured once and shared by all dtypes.
    """

    name: str
    dtype: str
    reference: Loaded
    tested: Loaded
    known: dict[Callable[[Loaded], object], object] = field(default_factory=dict)

    def both(self, measure: Callable[[Loaded], T]) -> tuple[T, T]:
        """What a measurement of the reference and of the tested side comes to."""
        if measure not in self.known:
            self.known[measure] = measure(self.reference)
        return self.known[measure], measure(self.tested)


def free_layers(model: PreTrainedModel) -> list[int]:
    """Layers that may be removed."""
    found = inspect(model)
    return [layer for layer in range(found["n_layers"]) if layer not in found["protected"]]


def layer_sets(model: PreTrainedModel) -> list[list[int]]:
    """Sets of layers to remove that share paths of several lengths: nothing, a middle one, the last, some of both."""
    free = free_layers(model)
    half = len(free) // 2
    return [[], [free[half]], [free[-1]], free[half : half + 2], free[-2:]]


def removals(model: PreTrainedModel) -> list[Removal]:
    """Their removals."""
    return [Removal(model, removed) for removed in layer_sets(model)]


def batch(loaded: Loaded) -> Tensors:
    """The questions as one padded batch."""
    table = questions()
    images = [prompts.decode(encoded) for encoded in table["images"].to_list()]
    return dict(prompts.inputs(loaded, prompts.prompts(loaded, table), images))


def devices_of_layers(model: PreTrainedModel) -> Sequence[torch.device]:
    """The devices that hold decoder layers, each once."""
    return list({weight.device for weight in find_decoder(model).layers.parameters()})
