"""Which variants of a model cost the same, so that one of them is measured for all.

What a decoder layer costs is a matter of what it is made of, not of where it stands or of its weights' values: variants
that are left with as many layers of each kind take the same time and memory. In most models all layers are of one
kind, and the depth decides.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from torch import nn
from transformers import PreTrainedModel

from pruning_regimes.models.decoder import SIMPLE, find_decoder
from pruning_regimes.models.layer_config import PER_LAYER


def cost_classes(model: PreTrainedModel, variants: pl.DataFrame, path: str | None = None) -> pl.DataFrame:
    """The distinct variants of a model with their cost class.

    Args:
        model: with all its layers.
        variants: the variants table.
        path: where the decoder layers are, as in `decoder.find_decoder`.

    Returns: a row per variant_id with n_removed, removed and cost_class; classes are numbered from 0 as they first
        occur, so that 0 is that of the dense model.
    """
    distinct = variants.unique("variant_id", keep="first", maintain_order=True)
    kinds = layer_kinds(model, path)
    classes: dict[frozenset[tuple[int, int]], int] = {}
    found = []
    for kept in distinct["kept"]:
        counts = Counter(kinds[layer] for layer in kept)
        found.append(classes.setdefault(frozenset(counts.items()), len(classes)))
    return distinct.select("variant_id", "n_removed", "removed", cost_class=pl.Series(found, dtype=pl.Int32))


def layer_kinds(model: PreTrainedModel, path: str | None = None) -> list[int]:
    """The kind of each decoder layer: 0 for that of the first layer, 1 for the next that differs, and so on.

    Layers are of one kind if their modules have the same classes, shapes and dtypes of weights and buffers, and the
    same simple attributes (such as the width of a window), and if the config's lists with an entry per layer (such as
    `layer_types`) say the same of them. Attributes that number the layers do not count.
    """
    decoder = find_decoder(model, path)
    config = decoder.config.to_dict()
    lists = {name: value for name, value in config.items() if _is_per_layer(name, value, decoder.n_layers)}
    described = [
        _modules(layer) | {f"config.{name}": values[number] for name, values in lists.items()}
        for number, layer in enumerate(decoder.layers)
    ]
    numbers = _numbers(described)
    texts = [
        json.dumps({name: value for name, value in one.items() if name not in numbers}, sort_keys=True, default=str)
        for one in described
    ]
    order = {text: kind for kind, text in enumerate(dict.fromkeys(texts))}
    return [order[text] for text in texts]


def _modules(layer: nn.Module) -> dict[str, Any]:
    """What a layer is made of, by the name of the module and of what is within it."""
    found: dict[str, Any] = {}
    for name, module in layer.named_modules():
        found[f"{name}:"] = f"{type(module).__module__}.{type(module).__qualname__}"
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        found |= {f"{name}:{own}": (list(tensor.shape), str(tensor.dtype)) for own, tensor in tensors}
        found |= {
            f"{name}.{own}": value
            for own, value in vars(module).items()
            if not own.startswith("_") and own != "training" and isinstance(value, SIMPLE)
        }
    return found


def _is_per_layer(name: str, value: Any, n_layers: int) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == n_layers and name.endswith(PER_LAYER)


def _numbers(described: Sequence[Mapping[str, Any]]) -> set[str]:
    """The names of what goes up by one from each layer to the next."""
    offsets: dict[str, set[Any]] = {}
    for layer, one in enumerate(described):
        for name, value in one.items():
            is_number = isinstance(value, int) and not isinstance(value, bool)
            offsets.setdefault(name, set()).add(value - layer if is_number else None)
    return {name for name, found in offsets.items() if len(found) == 1 and None not in found}
