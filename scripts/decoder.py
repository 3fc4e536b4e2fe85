"""Find a model's decoder layers, and which of them may not be removed."""

from typing import Any

from pruning_regimes import tables
from pruning_regimes.jobs.job import job
from pruning_regimes.models import inspection, loading
from pruning_regimes.models.budgets import check_depth, protected_layers


def main(model: str, entry: dict[str, Any], budgets: list[str], protected: list[int], output: str) -> None:
    """Build the model without weights, look at its decoder, check the budgets and write the decoder table."""
    source = loading.Source(entry)
    found = inspection.decoder_row(model, source, source.skeleton())
    kept = protected_layers(model, found["n_layers"], protected)
    check_depth(model, found["n_layers"], budgets, kept.union(found["protected"]))
    tables.write([found], "decoder", output, {"model": entry})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.wildcards.model,
            snakemake.params.model,
            snakemake.resources.budgets.split(),
            [int(layer) for layer in snakemake.resources.protected.split()],
            snakemake.output[0],
        )
