"""Score a model's stored answers to a benchmark."""

from functools import partial

import polars as pl

from pruning_regimes import scoring, tables
from pruning_regimes.benchmarks import registry
from pruning_regimes.criteria.variants import dense_id
from pruning_regimes.evaluation import judge
from pruning_regimes.jobs.job import job
from pruning_regimes.scoring import aggregates, clusters


def main(
    benchmark: str,
    predictions: list[str],
    variants: str,
    judgements: str | None,
    known: str,
    mode: str,
    seed: int,
    output: str,
    metrics: str,
) -> None:
    """Read the predictions of every budget; write the scores and the metrics table.

    `known`: the benchmark's name if it is a public one, else empty.
    """
    questions = tables.read(benchmark, "benchmark")
    answers = pl.concat([tables.read(path, "predictions") for path in predictions])
    score = partial(scoring.score, mode=mode)
    scores = score(questions, answers)
    if judgements is not None:
        scores = judge.apply(scores, tables.read(judgements, "judgements"))
    scores = clusters.clustered(scores, questions)
    made_from = {"questions": len(questions), "scoring": mode, "judged": judgements is not None, "seed": seed}
    tables.write(scores, "scores", output, made_from)
    dense = answers.filter(pl.col("variant_id") == dense_id(tables.read(variants, "variants")))
    names = registry.entry(known)["metrics"] if known else []
    found = aggregates.metrics(questions, scores, names)
    baselines = aggregates.baselines(questions, dense, score, seed)
    tables.write(pl.concat([found, baselines]), "metrics", metrics, made_from)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.input.benchmark,
            snakemake.input.predictions,
            snakemake.input.variants,
            snakemake.input.judgements or None,
            snakemake.params.known,
            snakemake.params.mode,
            snakemake.params.seed,
            snakemake.output.scores,
            snakemake.output.metrics,
        )
