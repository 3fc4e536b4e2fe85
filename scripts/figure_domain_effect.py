"""Draw what the domain of a criterion's calibration samples does to each domain's benchmarks."""

from typing import Any

from pruning_regimes import tables
from pruning_regimes.figures import domain_effect
from pruning_regimes.jobs.job import job


def main(effects: str, retention: str, style: dict[str, Any], confidence: float, outputs: list[str]) -> None:
    """Read the tables and draw."""
    domain_effect.draw(
        tables.read(effects, "domain_effect"), tables.read(retention, "retention"), style, outputs, confidence
    )


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.input.effects,
            snakemake.input.retention,
            snakemake.params.style,
            snakemake.params.confidence,
            list(snakemake.output),
        )
