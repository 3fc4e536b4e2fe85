"""Measure how important each decoder layer is to the loss of a model's calibration answers, by their gradients."""

from typing import Any

from pruning_regimes import tables
from pruning_regimes.jobs.job import job
from pruning_regimes.measurement import importance
from pruning_regimes.measurement.samples import read_samples
from pruning_regimes.models import loading
from pruning_regimes.models.recorded import recorded


def main(
    entry: dict[str, Any],
    decoder: str,
    domains: list[str],
    calibrations: list[str],
    output: str,
    batch_size: int,
    threads: int,
) -> None:
    """Run the calibration samples forward and backward through the model and write the importance table."""
    entry = recorded(entry, decoder).entry
    samples, provenance = read_samples(domains, calibrations)
    measured = importance.measure(loading.load(entry, threads), samples, batch_size)
    tables.write(measured, "importance", output, {"model": entry, "calibration": provenance})


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.resources.gpu):
        main(
            {**snakemake.params.model, "gpus": snakemake.resources.gpu},
            snakemake.input.decoder,
            snakemake.params.domains,
            list(snakemake.input.calibrations),
            snakemake.output[0],
            snakemake.resources.batch_size,
            snakemake.threads,
        )
