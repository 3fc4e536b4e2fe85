"""Look for calibration samples that are questions of an evaluated benchmark."""

import logging

from pruning_regimes import tables
from pruning_regimes.calibration import contamination
from pruning_regimes.jobs.job import job
from pruning_regimes.report import summary


def main(
    domains: list[str], calibrations: list[str], benchmarks: list[str], questions: list[str], policy: str, output: str
) -> None:
    """Compare all calibration with all benchmark tables; write the matches, or refuse them as the policy says."""
    matches = contamination.check(
        {domain: tables.read(file, "calibration") for domain, file in zip(domains, calibrations, strict=True)},
        {benchmark: tables.read(file, "benchmark") for benchmark, file in zip(benchmarks, questions, strict=True)},
    )
    if policy == "refuse":
        contamination.refuse(matches)
    elif len(matches):
        logging.warning("%d calibration samples are questions of evaluated benchmarks; see %s", len(matches), output)
    summary.write_csv(matches, output)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.params.domains,
            snakemake.input.calibrations,
            snakemake.params.benchmarks,
            snakemake.input.benchmarks,
            snakemake.params.policy,
            snakemake.output[0],
        )
