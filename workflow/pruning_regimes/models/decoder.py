"""Find the decoder layers of a vision-language model, and remove some of them for a while, exactly.

Exactly: while layers are removed, the model is the one that transformers would build from the config without them. This
is checked against such a model, built without weights, for whatever family it is; nothing here knows families by name.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from pruning_regimes.jobs.errors import ModelError
from pruning_regimes.models.layer_config import cut, dependencies, text_config

ENCODERS = re.compile(r"vision|visual|image|audio|encoder|qformer|tower|resampler|merger|perceiver")
SIMPLE = (bool, int, float, str, type(None))
# Whether a layer leaves something to later ones; it may stop if they are gone, which does not change what it computes.
LEAVES = {"store_full_length_kv", "next_skip_topk"}


@dataclass(frozen=True)
class Decoder:
    """The language decoder of a model.

    Attributes:
        owner: the module that owns the list of decoder layers.
        name: the list's name in its owner.
        path: the list's path in the model.
        config: the config that describes the decoder.
    """

    owner: nn.Module
    name: str
    path: str
    config: PretrainedConfig

    @property
    def layers(self) -> nn.ModuleList:
        """The decoder layers that are there now."""
        return getattr(self.owner, self.name)

    @property
    def n_layers(self) -> int:
        """Number of decoder layers that are there now."""
        return len(self.layers)

    def __str__(self) -> str:
        """What was found, in one line."""
        kinds = " and ".join(sorted({type(layer).__name__ for layer in self.layers}))
        return f"{self.path}: {self.n_layers} x {kinds}, hidden size {self.config.hidden_size}"


def find_decoder(model: PreTrainedModel, path: str | None = None) -> Decoder:
    """Find the language decoder of a loaded model.

    Args:
        path: the list of decoder layers in the model, such as `model.language_model.layers`; found if not given.

    Raises: ModelError that names the module lists considered, if there is not exactly one that can be it.
    """
    config = text_config(model.config)
    lists = {name: module for name, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    listed = ", ".join(f"{name} ({len(module)})" for name, module in lists.items() if not name.split(".")[-1].isdigit())
    if path is not None:
        if path not in lists:
            raise ModelError(
                f"{type(model).__name__}: models.<key>.decoder_path '{path}' is no list of modules; there are {listed}."
            )
        found = path
    else:
        if model.config.is_encoder_decoder or config.is_encoder_decoder:
            raise ModelError(f"{type(model).__name__} is an encoder-decoder; only decoder-only models can be pruned.")
        n_layers = getattr(config, "num_hidden_layers", None)
        candidates = [name for name, module in lists.items() if len(module) == n_layers and not ENCODERS.search(name)]
        if len(candidates) != 1:
            raise ModelError(
                f"{type(model).__name__}: {len(candidates) or 'no'} module lists have the {n_layers} layers that the "
                f"config states; considered were {listed or 'none'}; name the list of decoder layers in "
                "models.<key>.decoder_path."
            )
        found = candidates[0]
    parent, _, name = found.rpartition(".")
    owner = model.get_submodule(parent)
    return Decoder(owner, name, found, getattr(owner, "config", config))


class Removal:
    """How to remove some decoder layers of a model, found once and applied as often as wanted.

    Attributes:
        kept: numbers of the layers that remain, ascending.
        settings: kept layer -> what is set within it, such as its number in the cache: (attribute, value).
        beside: what changes in the model's own config, the configs of its parts left out.
    """

    def __init__(self, model: PreTrainedModel, removed: Iterable[int], path: str | None = None) -> None:
        """Find what has to change.

        Args:
            removed: layer numbers in the original model, 0..L-1.
            path: as in `find_decoder`.

        Raises: ModelError if a number is not a layer of the model, none would remain, or the result would not be such a
            model (for example if a layer that others take keys and values from would go).
        """
        self._model, self._decoder, gone = model, find_decoder(model, path), sorted(set(removed))
        self.kept = _kept(self._decoder, gone)
        smaller = cut(model.config, self.kept)
        try:
            self._changes = _changes(self._decoder, self.kept, text_config(smaller))
            self._configs = _pairs(model.config, smaller)
        except _Inexact as error:
            raise ModelError(
                f"{type(model).__name__}: layers {gone} cannot be removed: without them, {error}."
            ) from error
        own = vars(model.config)
        self.beside = {
            name: value
            for name, value in vars(smaller).items()
            if not isinstance(value, PretrainedConfig) and value != own.get(name)
        }
        inside = {module: layer for layer in self.kept for module in self._decoder.layers[layer].modules()}
        self.settings: dict[int, list[tuple[str, Any]]] = {layer: [] for layer in self.kept}
        for module, attribute, value in self._changes:
            if module in inside:
                self.settings[inside[module]].append((attribute, value))

    @contextmanager
    def applied(self) -> Iterator[PreTrainedModel]:
        """Remove the layers while the context lasts; afterwards the model is as it was.

        Inside the context the model has the cut config, the kept layers' numbers (the slots in the KV cache) and
        whatever else depends on a layer's place as a model that was built with the remaining layers only.
        """
        owner, name, everything = self._decoder.owner, self._decoder.name, self._decoder.layers
        before = [(module, attribute, getattr(module, attribute)) for module, attribute, _ in self._changes]
        fields = [(config, dict(vars(config))) for config, _ in self._configs]
        try:
            setattr(owner, name, nn.ModuleList(everything[layer] for layer in self.kept))
            for config, other in self._configs:
                vars(config).clear()
                vars(config).update(vars(other))
            for module, attribute, value in self._changes:
                new = value.of(getattr(module, attribute)) if isinstance(value, _Slices) else value
                setattr(module, attribute, new)
            yield self._model
        finally:
            setattr(owner, name, everything)
            for config, values in fields:
                vars(config).clear()
                vars(config).update(values)
            for module, attribute, value in before:
                setattr(module, attribute, value)


@contextmanager
def pruned(model: PreTrainedModel, removed: Iterable[int], path: str | None = None) -> Iterator[PreTrainedModel]:
    """Remove decoder layers while the context lasts, as `Removal` does.

    Raises: as `Removal`.
    """
    with Removal(model, removed, path).applied():
        yield model


def protected(model: PreTrainedModel, path: str | None = None) -> dict[int, str]:
    """Layers that cannot be removed without breaking the model, with the reason.

    These are the layers that receive visual features or that others depend on (by the config), and those without which
    the rest is not the model that would have been built without them.
    """
    decoder = find_decoder(model, path)
    reasons = dependencies(model.config.to_dict())
    for layer in range(decoder.n_layers):
        if layer in reasons or decoder.n_layers == 1:
            continue
        kept = _kept(decoder, [layer])
        try:
            _changes(decoder, kept, text_config(cut(model.config, kept)))
        except _Inexact as error:
            reasons[layer] = f"without it, {error}"
    return reasons


class _Inexact(Exception):
    """A model without some layers would not be the rest of the model; says why."""


def inspect(model: PreTrainedModel, path: str | None = None) -> dict[str, Any]:
    """What the decoder table says of a model; a model without weights is enough."""
    decoder = find_decoder(model, path)
    logging.info("Found %s", decoder)
    reasons = protected(model, path)
    return {
        "model_class": type(model).__name__,
        "decoder_path": decoder.path,
        "layer_classes": sorted({type(layer).__name__ for layer in decoder.layers}),
        "n_layers": decoder.n_layers,
        "hidden_size": decoder.config.hidden_size,
        "protected": sorted(reasons),
        "reasons": [reasons[layer] for layer in sorted(reasons)],
    }


def _kept(decoder: Decoder, removed: Iterable[int]) -> list[int]:
    gone = set(removed)
    unknown = gone - set(range(decoder.n_layers))
    if unknown:
        raise ModelError(f"Layer {min(unknown)} cannot be removed: the decoder has layers 0 to {decoder.n_layers - 1}.")
    kept = [layer for layer in range(decoder.n_layers) if layer not in gone]
    if not kept:
        raise ModelError("All decoder layers would be removed; at least one must remain.")
    return kept


def _changes(decoder: Decoder, kept: list[int], config: PretrainedConfig) -> list[tuple[nn.Module, str, Any]]:
    """What must be set in the decoder's modules, so that it is the decoder of the cut config.

    Raises: _Inexact if the kept layers are not those of that decoder.
    """
    types = getattr(decoder.config, "layer_types", None)
    if types and any(map(_is_attention, types)) and not any(_is_attention(types[layer]) for layer in kept):
        raise _Inexact("no layer would attend to other tokens")
    # The first layer's cache says how many tokens there were.
    if 0 in (getattr(config, "cross_attention_layers", None) or ()) and kept[0] != 0:
        raise _Inexact("the first layer would attend to images instead of the text")
    built = _built(decoder, config)
    layers = getattr(built, decoder.name)
    slots = {layer: slot for slot, layer in enumerate(kept)}
    changes = []
    for slot, layer in enumerate(kept):
        where = f"layer {layer}"
        for module, other in _side_by_side(decoder.layers[layer], layers[slot], where):
            if _shapes(module) != _shapes(other):
                raise _Inexact(f"{where} would have weights of other shapes ({type(module).__name__})")
            for name, value in _differences(module, other).items():
                old = vars(module)[name]
                # The number of the layer itself, or of another one that it refers to.
                number = isinstance(old, int) and not isinstance(old, bool) and slots.get(old) == value
                if not number and not (name in LEAVES and old is True and value is False):
                    raise _Inexact(f"{where} would have {name}={value} instead of {old}")
                changes.append((module, name, value))
    # What the decoder and its parts outside the layers know of all layers, such as their types.
    pairs = [(decoder.owner, built)]
    for name, module in decoder.owner.named_children():
        if name == decoder.name:
            continue
        if getattr(built, name, None) is None:
            raise _Inexact(f"the decoder would have no {name}")
        pairs += _side_by_side(module, getattr(built, name), name)
    for module, other in pairs:
        values = _differences(module, other) | _slices(module, other, kept, decoder.n_layers)
        changes += [(module, name, value) for name, value in values.items()]
    return changes


def _built(decoder: Decoder, config: PretrainedConfig) -> nn.Module:
    try:
        with torch.device("meta"):
            return type(decoder.owner)(config)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise _Inexact(f"{type(decoder.owner).__name__} cannot be built: {reason}") from error


def _side_by_side(old: nn.Module, new: nn.Module, where: str) -> list[tuple[nn.Module, nn.Module]]:
    """The modules of two trees of the same structure, in pairs.

    Raises: _Inexact if their structures differ.
    """
    others = dict(new.named_modules())
    pairs = []
    for name, module in old.named_modules():
        other = others.pop(name, None)
        if type(other) is not type(module) or _shapes(module).keys() != _shapes(other).keys():
            raise _Inexact(f"{where} would be another one ({name or type(old).__name__})")
        pairs.append((module, other))
    if others:
        raise _Inexact(f"{where} would have a {next(iter(others))} more")
    return pairs


def _differences(old: nn.Module, new: nn.Module) -> dict[str, Any]:
    """The second module's values of the simple attributes in which two modules differ."""
    mine, values = vars(old), vars(new)
    return {
        name: value
        for name, value in values.items()
        if not name.startswith("_")
        and name != "training"
        and _is_simple(value)
        and name in mine
        and _is_simple(mine[name])
        and mine[name] != value
    }


@dataclass(frozen=True)
class _Slices:
    """The kept layers' parts of a weight that holds a part for each layer, one after the other."""

    axis: int
    kept: list[int]
    n_layers: int

    def of(self, weight: nn.Parameter) -> nn.Parameter:
        """The parts; made when they are needed, since such a weight may be the largest of a model."""
        parts = weight.detach().unflatten(self.axis, (self.n_layers, -1))
        chosen = parts.index_select(self.axis, torch.tensor(self.kept, device=weight.device))
        return nn.Parameter(chosen.flatten(self.axis, self.axis + 1), requires_grad=weight.requires_grad)


def _slices(old: nn.Module, new: nn.Module, kept: list[int], n_layers: int) -> dict[str, _Slices]:
    """The weights that hold a part for each layer.

    Raises: _Inexact if a weight's shape differs from that of the second module in another way.
    """
    found = {}
    for name, shape in _shapes(new).items():
        weight = getattr(old, name)
        if weight.shape == shape:
            continue
        sizes = list(zip(weight.shape, shape, strict=False))
        axes = [axis for axis, (size, other) in enumerate(sizes) if size != other]
        size, other = sizes[axes[0]] if axes else (0, 0)
        if len(axes) != 1 or weight.dim() != len(shape) or size % n_layers or other != size // n_layers * len(kept):
            raise _Inexact(f"the weights of {type(old).__name__} would have other shapes")
        found[name] = _Slices(axes[0], kept, n_layers)
    return found


def _is_attention(layer_type: str) -> bool:
    return "attention" in layer_type and "linear" not in layer_type


def _is_simple(value: Any) -> bool:
    if isinstance(value, (list, tuple, set)):
        return all(_is_simple(item) for item in value)
    if isinstance(value, Mapping):
        return all(_is_simple(item) for item in value.values())
    return isinstance(value, SIMPLE)


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.named_parameters(recurse=False)}


def _pairs(old: PretrainedConfig, new: PretrainedConfig) -> list[tuple[PretrainedConfig, PretrainedConfig]]:
    """The configs that a cut changes, with their counterparts: the decoder's, and the whole model's own fields.

    Raises: _Inexact if the whole model would lose a part that goes with a layer, such as a projector of features.
    """
    text, smaller = text_config(old), text_config(new)
    pairs = [(text, smaller)]
    if text is not old:
        mine = vars(old)
        changed = {name: value for name, value in vars(new).items() if _is_simple(value) and value != mine.get(name)}
        for name, value in changed.items():
            if len(value) != len(mine[name]):
                raise _Inexact(f"the model would have {name}={value} instead of {mine[name]}")
        if changed:
            own = type(old).__new__(type(old))
            vars(own).update(mine | changed)
            pairs.append((old, own))
    return pairs
