"""Write a benchmark's questions."""

from typing import Any

from pruning_regimes import benchmarks, scoring, tables
from pruning_regimes.jobs.job import job


def main(benchmark: str, entry: dict[str, Any], seed: int, output: str) -> None:
    """Load the benchmark's questions, check that they can be scored, and write them."""
    questions = benchmarks.load(benchmark, entry, seed)
    scoring.check(benchmark, questions)
    tables.write(questions, "benchmark", output, {"benchmark": benchmark, "config": entry, "seed": seed})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.wildcards.benchmark, snakemake.params.entry, snakemake.params.seed, snakemake.output[0])
