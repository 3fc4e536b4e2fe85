"""Write the layer list of a criterion for a model."""

from typing import Any

from pruning_regimes import criteria, tables
from pruning_regimes.criteria import registry
from pruning_regimes.criteria.stored import read_study
from pruning_regimes.jobs.job import job


def main(
    criterion: str,
    entry: dict[str, Any],
    budgets: list[int | float],
    registered_in: str | None,
    files: dict[str, Any],
    output: str,
) -> None:
    """Apply the criterion to the model's tables and write the layers table.

    `registered_in`: the user's file that registers the criterion, if it is the user's. `files`: as `read_study` takes
    them.
    """
    if registered_in:
        registry.load(registered_in)
    study = read_study(**files)
    layers = criteria.layer_list(entry, study, budgets)
    made_from = {"model": study.model, "criterion": criterion, "config": entry, "budgets": budgets, "seed": study.seed}
    tables.write(layers, "layers", output, {**made_from, "protected": sorted(study.protected)})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.wildcards.criterion,
            snakemake.params.entry,
            snakemake.params.budgets,
            snakemake.input.registered_in or None,
            {
                "decoder": snakemake.input.decoder,
                "protected": snakemake.params.protected,
                "seed": snakemake.params.seed,
                "domains": snakemake.params.domains,
                **{name: list(snakemake.input[name]) for name in ("similarity", "blocks", "windows")},
                **{name: snakemake.input[name] or None for name in ("losses", "importance")},
            },
            snakemake.output[0],
        )
