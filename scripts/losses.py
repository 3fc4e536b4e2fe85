"""Losses of a model's calibration answers without one decoder layer at a time, or along a greedy search."""

import logging
from typing import Any

from pruning_regimes.jobs.job import job
from pruning_regimes.measurement import losses
from pruning_regimes.measurement.samples import read_samples
from pruning_regimes.models import loading
from pruning_regimes.models.budgets import n_removed, protected_layers
from pruning_regimes.models.recorded import recorded


def main(
    entry: dict[str, Any],
    decoder: str,
    domains: list[str],
    calibrations: list[str],
    protected: list[int],
    search: str,
    budgets: list[str],
    output: str,
    batch_size: int,
    threads: int,
) -> None:
    """Compute the losses that are not there yet and write the losses table.

    `search`: leave_one_out, or greedy, which goes up to the largest of the budgets.
    """
    entry, found = recorded(entry, decoder)
    kept = {*found["protected"], *protected_layers(found["model"], found["n_layers"], protected)}
    candidates = [layer for layer in range(found["n_layers"]) if layer not in kept]
    samples, calibration = read_samples(domains, calibrations)
    n_steps = max((n_removed(budget, found["n_layers"]) for budget in budgets), default=0)
    provenance = {
        "model": entry,
        "calibration": calibration,
        "protected": sorted(kept),
        "search": search,
        "n_steps": n_steps,
    }
    loaded, journal = loading.load(entry, threads), losses.Journal(output, provenance)
    if search == "greedy":
        tally = losses.greedy(loaded, samples, candidates, n_steps, batch_size, journal)
    else:
        tally = losses.leave_one_out(loaded, samples, candidates, batch_size, journal)
    logging.info("%d losses computed", tally.computed)
    logging.info("%d layers computed, %d replayed", tally.layers_computed, tally.layers_replayed)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.resources.gpu):
        main(
            {**snakemake.params.model, "gpus": snakemake.resources.gpu},
            snakemake.input.decoder,
            snakemake.params.domains,
            list(snakemake.input.calibrations),
            snakemake.params.protected,
            snakemake.params.search,
            snakemake.params.budgets,
            snakemake.output[0],
            snakemake.resources.batch_size,
            snakemake.threads,
        )
