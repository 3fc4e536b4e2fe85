"""Draw how far few calibration samples choose the layers that all of them choose."""

from typing import Any

import polars as pl

from pruning_regimes import tables
from pruning_regimes.figures import stability
from pruning_regimes.jobs.job import job


def main(paths: list[str], style: dict[str, Any], resamples: int, confidence: float, outputs: list[str]) -> None:
    """Read each model's stability table and draw."""
    stability.draw(pl.concat([tables.read(path, "stability") for path in paths]), style, outputs, resamples, confidence)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            list(snakemake.input),
            snakemake.params.style,
            snakemake.params.resamples,
            snakemake.params.confidence,
            list(snakemake.output),
        )
