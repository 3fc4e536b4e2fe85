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
NUMBERS = {
    "cross_attention_layers", "full_attn_idxs", "mlp_only_layers", "moe_layers", "rope_scaling_layers",
    "spatial_target_layers",
}  # fmt: skip
# The same, but counted from one.
ORDINALS = {"ple_layer_ids"}
# Lists of pairs, of which the second is the number of a layer.
PAIRS = {"deepstack_layer_map"}
# Lists with an entry for each layer, by the end of their names; such lists are told by their length as well.
PER_LAYER = (
    "_types", "layers", "layer_rope_theta", "layers_block_type", "intermediate_size", "activation_sparsity_pattern",
    "swiglu_limits", "swiglu_limits_shared",
)  # fmt: skip
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
    # Where visual features go is not said in the decoder's config, but beside it.
    for name, rule in _numbering(kept).items():
        if getattr(whole, name, None):
            setattr(whole, name, rule(getattr(whole, name)))
    return whole


def dependencies(stated: Mapping[str, Any]) -> dict[int, str]:
    """Decoder layers that others depend on, or that get visual features, by the model's config alone; with the reason.

    Removing one that gets visual features removes the features as well, or moves them to another layer (those of
    Qwen3-VL's deepstack go to the first layers by position). A layer that others take something from leaves them
    without it, or with that of another layer.

    Args:
        stated: the model's config as a mapping, as in config.json.
    """
    text = stated.get("text_config") or stated
    vision = stated.get("vision_config") or {}
    deepstack = vision.get("deepstack_visual_indexes") or stated.get("deepstack_visual_indexes") or ()
    visual = set(range(len(deepstack)))
    crossing = set(text.get("cross_attention_layers") or ())
    visual |= crossing | set(stated.get("spatial_target_layers") or ())
    visual |= {layer for _, layer in stated.get("deepstack_layer_map") or ()}
    reasons = dict.fromkeys(sorted(visual), "receives visual features")
    if crossing:
        reasons.setdefault(0, "counts the tokens in the cache, which a layer that attends to images does not")
    for taken, donors in (("keys and values", _donors(text)), ("an attention index", _indexers(text))):
        for donor, taker in donors.items():
            reasons.setdefault(donor, f"layer {taker} takes {taken} from it")
    return reasons


def receivers(stated: Mapping[str, Any]) -> set[int]:
    """The numbers of the layers with `dependencies`."""
    return set(dependencies(stated))


def _donors(text: Mapping[str, Any]) -> dict[int, int]:
    """Layers that later ones take keys and values from, with the first that does."""
    found: dict[int, int] = {}
    for layer, source in enumerate(text.get("kv_source_layers") or ()):
        if source not in (layer, None) and source >= 0:
            found.setdefault(source, layer)
    types, n_shared = text.get("layer_types") or [], text.get("num_kv_shared_layers") or 0
    first = len(types) - n_shared
    for layer in range(first, len(types)):
        # The last layer with keys and values of its own that attends in the same way.
        sources = [source for source in range(first) if types[source] == types[layer]]
        if sources:
            found.setdefault(sources[-1], layer)
    return found


def _indexers(text: Mapping[str, Any]) -> dict[int, int]:
    """Layers that choose the tokens to attend to for the layers after them as well, with the first of those."""
    found: dict[int, int] = {}
    last = None
    for layer, kind in enumerate(text.get("indexer_types") or ()):
        if kind == "full":
            last = layer
        elif kind == "shared" and last is not None:
            found.setdefault(last, layer)
    return found


def _numbering(kept: Sequence[int]) -> dict[str, Callable[[Any], Any]]:
    """How to renumber the fields that name layers by number."""
    slots = {layer: slot for slot, layer in enumerate(kept)}
    return {
        **dict.fromkeys(NUMBERS, lambda numbers: [slots[layer] for layer in numbers if layer in slots]),
        **dict.fromkeys(ORDINALS, lambda numbers: [slots[layer - 1] + 1 for layer in numbers if layer - 1 in slots]),
        **dict.fromkeys(PAIRS, lambda pairs: [[other, slots[layer]] for other, layer in pairs if layer in slots]),
    }


def _cut_fields(fields: dict[str, Any], kept: Sequence[int], config: PretrainedConfig) -> dict[str, Any]:
    depth = config.attribute_map.get("num_hidden_layers", "num_hidden_layers")
    n_layers = config.num_hidden_layers
    slots = {layer: slot for slot, layer in enumerate(kept)}
    rules: dict[str, Callable[[Any], Any]] = {
        **_numbering(kept),
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
