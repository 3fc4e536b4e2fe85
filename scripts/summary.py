"""Write the tables for people: CSV of the statistics, the numbers and findings as Markdown, sentences for captions."""

import json
from typing import Any

import polars as pl

from pruning_regimes import tables
from pruning_regimes.jobs.job import job
from pruning_regimes.report import findings, summary


def main(
    files: dict[str, list[str]],
    statistics: dict[str, float],
    enough: float,
    families: dict[str, str],
    command: str,
    outputs: dict[str, str],
) -> None:
    """Read the tables (a list of files each) and write them out.

    `families`: of each criterion; `command`: what exports a checkpoint, up to the name of its directory.
    """
    found = {name: pl.concat([tables.read(file, name) for file in some]) for name, some in files.items()}
    found["cost"] = summary.cost(found["pareto"])
    texts: dict[str, Any] = {
        "numbers": summary.markdown(found["retention"]),
        "summary": findings.summary(found, statistics, enough),
        "recommended": findings.recommendation(found["recommendation"], statistics, command),
        "found": json.dumps(findings.by_figure(found, enough, families), indent=2, ensure_ascii=False),
    }
    for name, output in outputs.items():
        if name in texts:
            summary.write_text(texts[name], output)
        else:
            summary.write_csv(found[name], output)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            {name: [file] if isinstance(file, str) else list(file) for name, file in snakemake.input.items()},
            snakemake.params.statistics,
            snakemake.params.enough,
            snakemake.params.families,
            snakemake.params.command,
            dict(snakemake.output.items()),
        )
