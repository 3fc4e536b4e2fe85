"""How far a model's criteria depend on the calibration samples."""

from dataclasses import replace
from typing import Any

from pruning_regimes import tables
from pruning_regimes.criteria import registry, stability
from pruning_regimes.criteria.stored import read_study
from pruning_regimes.criteria.study import Losses
from pruning_regimes.jobs.job import job


def main(
    entries: dict[str, Any],
    budgets: list[int | float],
    registered_in: str | None,
    losses: dict[str, str],
    files: dict[str, Any],
    resamples: int,
    confidence: float,
    outputs: dict[str, str],
) -> None:
    """Bootstrap the criteria over the samples, compare the domains, and write three tables.

    `entries`: criterion -> its config entry. `losses`: criterion -> its losses, of those that need them. `files`: as
    `read_study` takes them.
    """
    if registered_in:
        registry.load(registered_in)
    study = read_study(**files)
    studies = {
        name: replace(study, losses=Losses(tables.read(losses[name], "losses"))) if name in losses else study
        for name in entries
    }
    found, ranks = stability.measure(entries, studies, budgets, resamples, confidence)
    agreement = stability.agreement(study, budgets, resamples)
    made_from = {"model": study.model, "resamples": resamples, "confidence": confidence, "seed": study.seed}
    for name, table in (("stability", found), ("ranks", ranks), ("agreement", agreement)):
        tables.write(table, name, outputs[name], made_from)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.params.entries,
            snakemake.params.budgets,
            snakemake.input.registered_in or None,
            dict(zip(snakemake.params.by_loss, snakemake.input.losses, strict=True)),
            {
                "decoder": snakemake.input.decoder,
                "protected": snakemake.params.protected,
                "seed": snakemake.params.seed,
                "domains": snakemake.params.domains,
                **{name: list(snakemake.input[name]) for name in ("similarity", "blocks", "windows")},
            },
            snakemake.params.resamples,
            snakemake.params.confidence,
            dict(snakemake.output.items()),
        )
