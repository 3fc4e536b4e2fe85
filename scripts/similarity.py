"""Measure how little each decoder layer, and each block of them, changes the calibration inputs of a domain."""

from typing import Any

from pruning_regimes import tables
from pruning_regimes.jobs.job import job
from pruning_regimes.measurement import similarity, similarity_tables
from pruning_regimes.models import loading
from pruning_regimes.models.recorded import recorded


def main(
    entry: dict[str, Any], decoder: str, calibration: str, output: str, blocks: str, batch_size: int, threads: int
) -> None:
    """Run the calibration samples through the model and write the similarity and the blocks table."""
    entry = recorded(entry, decoder).entry
    samples = tables.read(calibration, "calibration")
    measured = similarity.measure(loading.load(entry, threads), samples, batch_size)
    made_from = {"model": entry, "calibration": tables.provenance(calibration)}
    similarity_tables.write(measured, output, blocks, made_from)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.resources.gpu):
        main(
            {**snakemake.params.model, "gpus": snakemake.resources.gpu},
            snakemake.input.decoder,
            snakemake.input.calibration,
            snakemake.output.layers,
            snakemake.output.blocks,
            snakemake.resources.batch_size,
            snakemake.threads,
        )
