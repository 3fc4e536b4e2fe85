"""Answer benchmarks with all variants of a model at some budgets."""

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
    benchmarks: list[str],
    variants: str,
    max_new_tokens: dict[str, int],
    outputs: list[str],
    batch_size: int,
    threads: int,
) -> None:
    """Answer what is not answered yet and write a predictions table per benchmark and budget.

    `benchmarks`: a table each, in the order of `max_new_tokens`. `outputs`: in folders of the benchmarks' names.
    """
    entry = recorded(entry, decoder).entry
    loaded = loading.load(entry, threads)
    journals = []
    known, made_from = tables.read(variants, "variants"), tables.provenance(variants)
    for (benchmark, tokens), file in zip(max_new_tokens.items(), benchmarks, strict=True):
        paths = {Path(path).stem: path for path in outputs if Path(path).parent.name == benchmark}
        asked = known.filter(pl.col("budget").is_in(list(paths)))
        journal = grid.Journal(paths, {"variants": made_from, "model": entry, "max_new_tokens": tokens})
        tally = grid.answer_all(loaded, tables.read(file, "benchmark"), asked, journal, batch_size, tokens)
        journals.append(journal)
        n_variants = asked["variant_id"].n_unique()
        logging.info("%s: %d answers computed for %d variants", benchmark, tally.computed, n_variants)
        logging.info("%d layers computed at prefill, %d replayed", tally.layers_computed, tally.layers_replayed)
    for journal in journals:
        journal.clear()


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.resources.gpu):
        main(
            {**snakemake.params.model, "gpus": snakemake.resources.gpu},
            snakemake.input.decoder,
            list(snakemake.input.benchmarks),
            snakemake.input.variants,
            snakemake.params.max_new_tokens,
            list(snakemake.output),
            snakemake.resources.batch_size,
            snakemake.threads,
        )
