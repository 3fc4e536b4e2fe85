"""Retention of every model, criterion and budget, with confidence limits."""

from itertools import product

import polars as pl

from pruning_regimes import regimes, tables
from pruning_regimes.jobs import job


def main(
    models: list[str],
    groups: dict[str, str],
    variants: list[str],
    scores: list[str],
    statistics: dict[str, float],
    seed: int,
    output: str,
) -> None:
    """Read variants (one file per model) and scores (one per model and benchmark); write the retention table.

    `groups`: benchmark -> group.
    """
    files = dict(zip(product(models, groups), scores, strict=True))
    parts = []
    for model, file in zip(models, variants, strict=True):
        scored = {
            benchmark: regimes.scored(group, tables.read(files[model, benchmark], "scores"))
            for benchmark, group in groups.items()
        }
        parts.append(regimes.retention(model, tables.read(file, "variants"), scored, **statistics, seed=seed))
    tables.write(pl.concat(parts), "retention", output, {"groups": groups, **statistics, "seed": seed})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.params.models,
            snakemake.params.groups,
            snakemake.input.variants,
            snakemake.input.scores,
            snakemake.params.statistics,
            snakemake.params.seed,
            snakemake.output[0],
        )
