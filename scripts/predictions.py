"""Answer a benchmark with all variants of a model at some budgets."""

import logging
from pathlib import Path
from typing import Any

import polars as pl

from pruning_regimes import tables
from pruning_regimes.evaluation import grid
from pruning_regimes.jobs.job import job
from pruning_regimes.models import loading
from pruning_regimes.models.recorded import recorded


def main(
    entry: dict[str, Any],
    decoder: str,
    benchmark: str,
    variants: str,
    max_new_tokens: int,
    outputs: list[str],
    batch_size: int,
    threads: int,
) -> None:
    """Answer what is not answered yet and write a predictions table per budget."""
    questions = tables.read(benchmark, "benchmark")
    paths = {Path(path).stem: path for path in outputs}
    asked = tables.read(variants, "variants").filter(pl.col("budget").is_in(list(paths)))
    entry = recorded(entry, decoder).entry
    loaded = loading.load(entry, threads)
    provenance = {"variants": tables.provenance(variants), "model": entry, "max_new_tokens": max_new_tokens}
    journal = grid.Journal(paths, provenance)
    tally = grid.answer_all(loaded, questions, asked, journal, batch_size, max_new_tokens)
    logging.info("%d answers computed for %d variants", tally.computed, asked["variant_id"].n_unique())
    logging.info("%d layers computed at prefill, %d replayed", tally.layers_computed, tally.layers_replayed)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.resources.gpu):
        main(
            {**snakemake.params.model, "gpus": snakemake.resources.gpu},
            snakemake.input.decoder,
            snakemake.input.benchmark,
            snakemake.input.variants,
            snakemake.params.max_new_tokens,
            list(snakemake.output),
            snakemake.resources.batch_size,
            snakemake.threads,
        )
