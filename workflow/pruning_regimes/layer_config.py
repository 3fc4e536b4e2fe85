"""The config of a model without some of its decoder layers: every field that speaks of layers is cut along.

Which fields these are was read in the configs of transformers' image-text-to-text families. A field that is missing
here is noticed when a model is pruned: `decoder.pruned` compares it with one built from the cut config.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# Lists with the numbers of some layers.
NUMBERS = {"cross_attention_layers", "moe_layers", "mlp_only_layers", "full_attn_idxs"}
# Lists with an entry for each layer, by the end of their names; such lists are told by their length as well.
PER_LAYER = ("_types", "layers", "layer_rope_theta", "layers_block_type")
# Entries that are themselves the number of another layer, or negative for none.
REFERENCES = {"kv_source_layers"}
# The first n layers differ from the others.
FIRST = {"first_k_dense_replace", "max_window_layers"}
# The last n layers differ from the others.
LAST = {"num_kv_shared_layers"}


def text_config(config: PretrainedConfig) -> PretrainedConfig:
    """The part of a model's config that describes the language decoder; the config itself if there are no parts."""
    return config.get_text_config(decoder=True)


def cut(config: PretrainedConfig, kept: Sequence[int]) -> PretrainedConfig:
    """The config of the model that has only the kept decoder layers.

    Args:
        config: config of a whole model; left as it is.
        kept: numbers of the layers to keep, ascending.
    """
    whole = copy.deepcopy(config)
    text = text_config(whole)
    smaller = type(text).from_dict(_cut_fields(text.to_dict(), kept, text))
    for name in ("_attn_implementation_internal", "_experts_implementation_internal", "_name_or_path", "_commit_hash"):
        if name in vars(text):
            setattr(smaller, name, vars(text)[name])
    if text is whole:
        return smaller
    _replace(whole, text, smaller)
    # Granite 4 Vision: pairs of a vision layer and the decoder layer that gets its features.
    injections = getattr(whole, "deepstack_layer_map", None)
    if injections:
        slots = {layer: slot for slot, layer in enumerate(kept)}
        whole.deepstack_layer_map = [[source, slots[layer]] for source, layer in injections if layer in slots]
    return whole


def receivers(stated: Mapping[str, Any]) -> set[int]:
    """Decoder layers to which the model adds visual features, by the numbers in its config.

    Removing one removes its features as well, or moves them to another layer (features of Qwen3-VL's deepstack go to
    the first layers by position), so these layers are protected unless the config of the study says otherwise.

    Args:
        stated: the model's config as a mapping, as in config.json.
    """
    text = stated.get("text_config") or {}
    vision = stated.get("vision_config") or {}
    found = set(text.get("cross_attention_layers") or ())
    found |= {layer for _, layer in stated.get("deepstack_layer_map") or ()}
    deepstack = vision.get("deepstack_visual_indexes") or stated.get("deepstack_visual_indexes") or ()
    return found | set(range(len(deepstack)))


def _cut_fields(fields: dict[str, Any], kept: Sequence[int], config: PretrainedConfig) -> dict[str, Any]:
    depth = config.attribute_map.get("num_hidden_layers", "num_hidden_layers")
    n_layers = config.num_hidden_layers
    slots = {layer: slot for slot, layer in enumerate(kept)}
    rules: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(NUMBERS, lambda numbers: [slots[layer] for layer in numbers if layer in slots]),
        **dict.fromkeys(REFERENCES, lambda numbers: [slots.get(numbers[layer], numbers[layer]) for layer in kept]),
        **dict.fromkeys(FIRST, lambda count: sum(layer < count for layer in kept)),
        **dict.fromkeys(LAST, lambda count: sum(layer >= n_layers - count for layer in kept)),
        "per_layer_config": lambda layers: {
            slots[int(layer)]: values for layer, values in layers.items() if int(layer) in slots
        },
        depth: lambda _: len(kept),
    }
    for name, value in fields.items():
        if value is None:
            continue
        if name in rules:
            fields[name] = rules[name](value)
        elif isinstance(value, (list, tuple)) and len(value) == n_layers and name.endswith(PER_LAYER):
            fields[name] = [value[layer] for layer in kept]
    return fields


def _replace(config: PretrainedConfig, old: PretrainedConfig, new: PretrainedConfig) -> None:
    for name, value in vars(config).items():
        if value is old:
            setattr(config, name, new)
        elif hasattr(value, "get_text_config"):
            _replace(value, old, new)
