"""Similarity profile: how little each decoder layer changes its input, per domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pruning_regimes.errors import DataError
from pruning_regimes.figures.style import DOMAINS, fit, in_order, legend, looks, panels, save, theme

PANEL = 1.9  # height in inches
SMALLEST = 1e-6  # cosines closer to 1 than this are drawn here
TICKS = (-0.5, 0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)


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
        style: as in the config.

    Raises: DataError if a model has no similarity for the style's token group.
    """
    models = in_order(profile["model"])
    domains = looks(in_order(profile["domain"]), DOMAINS, style)
    fig, axes = panels(style, 1, len(models), PANEL, sharey=True)
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
    stretch(axes[0, 0])
    axes[0, 0].set_ylabel("cosine of input and output")
    legend(fig, handles)
    fit(fig, axes, style, PANEL)
    return fig


def stretch(ax: Axes) -> None:
    """Logarithmic in 1 - cosine, labelled in cosine: the layers that criteria choose among lie close to 1."""

    def forward(cosine: np.ndarray) -> np.ndarray:
        return -np.log10(np.maximum(1 - np.asarray(cosine), SMALLEST))

    def inverse(stretched: np.ndarray) -> np.ndarray:
        return 1 - 10 ** -np.asarray(stretched)

    ax.set_yscale("function", functions=(forward, inverse))
    low, high = inverse(forward(np.array([ax.dataLim.y0, ax.dataLim.y1])) + [-0.1, 0.1])
    ax.set_ylim(low, high)
    ticks = [tick for tick in TICKS if low <= tick <= high]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
