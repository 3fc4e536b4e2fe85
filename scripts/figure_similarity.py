"""Draw the similarity profile of the decoder layers, and where domains differ."""

from typing import Any

import polars as pl

from pruning_regimes import tables
from pruning_regimes.figures import similarity
from pruning_regimes.jobs.job import job


def main(profiles: list[str], gaps: list[str], style: dict[str, Any], outputs: list[str], confidence: float) -> None:
    """Read each model's tables and draw."""
    profile, gap = (
        pl.concat([tables.read(path, name) for path in paths]) for name, paths in (("profile", profiles), ("gap", gaps))
    )
    similarity.draw(profile, gap, style, outputs, confidence)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            list(snakemake.input.profiles),
            list(snakemake.input.gaps),
            snakemake.params.style,
            list(snakemake.output),
            snakemake.params.confidence,
        )
