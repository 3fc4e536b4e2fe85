"""Export a pruned model as a checkpoint, and check it."""

from pathlib import Path
from typing import Any

from pruning_regimes.checkpoints import export
from pruning_regimes.jobs.job import job


def main(entry: dict[str, Any], domains: list[str], calibrations: list[str], **rest: Any) -> None:
    """Write the checkpoint directory."""
    export.export(entry, calibrations=dict(zip(domains, calibrations, strict=True)), **rest)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.resources.gpu):
        main(
            {**snakemake.params.model, "gpus": snakemake.resources.gpu},
            snakemake.params.domains,
            snakemake.input.calibrations,
            criterion=snakemake.wildcards.criterion,
            budget=snakemake.wildcards.budget,
            criterion_entry=snakemake.params.criterion,
            decoder_file=snakemake.input.decoder,
            variants_file=snakemake.input.variants,
            # No inputs: an export does not wait for a study, it tells what one has measured.
            results=Path(snakemake.input.decoder).parents[1],
            target=snakemake.output[0],
            threads=snakemake.threads,
        )
