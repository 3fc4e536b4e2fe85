"""The study's tables for people: CSV and Markdown."""

from __future__ import annotations

import os
from collections.abc import Mapping

import polars as pl

from pruning_regimes.tables import replacing
from pruning_regimes.tables.contracts import DENSE

CELL = ("model", "criterion", "budget")
SECONDS = ("seconds", "seconds_low", "seconds_high", "prefill_seconds", "decode_seconds")
METRIC_COLUMNS = ("criterion", "replicate", "budget", "n_removed", "variant_id", "metric", "value", "n")


def write_csv(table: pl.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table as CSV, atomically."""
    with replacing(path) as temporary:
        table.write_csv(temporary)


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Write a text file, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def metrics(variants: Mapping[str, pl.DataFrame], measured: Mapping[tuple[str, str], pl.DataFrame]) -> pl.DataFrame:
    """The benchmarks' own metrics of every criterion and budget, and of the baselines (criterion and budget null).

    Args:
        variants: model -> variants table.
        measured: (model, benchmark) -> metrics table.
    """
    parts = []
    for (model, benchmark), table in measured.items():
        cells = variants[model].select("criterion", "replicate", "budget", "n_removed", "variant_id")
        found = table.join(cells, on="variant_id", how="left", maintain_order="left_right")
        parts.append(found.select(pl.lit(model).alias("model"), pl.lit(benchmark).alias("benchmark"), *METRIC_COLUMNS))
    return pl.concat(parts)


def cost(pareto: pl.DataFrame) -> pl.DataFrame:
    """What every criterion and budget costs, one row each, beside what each group retains.

    Args:
        pareto: the pareto table.

    Returns: times in seconds; speed_up, the dense model's time over the variant's (median over rounds); sizes in GB of
        10^9 bytes; retention_{group} and on_frontier_{group} of every group.
    """
    costs = pareto.unique(("model", "criterion", "budget"), keep="first", maintain_order=True).select(
        *CELL,
        "n_removed",
        "n_layers",
        "tokens",
        *SECONDS,
        speed_up=1 / pl.col("relative"),
        weights_gb=pl.col("weight_bytes") / 1e9,
        peak_gb=pl.col("peak_bytes") / 1e9,
    )
    for name in ("retention", "on_frontier"):
        named = pareto.with_columns(pl.format(f"{name}_{{}}", "group").alias("group"))
        by_group = named.pivot("group", index=CELL, values=name, maintain_order=True)
        costs = costs.join(by_group, on=CELL, maintain_order="left")
    machines = pareto.select("model", "device", "threads").unique("model", keep="first")
    return costs.join(machines, on="model", maintain_order="left")


def markdown(retention: pl.DataFrame) -> str:
    """The numbers: per model the dense accuracies, then retention per group, criterion and number of layers removed.

    Args:
        retention: the retention table.
    """
    parts = ["# Retention", ""]
    for model in retention["model"].unique(maintain_order=True):
        rows = retention.filter(pl.col("model") == model)
        parts += [f"## {model} ({rows['n_layers'][0]} decoder layers)", "", *_dense(rows), "", *_failed(rows)]
        for group in rows["group"].unique(maintain_order=True):
            of_group = rows.filter(pl.col("group") == group, pl.col("benchmark").is_null())
            parts += [f"Retention, group {group} (1 is the dense model, 0 is chance; confidence limits):", ""]
            parts += [*_retention(of_group), ""]
    return "\n".join(parts)


def _dense(rows: pl.DataFrame) -> list[str]:
    dense = rows.filter(pl.col("criterion") == DENSE)
    lines = ["| group | benchmark | questions | chance | dense accuracy | unparsed |", "|---|---|---:|---:|---:|---:|"]
    for row in dense.iter_rows(named=True):
        name = row["benchmark"] or "**mean**"
        limits = f"{row['accuracy']:.3f} [{row['accuracy_low']:.3f}, {row['accuracy_high']:.3f}]"
        shares = f"{row['chance']:.3f} | {limits} | {row['unparsed_rate']:.1%}"
        lines.append(f"| {row['group']} | {name} | {row['n_questions']} | {shares} |")
    return lines


def _failed(rows: pl.DataFrame) -> list[str]:
    failed = rows.filter(pl.col("benchmark").is_not_null(), pl.col("n_failed") > 0)
    counts = failed.group_by("benchmark", "n_questions", maintain_order=True).agg(pl.col("n_failed").max())
    lines = [f"- {benchmark}: up to {n_failed} of {n} questions" for benchmark, n, n_failed in counts.rows()]
    return ["Questions without an answer, because of an error (they count as wrong):", "", *lines, ""] if lines else []


def _retention(rows: pl.DataFrame) -> list[str]:
    pruned = rows.filter(pl.col("criterion") != DENSE)
    counts = pruned["n_removed"].unique().sort().to_list()
    lines = ["| criterion | " + " | ".join(f"{count} removed" for count in counts) + " |"]
    lines.append("|---|" + "---:|" * len(counts))
    for criterion in pruned["criterion"].unique(maintain_order=True):
        by_count = {
            row["n_removed"]: row for row in pruned.filter(pl.col("criterion") == criterion).iter_rows(named=True)
        }
        lines.append(f"| {criterion} | " + " | ".join(_cell(by_count[count]) for count in counts) + " |")
    return lines


def _cell(row: dict) -> str:
    if row["retention"] is None:
        return "undefined"
    return f"{row['retention']:.2f} [{row['retention_low']:.2f}, {row['retention_high']:.2f}]"
