"""Score a model's stored answers to a benchmark."""

import polars as pl

from pruning_regimes import scoring, tables
from pruning_regimes.jobs import job


def main(benchmark: str, predictions: list[str], output: str) -> None:
    """Read the predictions of every budget and write the scores table."""
    questions = tables.read(benchmark, "benchmark")
    answers = pl.concat([tables.read(path, "predictions") for path in predictions])
    tables.write(scoring.score(questions, answers), "scores", output, {"questions": len(questions)})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.input.benchmark, snakemake.input.predictions, snakemake.output[0])
