"""What the retention of every criterion and budget costs, per model and group."""

import polars as pl

from pruning_regimes import regimes, tables
from pruning_regimes.jobs.job import job


def main(
    models: list[str], families: dict[str, str], retention: str, variants: list[str], latency: list[str], output: str
) -> None:
    """Read retention, and variants and latency (one file per model), and write the pareto table.

    `families`: criterion -> ranking, structure or control.
    """
    kept = tables.read(retention, "retention")
    controls = [criterion for criterion, family in families.items() if family == "control"]
    parts = [
        regimes.pareto(model, kept, tables.read(made, "variants"), tables.read(timed, "latency"), controls)
        for model, made, timed in zip(models, variants, latency, strict=True)
    ]
    tables.write(pl.concat(parts), "pareto", output, {"models": models, "controls": controls})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.params.models,
            snakemake.params.families,
            snakemake.input.retention,
            snakemake.input.variants,
            snakemake.input.latency,
            snakemake.output[0],
        )
