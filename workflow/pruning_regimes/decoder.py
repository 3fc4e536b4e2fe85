"""Find the decoder layers of a vision-language model, and remove some of them for a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from pruning_regimes.errors import ModelError


@dataclass(frozen=True)
class Decoder:
    """The language decoder of a model: the module that owns `layers`, its path, and its config."""

    module: nn.Module
    path: str
    config: PretrainedConfig

    @property
    def layers(self) -> nn.ModuleList:
        """The decoder layers that are there now."""
        return self.module.layers

    @property
    def n_layers(self) -> int:
        """Number of decoder layers that are there now."""
        return len(self.module.layers)


def find_decoder(model: PreTrainedModel) -> Decoder:
    """Find the language decoder of a loaded model.

    Raises: ModelError if the model has no decoder with a list of layers that its config counts.
    """
    decoder = model.get_decoder()
    layers = getattr(decoder, "layers", None)
    config = model.config.get_text_config(decoder=True)
    path = next((name for name, module in model.named_modules() if module is decoder), "")
    if not isinstance(layers, nn.ModuleList):
        lists = [name for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
        raise ModelError(
            f"{type(model).__name__}: no list of decoder layers was found; module lists considered: {', '.join(lists)}."
        )
    if len(layers) != config.num_hidden_layers:
        raise ModelError(
            f"{type(model).__name__}: '{path}.layers' holds {len(layers)} layers, but its config states "
            f"{config.num_hidden_layers} decoder layers."
        )
    return Decoder(decoder, f"{path}.layers", config)


@contextmanager
def pruned(model: PreTrainedModel, removed: Iterable[int]) -> Iterator[PreTrainedModel]:
    """Remove decoder layers while the context lasts; afterwards the model is as it was.

    The layers' slots in the KV cache are renumbered and the per-layer config fields cut along, so that inside the
    context the model is the one that would have been built with the remaining layers.

    Args:
        removed: layer numbers in the original model, 0..L-1.

    Raises: ModelError if a number is not a layer of the model, or none would remain.
    """
    decoder = find_decoder(model)
    everything = decoder.layers
    gone = set(removed)
    unknown = gone - set(range(len(everything)))
    if unknown:
        raise ModelError(f"Layer {min(unknown)} cannot be removed: the decoder has layers 0 to {len(everything) - 1}.")
    kept = [index for index in range(len(everything)) if index not in gone]
    if not kept:
        raise ModelError("All decoder layers would be removed; at least one must remain.")
    config = decoder.config
    fields = {"num_hidden_layers": config.num_hidden_layers}
    if getattr(config, "layer_types", None) is not None:
        fields["layer_types"] = config.layer_types
    numbered = [(module, module.layer_idx) for module in everything.modules() if hasattr(module, "layer_idx")]
    try:
        decoder.module.layers = nn.ModuleList(everything[index] for index in kept)
        config.num_hidden_layers = len(kept)
        if "layer_types" in fields:
            config.layer_types = [fields["layer_types"][index] for index in kept]
        for slot, layer in enumerate(decoder.module.layers):
            for module in layer.modules():
                if hasattr(module, "layer_idx"):
                    module.layer_idx = slot
        yield model
    finally:
        decoder.module.layers = everything
        for name, value in fields.items():
            setattr(config, name, value)
        for module, index in numbered:
            module.layer_idx = index
