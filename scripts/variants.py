"""Collect the distinct layer sets that criteria and budgets ask for, for a model."""

from pruning_regimes import tables
from pruning_regimes.criteria import variants
from pruning_regimes.jobs.job import job


def main(criteria: list[str], layer_lists: list[str], decoder: str, output: str) -> None:
    """Read the layer list of each criterion and write the variants table."""
    found = tables.read(decoder, "decoder").row(0, named=True)
    lists = {name: tables.read(file, "layers") for name, file in zip(criteria, layer_lists, strict=True)}
    table = variants.collect(found["model_id"], found["revision"], lists)
    tables.write(table, "variants", output, {name: found[name] for name in ("model", "model_id", "revision")})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.params.criteria,
            snakemake.input.layers,
            snakemake.input.decoder,
            snakemake.output[0],
        )
