"""Draw what the domain of a criterion's calibration samples does to each domain's benchmarks."""

from typing import Any

from pruning_regimes import tables
from pruning_regimes.figures import domain_effect
from pruning_regimes.jobs import job


def main(table: str, style: dict[str, Any], outputs: list[str]) -> None:
    """Read the table of domain effects and draw."""
    domain_effect.draw(tables.read(table, "domain_effect"), style, outputs)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.input[0], snakemake.params.style, list(snakemake.output))
