"""Measure how much windows of two and three decoder layers change the calibration inputs of a domain."""

from typing import Any

from pruning_regimes import tables
from pruning_regimes.jobs.job import job
from pruning_regimes.measurement import windows
from pruning_regimes.models import loading
from pruning_regimes.models.recorded import recorded


def main(entry: dict[str, Any], decoder: str, calibration: str, output: str, batch_size: int, threads: int) -> None:
    """Run the calibration samples through the model and write the windows table."""
    entry = recorded(entry, decoder).entry
    samples = tables.read(calibration, "calibration")
    measured = windows.measure(loading.load(entry, threads), samples, batch_size)
    tables.write(measured, "windows", output, {"model": entry, "calibration": tables.provenance(calibration)})


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.resources.gpu):
        main(
            {**snakemake.params.model, "gpus": snakemake.resources.gpu},
            snakemake.input.decoder,
            snakemake.input.calibration,
            snakemake.output[0],
            snakemake.resources.batch_size,
            snakemake.threads,
        )
