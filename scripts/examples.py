"""Choose example questions and collect what the dense model and a criterion's variants answer."""

from pathlib import Path

import polars as pl

from pruning_regimes import tables
from pruning_regimes.jobs.job import job
from pruning_regimes.report import examples


def main(
    criterion: str,
    variants: str,
    benchmarks: dict[str, str],
    scores: dict[str, str],
    predictions: list[str],
    count: int,
    output: str,
) -> None:
    """Read scores, choose, then read what was asked and answered there, and write the examples.

    `benchmarks`, `scores`: benchmark -> its table. `predictions`: of all benchmarks and budgets, in folders of the
    benchmarks' names.
    """
    steps = examples.steps(tables.read(variants, "variants"), criterion)
    scored = {name: tables.read(path, "scores") for name, path in scores.items()}
    chosen = examples.choose({name: examples.outcomes(table, steps) for name, table in scored.items()}, count)
    # Images of all questions may be too many to read.
    asked = {
        name: pl.col("sample_id").is_in(part["sample_id"].to_list()) for (name,), part in chosen.group_by("benchmark")
    }
    found = examples.collect(
        chosen,
        steps,
        {name: tables.read(benchmarks[name], "benchmark", rows) for name, rows in asked.items()},
        {
            name: pl.concat(
                tables.read(path, "predictions", rows) for path in predictions if Path(path).parent.name == name
            )
            for name, rows in asked.items()
        },
        scored,
    )
    tables.write(
        found, "examples", output, {"criterion": criterion, "benchmarks": list(benchmarks), "questions": count}
    )


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.wildcards.criterion,
            snakemake.input.variants,
            dict(zip(snakemake.params.benchmarks, snakemake.input.benchmarks, strict=True)),
            dict(zip(snakemake.params.benchmarks, snakemake.input.scores, strict=True)),
            list(snakemake.input.predictions),
            snakemake.params.questions,
            snakemake.output[0],
        )
