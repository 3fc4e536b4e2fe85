"""Write the benchmarks' own metrics, of all models, as CSV."""

from itertools import product

from pruning_regimes import tables
from pruning_regimes.jobs.job import job
from pruning_regimes.report import summary


def main(models: list[str], benchmarks: list[str], variants: list[str], metrics: list[str], output: str) -> None:
    """Read variants (one file per model) and metrics (one per model and benchmark); write them as one table."""
    chosen = {model: tables.read(file, "variants") for model, file in zip(models, variants, strict=True)}
    measured = {
        pair: tables.read(file, "metrics") for pair, file in zip(product(models, benchmarks), metrics, strict=True)
    }
    summary.write_csv(summary.metrics(chosen, measured), output)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.params.models,
            snakemake.params.benchmarks,
            snakemake.input.variants,
            snakemake.input.metrics,
            snakemake.output[0],
        )
