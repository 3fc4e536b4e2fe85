"""What a model's decoder is, which of its layers must stay, and where its parameters are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pruning_regimes.api import entries
from pruning_regimes.api.text import table


@dataclass(frozen=True, repr=False)
class Inspection:
    """A model, seen without its weights.

    Attributes:
        model_id, revision: hub id and commit; of a directory its name and a hash of its files.
        model_class: its class in transformers.
        takes_images: whether it is a vision-language model.
        decoder_path: where the list of decoder layers is in it.
        n_layers, hidden_size: of the decoder.
        n_parameters: of the whole model.
        layers: a row per decoder layer: layer, class, parameters, share (of n_parameters), and, of a layer that cannot
            be removed, protected: the reason.
        parts: a row per part of the model, the decoder layers together being one: part, parameters, share.
    """

    model_id: str
    revision: str
    model_class: str
    takes_images: bool
    decoder_path: str
    n_layers: int
    hidden_size: int
    n_parameters: int
    layers: pl.DataFrame
    parts: pl.DataFrame

    @property
    def protected(self) -> dict[int, str]:
        """Layers that cannot be removed -> the reason."""
        return dict(self.layers.filter(pl.col("protected").is_not_null()).select("layer", "protected").rows())

    def __repr__(self) -> str:
        """All of it, as text."""
        kept = ", ".join(map(str, self.protected)) or "none"
        return "\n".join(
            [
                f"{self.model_id} (revision {self.revision}): {self.model_class}, {self.n_parameters:,} parameters, "
                f"{'takes images' if self.takes_images else 'text only'}",
                f"Decoder: {self.decoder_path}, {self.n_layers} layers (0 to {self.n_layers - 1}), hidden size "
                f"{self.hidden_size}",
                f"Protected layers: {kept}",
                "",
                table(self.layers),
                "",
                table(self.parts),
            ]
        )


def inspect(
    model: str | Path, *, revision: str | None = None, trust_remote_code: bool = False, decoder_path: str | None = None
) -> Inspection:
    """Look at a model without loading its weights.

    Args:
        model: a directory in transformers' format, or a hub id.
        revision: commit, branch or tag of a hub model; main if not given.
        trust_remote_code: whether the model's own Python code may run; the revision must then be a commit.
        decoder_path: where the list of decoder layers is, if it is not found.

    Raises: ConfigError if there is no such model; ModelError if it cannot be read, or its decoder cannot be told.
    """
    options = {"revision": revision, "trust_remote_code": trust_remote_code, "decoder_path": decoder_path}
    key, entry = entries.model(model, **options)
    from pruning_regimes.models import (  # these load torch, which what is wrong so far need not wait for
        inspection,
        loading,
    )
    from pruning_regimes.models.decoder import find_decoder

    source = loading.Source(entry)
    skeleton = source.skeleton()
    row = inspection.decoder_row(key, source, skeleton)
    counted = inspection.parameters(skeleton, source.decoder_path)
    reasons = dict(zip(row["protected"], row["reasons"], strict=True))
    n_parameters = sum(counted.layers) + sum(counted.parts.values())
    share = (pl.col("parameters") / n_parameters).alias("share")
    layers = pl.DataFrame(
        {
            "layer": range(row["n_layers"]),
            "class": [type(layer).__name__ for layer in find_decoder(skeleton, source.decoder_path).layers],
            "parameters": counted.layers,
            "protected": pl.Series([reasons.get(layer) for layer in range(row["n_layers"])], dtype=pl.String),
        }
    )
    parts = {f"{row['decoder_path']} (the decoder layers)": sum(counted.layers), **counted.parts}
    return Inspection(
        *(row[name] for name in ("model_id", "revision", "model_class")),
        source.takes_images,
        *(row[name] for name in ("decoder_path", "n_layers", "hidden_size")),
        n_parameters,
        layers.with_columns(share).select("layer", "class", "parameters", "share", "protected"),
        pl.DataFrame({"part": list(parts), "parameters": list(parts.values())}).with_columns(share),
    )
