"""Write the layer list of a criterion for a model."""

from typing import Any

from pruning_regimes import config, criteria, tables
from pruning_regimes.jobs import job


def main(
    model: str,
    criterion: str,
    entry: dict[str, Any],
    budgets: list[int | float],
    protected: list[int],
    seed: int,
    profile: str,
    decoder: str,
    output: str,
) -> None:
    """Apply the criterion to the model's profile and write the layers table."""
    rows = tables.read(profile, "profile")
    found = tables.read(decoder, "decoder").row(0, named=True)
    kept = {*found["protected"], *config.protected_layers(model, found["n_layers"], protected)}
    study = criteria.Study(model, found["n_layers"], rows, seed, frozenset(kept))
    parameters = {key: value for key, value in entry.items() if key != "kind"}
    layers = criteria.layer_list(entry["kind"], parameters, study, budgets)
    provenance = {"model": model, "criterion": criterion, "config": entry, "budgets": budgets, "seed": seed}
    tables.write(layers, "layers", output, {**provenance, "protected": sorted(kept)})


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.wildcards.model,
            snakemake.wildcards.criterion,
            snakemake.params.entry,
            snakemake.params.budgets,
            snakemake.params.protected,
            snakemake.params.seed,
            snakemake.input.profile,
            snakemake.input.decoder,
            snakemake.output[0],
        )
