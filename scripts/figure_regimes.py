"""Draw retention against budget, with the regimes."""

from typing import Any

from pruning_regimes import tables
from pruning_regimes.figures import regimes
from pruning_regimes.jobs.job import job


def main(
    retention: str, segments: str, sensitivity: str, style: dict[str, Any], confidence: float, outputs: list[str]
) -> None:
    """Read the tables and draw."""
    regimes.draw(
        tables.read(retention, "retention"),
        tables.read(segments, "segments"),
        tables.read(sensitivity, "sensitivity"),
        style,
        outputs,
        confidence,
    )


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.input.retention,
            snakemake.input.segments,
            snakemake.input.sensitivity,
            snakemake.params.style,
            snakemake.params.confidence,
            list(snakemake.output),
        )
