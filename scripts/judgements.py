"""Ask a judge about the answers that the rules cannot read."""

from typing import Any

import polars as pl

from pruning_regimes import scoring, tables
from pruning_regimes.evaluation import judge
from pruning_regimes.jobs.job import job


def main(benchmark: str, predictions: list[str], settings: dict[str, Any], mode: str, output: str) -> None:
    """Score the predictions of every budget by the rules, ask about what is left, and write the judgements table."""
    questions = tables.read(benchmark, "benchmark")
    answers = pl.concat([tables.read(path, "predictions") for path in predictions])
    judge.judge(questions, scoring.score(questions, answers, mode), answers, settings, output)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.input.benchmark,
            snakemake.input.predictions,
            {
                **snakemake.params.judge,
                "concurrency": snakemake.resources.concurrency,
                "timeout_s": snakemake.resources.timeout_s,
                "key_variable": snakemake.resources.key_variable,
            },
            snakemake.params.mode,
            snakemake.output[0],
        )
