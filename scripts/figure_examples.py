"""Draw example questions with the dense model's answers and those of a criterion's variants."""

from typing import Any

from pruning_regimes import tables
from pruning_regimes.figures import examples
from pruning_regimes.jobs.job import job


def main(table: str, model: str, criterion: str, style: dict[str, Any], outputs: list[str]) -> None:
    """Read the examples and draw."""
    examples.draw(tables.read(table, "examples"), model, criterion, style, outputs)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.input[0],
            snakemake.params.model,
            snakemake.params.criterion,
            snakemake.params.style,
            list(snakemake.output),
        )
