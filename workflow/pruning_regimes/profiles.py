"""Summaries of a model's similarity tables: what the criteria rank by and the figure shows."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from pruning_regimes.tables import frame


def profile(model: str, similarities: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Mean and spread (10th and 90th percentile over samples) of the cosine per domain, token group and layer.

    Each sample weighs the same, whatever its number of tokens.

    Args:
        similarities: domain -> similarity table.

    Returns: the profile table.
    """
    cosine = pl.col("cosine").cast(pl.Float64)
    parts = [
        table.group_by("token_group", "layer")
        .agg(
            n_samples=pl.len(),
            cosine=cosine.mean(),
            cosine_p10=cosine.quantile(0.1, "linear"),
            cosine_p90=cosine.quantile(0.9, "linear"),
        )
        .with_columns(model=pl.lit(model), domain=pl.lit(domain))
        .sort("token_group", "layer")
        for domain, table in similarities.items()
    ]
    return frame("profile", pl.concat(parts))
