"""Draw the overlap of the criteria's layer sets."""

from typing import Any

from pruning_regimes import tables
from pruning_regimes.figures import overlap
from pruning_regimes.jobs.job import job


def main(table: str, style: dict[str, Any], outputs: list[str]) -> None:
    """Read the overlap table and draw."""
    overlap.draw(tables.read(table, "overlap"), style, outputs)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.input[0], snakemake.params.style, list(snakemake.output))
