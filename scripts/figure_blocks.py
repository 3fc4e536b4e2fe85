"""Draw the distances of blocks of decoder layers."""

from typing import Any

import polars as pl

from pruning_regimes import tables
from pruning_regimes.figures import blocks
from pruning_regimes.jobs.job import job


def main(profiles: list[str], style: dict[str, Any], outputs: list[str]) -> None:
    """Read each model's block_profile table and draw."""
    blocks.draw(pl.concat([tables.read(path, "block_profile") for path in profiles]), style, outputs)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(list(snakemake.input), snakemake.params.style, list(snakemake.output))
