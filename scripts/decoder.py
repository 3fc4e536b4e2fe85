"""Find a model's decoder layers, and which of them may not be removed."""

from typing import Any

from pruning_regimes import decoder, models, tables, variants
from pruning_regimes.jobs import job


def main(model: str, entry: dict[str, Any], output: str) -> None:
    """Build the model without weights, look at its decoder and write the decoder table."""
    source = models.Source(entry)
    model_id, revision = variants.identity(source.path, source.revision)
    identity = {"model": model, "model_id": model_id, "revision": revision}
    found = decoder.inspect(source.skeleton(), source.decoder_path)
    tables.write([identity | found], "decoder", output, {"model": entry})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.wildcards.model, snakemake.params.model, snakemake.output[0])
