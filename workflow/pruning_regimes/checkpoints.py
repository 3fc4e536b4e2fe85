"""Write a pruned model as a directory that transformers and vLLM load like any other, weight by weight.

The model is never in memory: the weights of its kept layers go from the files of the original to those of the copy, at
most one file of them at a time. They keep the names that they have in the original, but for the layers' numbers.
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

from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, PreTrainedModel

from pruning_regimes import hub
from pruning_regimes.decoder import ENCODERS, find_decoder, pruned
from pruning_regimes.errors import ModelError
from pruning_regimes.layer_config import cut, text_config
from pruning_regimes.models import Source

FILE_BYTES = 5 * 10**9


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
        source: the model; its weights are not source.
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
    n_layers, before = decoder.n_layers, _n_parameters(model)
    # Refuses what would not be exact.
    with pruned(model, removed, source.decoder_path):
        after = _n_parameters(model)
    kept = [layer for layer in range(n_layers) if layer not in set(removed)]
    places = hub.weight_places(source.path, source.revision)
    rename = _renaming(layer_prefix(places, decoder.path, n_layers), kept, n_layers)
    for pattern in (*hub.DESCRIPTION, *(hub.CODE if source.trusted else ())):
        for file in source.directory.glob(pattern):
            if file.name not in ("config.json", "README.md") and not file.name.endswith(".index.json"):
                shutil.copy(file, target / file.name)
    _write_config(source, kept, target)
    _write_weights(source, {name: file for name, file in places.items() if rename(name)}, rename, target, file_bytes)
    return Written(after, before, rename)


def _n_parameters(model: PreTrainedModel) -> int:
    return sum(weight.numel() for weight in model.parameters())


def layer_prefix(names: Collection[str], decoder_path: str, n_layers: int) -> str:
    """What stands before the layer's number in the names of a checkpoint's decoder weights.

    A checkpoint may be older than the module names of today's transformers (`model.layers` of Qwen2-VL is now
    `model.language_model.layers`): it is the outermost list outside the encoders that has all layers.

    Raises: ModelError if there is not exactly one such list.
    """
    numbers: dict[str, set[int]] = {}
    for name in names:
        parts = name.split(".")
        for place, part in enumerate(parts):
            if part.isdigit():
                numbers.setdefault(".".join(parts[:place]), set()).add(int(part))
                break
    complete = {prefix for prefix, found in numbers.items() if found >= set(range(n_layers))}
    if decoder_path in complete:
        return decoder_path
    outside = [prefix for prefix in sorted(complete) if not ENCODERS.search(prefix)]
    if len(outside) != 1:
        raise ModelError(
            f"The decoder layers '{decoder_path}' cannot be told by the names of the weights: "
            f"{', '.join(outside) or 'no list'} of them could be its {n_layers} layers."
        )
    return outside[0]


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
    again = AutoConfig.from_pretrained(target, trust_remote_code=source.trusted)
    if _meaning(again.to_dict()) != _meaning(smaller.to_dict()):
        # The original's form has no place for a field that the cut needs.
        smaller.save_pretrained(target)


def _meaning(fields: dict[str, Any]) -> Any:
    # Through JSON, which has no tuples and no numbers as keys.
    return json.loads(json.dumps({name: value for name, value in fields.items() if name != "_name_or_path"}))


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
