"""Summarise a model's similarity tables per domain, token group and decoder layer."""

from pruning_regimes import profiles, tables
from pruning_regimes.jobs import job


def main(model: str, domains: list[str], similarities: list[str], output: str) -> None:
    """Read each domain's similarity table and write the profile table."""
    read = {domain: tables.read(path, "similarity") for domain, path in zip(domains, similarities, strict=True)}
    tables.write(profiles.profile(model, read), "profile", output, {"model": model, "domains": domains})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.wildcards.model, snakemake.params.domains, snakemake.input.similarities, snakemake.output[0])
