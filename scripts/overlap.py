"""Overlap of the criteria's layer sets, per model and budget."""

from pruning_regimes import tables
from pruning_regimes.criteria import variants
from pruning_regimes.jobs.job import job


def main(models: list[str], variant_tables: list[str], output: str) -> None:
    """Read each model's variants and write the overlap table."""
    read = {model: tables.read(path, "variants") for model, path in zip(models, variant_tables, strict=True)}
    tables.write(variants.overlap(read), "overlap", output, {"models": models})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.params.models, snakemake.input.variants, snakemake.output[0])
