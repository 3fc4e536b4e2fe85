"""Draw the similarity profile of the decoder layers."""

from typing import Any

import polars as pl

from pruning_regimes import tables
from pruning_regimes.figures import similarity
from pruning_regimes.jobs import job


def main(profiles: list[str], style: dict[str, Any], outputs: list[str]) -> None:
    """Read each model's profile table and draw."""
    similarity.draw(pl.concat([tables.read(path, "profile") for path in profiles]), style, outputs)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(list(snakemake.input), snakemake.params.style, list(snakemake.output))
