"""Summaries of a model's similarity tables per domain: what the criteria rank by and the figures show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from pruning_regimes.tables import frame
from pruning_regimes.tables.contracts import TOKEN_GROUPS

FINEST = 1e-6  # a mean of 1 - cosine below this counts as this: in float32, it is mostly rounding
FEWEST = 8  # samples of a domain for an interval, since those from fewer are too narrow


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


def gap(
    model: str, similarities: Mapping[str, pl.DataFrame], resamples: int, confidence: float, seed: int
) -> pl.DataFrame:
    """How many times as much a decoder layer changes its input in each other domain as in the first one.

    The ratio of two means of 1 - cosine, each sample weighing the same: layers differ in them by orders of magnitude,
    so that a difference would show those that change the most, and no criterion removes, alone. The limits are
    percentiles of a bootstrap over the calibration samples, drawn within each domain.

    Args:
        similarities: domain -> similarity table.
        resamples: bootstrap draws.
        confidence: level of the intervals, each of which holds for its layer by itself.
        seed: of the draws.

    Returns: the gap table. A token group that one of two domains lacks has no rows; where one has fewer than eight
        samples, there are no limits.
    """
    rngs = np.random.default_rng(seed).spawn(len(similarities))
    (reference, base), *others = (
        (domain, _resampled(table, resamples, rng))
        for (domain, table), rng in zip(similarities.items(), rngs, strict=True)
    )
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    rows: list[dict[str, Any]] = []
    for domain, own in others:
        for group in (group for group in TOKEN_GROUPS if group in own and group in base):
            ratios = np.exp(own[group].change - base[group].change)
            limits = np.exp(np.quantile(own[group].drawn - base[group].drawn, tails, axis=0))
            enough = min(own[group].n_samples, base[group].n_samples) >= FEWEST
            for layer, (ratio, low, high) in enumerate(zip(ratios, *limits, strict=True)):
                rows.append(
                    {
                        "model": model,
                        "domain": domain,
                        "reference": reference,
                        "token_group": group,
                        "layer": layer,
                        "ratio": ratio,
                        "ratio_low": low if enough else None,
                        "ratio_high": high if enough else None,
                    }
                )
    return frame("gap", rows)


def block_profile(model: str, blocks: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Mean angular distance of each block of consecutive decoder layers per domain, and the nearest block of a length.

    Gromov et al. (arXiv 2403.17887) remove the block of n layers with the smallest mean; of equal ones, here, the
    deeper.

    Args:
        blocks: domain -> blocks table.

    Returns: the block_profile table.
    """
    distance, start = pl.col("angular_distance"), pl.col("start")
    parts = [
        table.group_by("start", "length")
        .agg(n_samples=pl.len(), angular_distance=distance.cast(pl.Float64).mean())
        .with_columns(
            model=pl.lit(model),
            domain=pl.lit(domain),
            nearest=(start == start.filter(distance == distance.min()).max()).over("length"),
        )
        .sort("length", "start")
        for domain, table in blocks.items()
    ]
    return frame("block_profile", pl.concat(parts))


class _Resampled(NamedTuple):
    """Logarithm of the mean of 1 - cosine over a domain's samples.

    Attributes:
        n_samples: N.
        change: of all samples, [L].
        drawn: of bootstrap draws, [R, L].
    """

    n_samples: int
    change: np.ndarray
    drawn: np.ndarray


def _resampled(similarity: pl.DataFrame, resamples: int, rng: np.random.Generator) -> dict[str, _Resampled]:
    """The changes that a domain's samples show, per token group."""
    found = {}
    ordered = similarity.sort("token_group", "sample_id", "layer")
    for (group,), rows in ordered.group_by("token_group", maintain_order=True):
        n = rows["sample_id"].n_unique()
        changes = 1 - rows["cosine"].cast(pl.Float64).to_numpy().reshape(n, -1)  # [N, L]
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n @ changes
        found[group] = _Resampled(n, *(np.log(np.maximum(means, FINEST)) for means in (changes.mean(0), drawn)))
    return found
