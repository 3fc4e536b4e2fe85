"""Measure what the variants of a model cost."""

from typing import Any

from pruning_regimes import tables
from pruning_regimes.evaluation import latency
from pruning_regimes.jobs.job import job
from pruning_regimes.models import loading
from pruning_regimes.models.recorded import recorded


def main(
    entry: dict[str, Any],
    decoder: str,
    variants: str,
    benchmarks: dict[str, str],
    plan: dict[str, int],
    output: str,
) -> None:
    """Time the variants on questions of the benchmarks (name -> table) and write the latency table."""
    entry = recorded(entry, decoder).entry
    measuring = latency.Plan(**plan)
    questions = {name: latency.first_questions(path, measuring) for name, path in benchmarks.items()}
    made_from = {"variants": tables.provenance(variants), "model": entry, "latency": plan, "benchmarks": [*questions]}
    table = latency.measure(loading.load(entry), tables.read(variants, "variants"), questions, measuring)
    tables.write(table, "latency", output, made_from)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.resources.gpu):
        main(
            {**snakemake.params.model, "gpus": snakemake.resources.gpu},
            snakemake.input.decoder,
            snakemake.input.variants,
            dict(zip(snakemake.params.benchmarks, snakemake.input.benchmarks, strict=True)),
            snakemake.params.plan,
            snakemake.output[0],
        )
