"""Find a model's decoder layers, and which of them may not be removed."""

from typing import Any

from pruning_regimes import config, decoder, models, tables, variants
from pruning_regimes.jobs import job


def main(model: str, entry: dict[str, Any], output: str) -> None:
    """Build the model without weights, look at its decoder and write the decoder table."""
    built = models.load({**entry, "gpu": 0}).skeleton()
    model_id, revision = variants.identity(entry["path"], entry["revision"])
    path = entry.get("decoder_path")
    n_layers = decoder.find_decoder(built, path).n_layers
    named = config.protected_layers(model, n_layers, entry.get("protected", []))
    # The commit that a branch or tag of the hub stood for.
    identity = {
        "model": model,
        "model_id": model_id,
        "revision": getattr(built.config, "_commit_hash", None) or revision,
    }
    tables.write([identity | decoder.inspect(built, named, path)], "decoder", output, {"model": entry})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.wildcards.model, snakemake.params.model, snakemake.output[0])
