"""Draw time and memory against retention."""

from typing import Any

from pruning_regimes import tables
from pruning_regimes.figures import pareto
from pruning_regimes.jobs.job import job


def main(table: str, style: dict[str, Any], outputs: list[str], confidence: float) -> None:
    """Read the table and draw."""
    pareto.draw(tables.read(table, "pareto"), style, outputs, confidence)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.input[0], snakemake.params.style, list(snakemake.output), snakemake.params.confidence)
