"""Write a pruned model as a directory that transformers and vLLM load like any other, weight by weight.

The model is not in memory: the weights of its kept layers go from the files of the original to those of the copy, at
most one file of them at a time, under the names that they have in the original, but for the layers' numbers. Only
models with weights of their layers elsewhere (Gemma 3n and 4, Inkling 2) are loaded, pruned and saved.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, PreTrainedModel

from pruning_regimes.jobs.errors import ModelError
from pruning_regimes.models import hub
from pruning_regimes.models.decoder import ENCODERS, Removal, find_decoder, pruned
from pruning_regimes.models.layer_config import cut, text_config
from pruning_regimes.models.loading import LOADING_ERRORS, Source

FILE_BYTES = 5 * 10**9
# What speaks of all layers, or of how the original was made.
NOT_COPIED = {"config.json", "README.md", "params.json", "adapter_config.json", "trainer_state.json"}


@dataclass(frozen=True)
class Written:
    """What an export wrote.

    Attributes:
        n_parameters, n_parameters_before: parameters of the copy and of the original.
        rename: name of a weight of the original -> its name in the copy, None for a removed one.
    """

    n_parameters: int
    n_parameters_before: int
    rename: Callable[[str], str | None]


def write(source: Source, removed: Collection[int], target: Path, file_bytes: int = FILE_BYTES) -> Written:
    """Write the config, processor and weights of a model without some decoder layers.

    Args:
        source: the model; its weights are not loaded, but for the exceptions above.
        removed: layer numbers in the original model.
        target: an empty directory.
        file_bytes: largest size of a file of weights, unless one weight alone is larger.

    Raises: ModelError if the layers cannot be removed, the weights cannot be read, or a layer's weights cannot be told
        by their names.
    """
    if getattr(source.config, "quantization_config", None):
        raise ModelError(
            f"Model '{source.path}' is quantized; an export needs the weights before quantization. Export those, and "
            "quantize the copy."
        )
    model = source.skeleton()
    decoder = find_decoder(model, source.decoder_path)
    n_layers, before, outside = decoder.n_layers, _n_parameters(model), _outside(model, decoder.path)
    parts = [name for name, _ in decoder.layers[0].named_parameters()]
    removal = Removal(model, removed, source.decoder_path)
    with removal.applied():
        after, cut_too = _n_parameters(model), _outside(model, decoder.path) != outside
    places = hub.weight_places(source.path, source.revision)
    prefix = layer_prefix(places, decoder.path, n_layers, parts)
    rename = _renaming(prefix, removal.kept, n_layers)
    # Weights of the layers that the checkpoint keeps in a list of their own.
    cut_too |= any(
        not ENCODERS.search(other) and other != prefix and len(layers) >= n_layers
        for other, layers in _lists(places).items()
    )
    for pattern in (*hub.DESCRIPTION, *(hub.CODE if source.trusted else ())):
        for file in source.directory.glob(pattern):
            if file.is_file() and file.name not in NOT_COPIED and not file.name.endswith(".index.json"):
                shutil.copy(file, target / file.name)
    _write_config(source, removal.kept, target)
    source.check_files(weights=True)
    if cut_too:
        hub.with_weights(source.path, source.revision, set(places.values()))
        _write_from_memory(source, removed, target, file_bytes)
    else:
        wanted = {name: file for name, file in places.items() if rename(name)}
        _write_weights(source, wanted, rename, target, file_bytes)
    return Written(after, before, rename)


def _n_parameters(model: PreTrainedModel) -> int:
    return sum(weight.numel() for weight in model.parameters())


def _outside(model: PreTrainedModel, path: str) -> dict[str, torch.Size]:
    """Shapes of the weights outside the decoder layers."""
    return {name: weight.shape for name, weight in model.named_parameters() if not name.startswith(f"{path}.")}


def layer_prefix(names: Collection[str], decoder_path: str, n_layers: int, parts: Collection[str]) -> str:
    """What stands before the layer's number in the names of a checkpoint's decoder weights.

    A checkpoint may be older than the module names of today's transformers (`model.layers` of Qwen2-VL is now
    `model.language_model.layers`): it is the outermost list that has all layers and, of several, the one whose layers
    have the most weights of a decoder layer; encoders come after others.

    Args:
        names: the checkpoint's weights.
        decoder_path: the list of decoder layers in the model.
        parts: names of a decoder layer's weights within the layer.

    Raises: ModelError if there is no such list, or two that are as good.
    """
    complete = {
        prefix: (prefix == decoder_path, len(layers[0] & set(parts)), not ENCODERS.search(prefix))
        for prefix, layers in sorted(_lists(names).items())
        if layers.keys() >= set(range(n_layers))
    }
    best = [prefix for prefix, rank in complete.items() if rank == max(complete.values())]
    if len(best) != 1:
        raise ModelError(
            f"The decoder layers '{decoder_path}' cannot be told by the names of the weights: "
            f"{', '.join(best) or 'no list'} of them could be its {n_layers} layers."
        )
    return best[0]


def _lists(names: Collection[str]) -> dict[str, dict[int, set[str]]]:
    """Lists of modules that the names of weights tell of: path -> number -> the weights within."""
    lists: dict[str, dict[int, set[str]]] = {}
    for name in names:
        steps = name.split(".")
        place = next((place for place, step in enumerate(steps) if step.isdigit()), None)
        if place is not None:
            modules = lists.setdefault(".".join(steps[:place]), {})
            modules.setdefault(int(steps[place]), set()).add(".".join(steps[place + 1 :]))
    return lists


def _renaming(prefix: str, kept: Sequence[int], n_layers: int) -> Callable[[str], str | None]:
    slots = {layer: slot for slot, layer in enumerate(kept)}
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.(.*)", re.S)

    def rename(name: str) -> str | None:
        found = pattern.fullmatch(name)
        if found is None:
            return name
        layer = int(found[1])
        # Blocks after the decoder's (for the prediction of several tokens) follow it in the copy as well.
        slot = slots.get(layer) if layer < n_layers else layer - n_layers + len(kept)
        return None if slot is None else f"{prefix}.{slot}.{found[2]}"

    return rename


def _write_config(source: Source, kept: Sequence[int], target: Path) -> None:
    """The original config.json with the fields that the cut changes, so that whatever reads the original reads it."""
    smaller = cut(source.config, kept)
    stated: dict[str, Any] = json.loads((source.directory / "config.json").read_text())
    part = stated
    for name in ("text_config", "llm_config"):
        part = part[name] if isinstance(part.get(name), dict) else part
    for of, old, new in (
        (stated, source.config.to_dict(), smaller.to_dict()),
        (part, text_config(source.config).to_dict(), text_config(smaller).to_dict()),
    ):
        nested = {name for name, value in new.items() if isinstance(value, dict) and name.endswith("_config")}
        of.update({name: value for name, value in new.items() if name not in nested and old.get(name) != value})
    (target / "config.json").write_text(json.dumps(stated, indent=2) + "\n")
    try:
        again = AutoConfig.from_pretrained(target, trust_remote_code=source.trusted)
        same = _meaning(again.to_dict()) == _meaning(smaller.to_dict())
    except LOADING_ERRORS:
        same = False
    if not same:
        # The original's form has no place for a field that the cut needs, or another one.
        smaller.save_pretrained(target)


def _meaning(fields: dict[str, Any]) -> Any:
    # Through JSON, which has no tuples and no numbers as keys.
    return json.loads(json.dumps({name: value for name, value in fields.items() if name != "_name_or_path"}))


def _write_from_memory(source: Source, removed: Collection[int], target: Path, file_bytes: int) -> None:
    """For models with weights outside the layers that go with them; all files are there."""
    try:
        model = source.auto_class.from_pretrained(
            source.directory, dtype="auto", use_safetensors=True, trust_remote_code=source.trusted
        )
    except LOADING_ERRORS as error:
        raise source.unloadable(error) from error
    with pruned(model, removed, source.decoder_path):
        model.save_pretrained(target, max_shard_size=file_bytes)


def _write_weights(
    source: Source, places: Mapping[str, str], rename: Callable[[str], str | None], target: Path, file_bytes: int
) -> None:
    directory = hub.with_weights(source.path, source.revision, set(places.values()))
    parts: list[list[str]] = [[]]
    filled, total = 0, 0
    for file in sorted(set(places.values())):
        with safe_open(directory / file, "pt") as stored:
            for name in sorted(name for name, holder in places.items() if holder == file):
                # Mapped, not read: only the size is looked at.
                size = stored.get_tensor(name).nbytes
                if parts[-1] and filled + size > file_bytes:
                    parts.append([])
                    filled = 0
                parts[-1].append(name)
                filled += size
                total += size
    written = {}
    for number, part in enumerate(parts, start=1):
        file = hub.WEIGHTS if len(parts) == 1 else f"model-{number:05d}-of-{len(parts):05d}.safetensors"
        with ExitStack() as stack:
            held = {places[name] for name in part}
            files = {holder: stack.enter_context(safe_open(directory / holder, "pt")) for holder in held}
            tensors = {rename(name): files[places[name]].get_tensor(name) for name in part}
            save_file(tensors, target / file, metadata={"format": "pt"})
        shutil.copymode(target / "config.json", target / file)  # not for its owner only
        written |= dict.fromkeys(tensors, file)
        del tensors
    if len(parts) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(written.items()))}
        (target / hub.INDEX).write_text(json.dumps(index, indent=2) + "\n")
