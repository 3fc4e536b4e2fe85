"""Write the tables for people: retention and overlap as CSV, the summary as Markdown."""

from pruning_regimes import summary, tables
from pruning_regimes.jobs import job


def main(retention: str, overlap: str, retention_csv: str, overlap_csv: str, markdown: str) -> None:
    """Read the retention and overlap tables and write them out."""
    kept = tables.read(retention, "retention")
    summary.write_csv(kept, retention_csv)
    summary.write_csv(tables.read(overlap, "overlap"), overlap_csv)
    summary.write_text(summary.markdown(kept), markdown)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        main(
            snakemake.input.retention,
            snakemake.input.overlap,
            snakemake.output.retention,
            snakemake.output.overlap,
            snakemake.output.summary,
        )
