"""Write a domain's calibration table."""

from typing import Any

from pruning_regimes import calibration, tables
from pruning_regimes.jobs.job import job


def main(domain: str, entry: dict[str, Any], seed: int, output: str) -> None:
    """Load the domain's samples and write them."""
    samples = calibration.load(domain, entry, seed)
    tables.write(samples, "calibration", output, {"domain": domain, "config": entry, "seed": seed})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.wildcards.domain, snakemake.params.entry, snakemake.params.seed, snakemake.output[0])
