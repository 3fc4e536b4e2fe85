"""The statistics of every model: retention, comparisons of criteria, regimes and the recommendation."""

from itertools import product

import polars as pl

from pruning_regimes import regimes, tables
from pruning_regimes.jobs.job import job
from pruning_regimes.regimes.recommendation import recommendation


def main(
    models: list[str],
    groups: dict[str, str],
    families: dict[str, str],
    own: dict[str, list[str]],
    variants: list[str],
    scores: list[str],
    statistics: dict[str, float],
    seed: int,
    outputs: dict[str, str],
) -> None:
    """Read variants (one file per model) and scores (one per model and benchmark); write a table per output.

    `groups`: benchmark -> group. `families`: criterion -> ranking, structure or control. `own`: criterion -> the one
    domain that it looks at, and what else it is made of.
    """
    files = dict(zip(product(models, groups), scores, strict=True))
    resamples, confidence, margin = (statistics[name] for name in ("resamples", "confidence", "margin"))
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in outputs}
    for model, file in zip(models, variants, strict=True):
        scored = {
            benchmark: regimes.scored(group, tables.read(files[model, benchmark], "scores"))
            for benchmark, group in groups.items()
        }
        of = regimes.results(model, tables.read(file, "variants"), scored, resamples, confidence, seed)
        kept = regimes.retention(of)
        found = {
            "retention": kept,
            "sensitivity": regimes.sensitivity(of, kept, families, resamples, seed),
            "advantage": regimes.advantage(of, families),
            "domain_effect": regimes.domain_effect(of, own),
            "segments": regimes.segments(of, kept, families, margin, resamples, seed),
            "recommendation": recommendation(of, families, statistics["keep"]),
        }
        for name, table in found.items():
            parts[name].append(table)
    for name, output in outputs.items():
        made_from = {"groups": groups, "families": families, **statistics, "seed": seed}
        tables.write(pl.concat(parts[name]), name, output, made_from)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.params.models,
            snakemake.params.groups,
            snakemake.params.families,
            snakemake.params.own,
            snakemake.input.variants,
            snakemake.input.scores,
            snakemake.params.statistics,
            snakemake.params.seed,
            dict(snakemake.output.items()),
        )
