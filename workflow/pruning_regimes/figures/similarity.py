"""Similarity profile: how little each decoder layer changes its input, per domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pruning_regimes.errors import DataError
from pruning_regimes.figures.style import DOMAINS, in_order, legend, looks, panels, save, theme


def draw(profile: pl.DataFrame, style: Mapping[str, Any], outputs: Sequence[str | Path]) -> None:
    """Draw the similarity profile and save it to each output.

    Raises: DataError if a model has no similarity for the style's token group.
    """
    save(figure(profile, style), outputs)


@theme()
def figure(profile: pl.DataFrame, style: Mapping[str, Any]) -> Figure:
    """One panel per model: decoder layer against cosine; per domain a line, and a band of 10th to 90th percentile.

    Args:
        profile: the profile table of all models.
        style: width, height, token_group.

    Raises: DataError if a model has no similarity for the style's token group.
    """
    models = in_order(profile["model"])
    domains = looks(in_order(profile["domain"]), DOMAINS)
    fig, axes = panels(style, 1, len(models), sharey=True)
    for ax, model in zip(axes[0], models, strict=True):
        rows = profile.filter(pl.col("model") == model, pl.col("token_group") == style["token_group"])
        if rows.is_empty():
            raise DataError(f"Model '{model}' has no similarity for the token group '{style['token_group']}'.")
        handles = []
        for domain, look in domains.items():
            line = rows.filter(pl.col("domain") == domain).sort("layer")
            ax.fill_between(
                line["layer"], line["cosine_p10"], line["cosine_p90"], color=look.colour, alpha=0.18, linewidth=0
            )
            handles += ax.plot(
                line["layer"],
                line["cosine"],
                color=look.colour,
                marker=look.marker,
                markersize=4,
                linewidth=1.5,
                label=look.label,
            )
        ax.set(title=model, xlabel="decoder layer")
        ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes[0, 0].set_ylabel("cosine of input and output")
    legend(fig, handles)
    return fig
