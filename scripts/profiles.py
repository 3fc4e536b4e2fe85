"""Summarise a model's similarity tables: per domain and decoder layer, between domains, and per block of layers."""

from pruning_regimes import tables
from pruning_regimes.jobs.job import job
from pruning_regimes.measurement import profiles


def main(
    model: str,
    domains: list[str],
    similarities: list[str],
    blocks: list[str],
    resamples: int,
    confidence: float,
    seed: int,
    outputs: dict[str, str],
) -> None:
    """Read each domain's tables and write three summaries."""
    measured = {domain: tables.read(path, "similarity") for domain, path in zip(domains, similarities, strict=True)}
    of_blocks = {domain: tables.read(path, "blocks") for domain, path in zip(domains, blocks, strict=True)}
    found = {
        "profile": profiles.profile(model, measured),
        "gap": profiles.gap(model, measured, resamples, confidence, seed),
        "block_profile": profiles.block_profile(model, of_blocks),
    }
    made_from = {"model": model, "domains": domains, "resamples": resamples, "confidence": confidence, "seed": seed}
    for name, table in found.items():
        tables.write(table, name, outputs[name], made_from)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.wildcards.model,
            snakemake.params.domains,
            list(snakemake.input.similarities),
            list(snakemake.input.blocks),
            snakemake.params.resamples,
            snakemake.params.confidence,
            snakemake.params.seed,
            dict(snakemake.output.items()),
        )
