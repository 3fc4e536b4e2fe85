"""Write a benchmark's questions."""

from typing import Any

from pruning_regimes import benchmarks, tables
from pruning_regimes.jobs import job


def main(benchmark: str, entry: dict[str, Any], seed: int, output: str) -> None:
    """Load the benchmark's questions and write them."""
    questions = benchmarks.load(benchmark, entry, seed)
    tables.write(questions, "benchmark", output, {"benchmark": benchmark, "config": entry, "seed": seed})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.wildcards.benchmark, snakemake.params.entry, snakemake.params.seed, snakemake.output[0])
