"""Collect the distinct layer sets that criteria and budgets ask for, for a model."""

from typing import Any

from pruning_regimes import tables, variants
from pruning_regimes.jobs import job


def main(model: str, entry: dict[str, Any], criteria: list[str], layer_lists: list[str], output: str) -> None:
    """Read the layer list of each criterion and write the variants table."""
    model_id, revision = variants.identity(entry["path"], entry["revision"])
    lists = {name: tables.read(file, "layers") for name, file in zip(criteria, layer_lists, strict=True)}
    table = variants.collect(model_id, revision, lists)
    tables.write(table, "variants", output, {"model": model, "model_id": model_id, "revision": revision})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.wildcards.model,
            snakemake.params.model,
            snakemake.params.criteria,
            snakemake.input.layers,
            snakemake.output[0],
        )
