"""What retention costs: time and memory of each criterion and budget, and which of them are on the Pareto frontier."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import polars as pl

from pruning_regimes.jobs.errors import DataError
from pruning_regimes.tables import frame
from pruning_regimes.tables.contracts import PHASES

COSTS = ("seconds", "seconds_low", "seconds_high", "relative", "relative_low", "relative_high")
SIZES = ("weight_bytes", "peak_bytes")
DIGITS = 9  # of a retention; the rest is what averages are rounded to
AT = ("criterion", "budget")


def pareto(
    model: str, retention: pl.DataFrame, variants: pl.DataFrame, latency: pl.DataFrame, controls: Collection[str]
) -> pl.DataFrame:
    """The pareto table of one model: a row per group, criterion and budget, the dense model included.

    A criterion's replicates are averaged. On the frontier of a group is what no other takes less time than with as much
    retention, nor retains more than in as much time, by the estimates as they are; controls are neither on it nor
    compared with, and without retention there is none.

    Args:
        model: its config key.
        retention: the retention table; only the model's group rows are looked at.
        variants, latency: the model's tables.
        controls: criteria that are controls.

    Raises: DataError if a variant was not measured.
    """
    costs = _costs(variants, latency)
    rows = retention.filter(pl.col("model") == model, pl.col("benchmark").is_null())
    found = rows.join(costs, on=AT, how="left", maintain_order="left").with_columns(
        control=pl.col("criterion").is_in(list(controls))
    )
    parts = [
        part.with_columns(on_frontier=pl.Series(_on_frontier(part), dtype=pl.Boolean))
        for part in found.partition_by("group", maintain_order=True)
    ]
    return frame("pareto", pl.concat(parts))


def _costs(variants: pl.DataFrame, latency: pl.DataFrame) -> pl.DataFrame:
    """Criterion x budget: what an answer takes, with the seconds of its phases and the sizes; means over replicates."""
    unknown = set(variants["variant_id"]) - set(latency["variant_id"])
    if unknown:
        raise DataError(f"The time of variant {min(unknown)} was not measured; run its model's latency job.")
    phases = {phase: latency.filter(pl.col("phase") == phase) for phase in PHASES}
    by_variant = phases["answer"].select("variant_id", "tokens", *COSTS, *SIZES, "device", "threads")
    for phase in ("prefill", "decode"):
        seconds = phases[phase].select("variant_id", pl.col("seconds").alias(f"{phase}_seconds"))
        by_variant = by_variant.join(seconds, on="variant_id", maintain_order="left")
    return (
        variants.select(*AT, "variant_id")
        .join(by_variant, on="variant_id", maintain_order="left")
        .group_by(AT, maintain_order=True)
        .agg(
            *map(_average, (*COSTS, "prefill_seconds", "decode_seconds")),
            pl.col(*SIZES).mean().round(),
            pl.col("tokens", "device", "threads").first(),
        )
    )


def _average(name: str) -> pl.Expr:
    """The mean of a column; of equal values that value, from which a sum of them may differ in its last digit."""
    values = pl.col(name)
    return pl.when(values.n_unique() == 1).then(values.first()).otherwise(values.mean()).alias(name)


def _on_frontier(rows: pl.DataFrame) -> np.ndarray:
    """[N] bool: which rows of one group no other row beats."""
    eligible = (~rows["control"] & rows["retention"].is_not_null()).to_numpy()
    seconds = rows["seconds"].to_numpy()
    retained = rows["retention"].fill_null(0.0).round(DIGITS).to_numpy()
    as_good = (seconds <= seconds[:, None]) & (retained >= retained[:, None])
    better = (seconds < seconds[:, None]) | (retained > retained[:, None])
    return eligible & ~(as_good & better & eligible).any(1)
