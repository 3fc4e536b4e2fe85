"""Measure how little each decoder layer of a model changes the calibration inputs of a domain."""

from typing import Any

from pruning_regimes import models, similarity, tables
from pruning_regimes.jobs import job


def main(model: str, domain: str, entry: dict[str, Any], calibration: str, output: str, threads: int) -> None:
    """Run the calibration samples through the model and write the similarity table."""
    samples = tables.read(calibration, "calibration")
    table = similarity.measure(models.load(entry, threads), samples, entry["batch_size"])
    tables.write(table, "similarity", output, {"model": model, "domain": domain, "config": entry})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.wildcards.model,
            snakemake.wildcards.domain,
            snakemake.params.entry,
            snakemake.input.calibration,
            snakemake.output[0],
            snakemake.threads,
        )
