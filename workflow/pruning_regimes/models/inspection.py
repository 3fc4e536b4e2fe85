"""What a model is made of, seen without its weights: its decoder, and where its parameters are."""

from __future__ import annotations

from typing import Any, NamedTuple

from transformers import PreTrainedModel

from pruning_regimes.models import decoder
from pruning_regimes.models.identity import identity
from pruning_regimes.models.loading import Source


class Parameters(NamedTuple):
    """How many parameters a model has, and where; a weight that is used in two places counts once.

    Attributes:
        layers: of each decoder layer, in order.
        parts: of what is beside the decoder layers: path of the part in the model -> parameters.
    """

    layers: list[int]
    parts: dict[str, int]


def decoder_row(model: str, source: Source, skeleton: PreTrainedModel) -> dict[str, Any]:
    """A model's row of the decoder table.

    Args:
        model: its key.
        skeleton: the model, without weights or with them.

    Raises: ModelError if its decoder layers cannot be told.
    """
    model_id, revision = identity(source.path, source.revision)
    return {"model": model, "model_id": model_id, "revision": revision} | decoder.inspect(skeleton, source.decoder_path)


def parameters(model: PreTrainedModel, path: str | None = None) -> Parameters:
    """Count the parameters of a model; one without weights is enough.

    Args:
        path: the list of decoder layers, as in `decoder.find_decoder`.

    Raises: ModelError if the decoder layers cannot be told.
    """
    found = decoder.find_decoder(model, path)
    within = f"{found.path}."
    layers, parts = [0] * found.n_layers, dict[str, int]()
    for name, weight in model.named_parameters():
        if name.startswith(within):
            layers[int(name.removeprefix(within).split(".")[0])] += weight.numel()
        else:
            part = _part(name, within)
            parts[part] = parts.get(part, 0) + weight.numel()
    return Parameters(layers, parts)


def _part(name: str, within: str) -> str:
    """The outermost module that holds a weight, but not the decoder layers."""
    steps = name.split(".")
    outer = (".".join(steps[:n]) for n in range(1, len(steps)))
    return next((part for part in outer if not within.startswith(f"{part}.")), name)
