"""Write the layer list of a criterion for a model."""

from typing import Any

from pruning_regimes import criteria, tables
from pruning_regimes.jobs import job


def main(
    model: str, criterion: str, entry: dict[str, Any], budgets: list[int | float], seed: int, profile: str, output: str
) -> None:
    """Apply the criterion to the model's profile and write the layers table."""
    rows = tables.read(profile, "profile")
    study = criteria.Study(model, rows["layer"].max() + 1, rows, seed)
    parameters = {key: value for key, value in entry.items() if key != "kind"}
    layers = criteria.layer_list(entry["kind"], parameters, study, budgets)
    provenance = {"model": model, "criterion": criterion, "config": entry, "budgets": budgets, "seed": seed}
    tables.write(layers, "layers", output, provenance)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.wildcards.model,
            snakemake.wildcards.criterion,
            snakemake.params.entry,
            snakemake.params.budgets,
            snakemake.params.seed,
            snakemake.input.profile,
            snakemake.output[0],
        )
