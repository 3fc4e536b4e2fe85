"""Turn a page of Markdown into one that a browser shows."""

from pathlib import Path

from pruning_regimes.jobs.job import job
from pruning_regimes.report import pages, summary


def main(text: str, output: str) -> None:
    """Read, convert and write."""
    summary.write_text(pages.page(Path(text).read_text()), output)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(snakemake.input[0], snakemake.output[0])
