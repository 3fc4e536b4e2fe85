"""Draw the layers that each criterion removes at each budget."""

from typing import Any

import polars as pl

from pruning_regimes import tables
from pruning_regimes.figures import layers
from pruning_regimes.jobs.job import job


def main(models: list[str], variants: list[str], style: dict[str, Any], outputs: list[str]) -> None:
    """Read each model's variants table and draw."""
    frames = [
        tables.read(path, "variants").select(pl.lit(model).alias("model"), pl.all())
        for model, path in zip(models, variants, strict=True)
    ]
    layers.draw(pl.concat(frames), style, outputs)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.params.models, list(snakemake.input), snakemake.params.style, list(snakemake.output))
