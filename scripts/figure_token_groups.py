"""Draw the similarity of the decoder layers per token group."""

from typing import Any

import polars as pl

from pruning_regimes import tables
from pruning_regimes.figures import token_groups
from pruning_regimes.jobs.job import job


def main(profiles: list[str], style: dict[str, Any], outputs: list[str]) -> None:
    """Read each model's profile table and draw."""
    token_groups.draw(pl.concat([tables.read(path, "profile") for path in profiles]), style, outputs)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(list(snakemake.input), snakemake.params.style, list(snakemake.output))
