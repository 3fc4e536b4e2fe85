"""The table of the benchmark: one row per measure and model, as Parquet and as Markdown."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch

from pruning_regimes.evaluation.latency import device_name
from pruning_regimes.tables import replacing
from tests.speed.measure import ratios, spread

COLUMNS = {
    "measure": pl.String,
    "subject": pl.String,
    "ours": pl.Float64,
    "plain": pl.Float64,
    "ratio": pl.Float64,
    "bound": pl.Float64,
    "target": pl.Float64,
    "unit": pl.String,
    "repeats": pl.Int32,
    "spread": pl.Float64,
    "note": pl.String,
    "machine": pl.String,
}
LEGEND = """\
`ours` and `plain` are medians over `repeats` rounds, in `unit`; both sides run in one process, in turn. `ratio` is the
median of ours / plain of each round, and `spread` the distance between the quartiles of these ratios. `bound` is what
the ratio would be by the counts that the note names, if nothing else took time, and `target` the most that it should
be. Machine: {machine}.
"""


def row(
    measure: str,
    subject: str,
    ours: Sequence[float],
    plain: Sequence[float] | None,
    unit: str = "s",
    bound: float | None = None,
    target: float | None = None,
    note: str = "",
) -> dict[str, object]:
    """One row from the rounds of both sides.

    Args:
        subject: what it was measured on.
        plain: None if there is no other way; the spread is then that of ours.
        note: what is counted.
    """
    compared = ratios(ours, plain) if plain is not None else None
    return {
        "measure": measure,
        "subject": subject,
        "ours": float(np.median(ours)),
        "plain": float(np.median(plain)) if plain is not None else None,
        "ratio": float(np.median(compared)) if compared is not None else None,
        "bound": bound,
        "target": target,
        "unit": unit,
        "repeats": len(ours),
        "spread": spread(ours if compared is None else compared),
        "note": note,
    }


def machine(device: torch.device, threads: int) -> str:
    """The machine in words, without its name or paths."""
    cpu = f"{device_name(())}, {os.cpu_count()} cores, {threads} threads, torch {torch.__version__}"
    return f"{torch.cuda.get_device_name(device)}; {cpu}" if device.type == "cuda" else cpu


def write(rows: Iterable[dict[str, object]], on: str, stem: Path) -> pl.DataFrame:
    """Write the rows as `stem`.parquet and `stem`.md.

    Args:
        on: the machine.
    """
    table = pl.DataFrame([{**values, "machine": on} for values in rows], schema=COLUMNS)
    with replacing(stem.with_suffix(".parquet")) as temporary:
        table.write_parquet(temporary)
    with replacing(stem.with_suffix(".md")) as temporary:
        temporary.write_text(markdown(table))
    return table


def markdown(table: pl.DataFrame) -> str:
    """The table for people; the machine, which is the same in every row, stands above it."""
    shown = table.drop("machine")
    lines = [" | ".join(shown.columns), " | ".join("---" for _ in shown.columns)]
    lines += [" | ".join(map(_cell, values)) for values in shown.rows()]
    body = "\n".join(f"| {line} |" for line in lines)
    return f"# Benchmark\n\n{LEGEND.format(machine=table['machine'][0])}\n{body}\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
