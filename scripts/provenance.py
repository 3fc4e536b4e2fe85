"""Write where a study's numbers come from."""

from typing import Any

from pruning_regimes import tables
from pruning_regimes.jobs.job import job
from pruning_regimes.report import origins, summary

# What was found of a model, and takes the place of what the config says.
FOUND = ("revision", "model_class", "n_layers", "protected")


def main(
    keyed: dict[str, dict[str, str]], answers: list[str], retention: str, study: dict[str, Any], output: str
) -> None:
    """Read the provenance of the tables and write it as Markdown.

    `keyed`: models, domains and benchmarks, each key -> its table; `study`: the config that decides the results.
    """
    found = {name: {key: tables.provenance(file) for key, file in some.items()} for name, some in keyed.items()}
    for key, file in keyed["models"].items():
        row = tables.read(file, "decoder").row(0, named=True)
        found["models"][key]["model"] |= {name: row[name] for name in FOUND}
    text = origins.markdown(
        **found,
        answers=[*map(tables.provenance, answers)],
        retention=tables.provenance(retention),
        study=study,
    )
    summary.write_text(text, output)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            {
                name: dict(zip(snakemake.params[name], snakemake.input[name], strict=True))
                for name in ("models", "domains", "benchmarks")
            },
            list(snakemake.input.predictions),
            snakemake.input.retention,
            snakemake.params.study,
            snakemake.output[0],
        )
