"""Draw retention against budget."""

from typing import Any

from pruning_regimes import tables
from pruning_regimes.figures import regimes
from pruning_regimes.jobs import job


def main(table: str, style: dict[str, Any], outputs: list[str]) -> None:
    """Read the retention table and draw."""
    regimes.draw(tables.read(table, "retention"), style, outputs)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.input[0], snakemake.params.style, list(snakemake.output))
