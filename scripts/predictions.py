"""Answer a benchmark with all variants of a model at one budget."""

import logging
from typing import Any

import polars as pl

from pruning_regimes import evaluation, models, tables
from pruning_regimes.jobs import job


def main(
    entry: dict[str, Any],
    decoder: str,
    budget: str,
    benchmark: str,
    variants: str,
    max_new_tokens: int,
    output: str,
    batch_size: int,
    threads: int,
) -> None:
    """Answer what is not answered yet and write the predictions table."""
    questions = tables.read(benchmark, "benchmark")
    asked = tables.read(variants, "variants").filter(pl.col("budget") == budget)
    entry = models.pinned(entry, tables.read(decoder, "decoder").row(0, named=True))
    loaded = models.load(entry, threads)
    provenance = {"variants": tables.provenance(variants), "model": entry, "max_new_tokens": max_new_tokens}
    journal = evaluation.Journal(output, provenance)
    computed = evaluation.answer_all(loaded, questions, asked, journal, batch_size, max_new_tokens)
    logging.info("%d answers computed for %d variants", computed, asked["variant_id"].n_unique())


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            {**snakemake.params.model, "gpus": snakemake.resources.gpu},
            snakemake.input.decoder,
            snakemake.wildcards.budget,
            snakemake.input.benchmark,
            snakemake.input.variants,
            snakemake.params.max_new_tokens,
            snakemake.output[0],
            snakemake.resources.batch_size,
            snakemake.threads,
        )
