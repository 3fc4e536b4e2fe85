"""Stability: how far few calibration samples choose the layers that all of them choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pruning_regimes.figures.grid import grid
from pruning_regimes.figures.style import (
    CRITERIA,
    INK,
    Look,
    chosen,
    in_order,
    key,
    legend,
    looks,
    marked,
    percentage,
    save,
    sentence,
    theme,
    ticks_within,
)

NARROWEST, PANEL = 0.95, 1.4  # least width and height of a panel in inches
EMPTY = "There is no stability to show: no criterion of this study depends on calibration samples."
CHANCE = {"color": INK, "linewidth": 1, "linestyle": (0, (4, 3)), "zorder": 1}
SIZE = 3.2  # of markers, in points
SPREAD = 0.4  # of the distance from one number of samples to the next, on which the criteria's markers stand
FEW = 3  # criteria whose limits can be told apart


def draw(
    stability: pl.DataFrame, style: Mapping[str, Any], outputs: Sequence[str | Path], resamples: int, confidence: float
) -> None:
    """Draw the stability of the layer sets and save it to each output."""
    save(figure(stability, style, resamples, confidence), outputs)


@theme()
def figure(stability: pl.DataFrame, style: Mapping[str, Any], resamples: int, confidence: float) -> Figure:
    """Models x budgets: calibration samples per domain against the overlap with the layer set of all samples.

    Args:
        stability: the stability tables of all models.
        style: as in the config.
        resamples: draws that each mean is over.
        confidence: share of them within the limits, which are drawn as bars if criteria are few.
    """
    criteria = looks(in_order(stability["criterion"]), CRITERIA, style)
    stability = chosen(stability, style, "criterion")
    if stability.is_empty():
        return sentence(style, EMPTY)
    sizes, limited = stability["n_samples"].unique().sort().to_list(), len(criteria) <= FEW
    labels = {size: str(size) for size in [sizes[-1], *sizes[:-1]]}
    curves = grid(style, in_order(stability["model"]), in_order(stability["budget"]), NARROWEST, PANEL)
    for (model, budget), ax in curves.panels.items():
        part = stability.filter(pl.col("model") == model, pl.col("budget") == budget).sort("n_samples")
        ax.set_xscale("log", base=2)
        ax.set_xlim(sizes[0] / 2**0.4, sizes[-1] * 2**0.4)
        ticks_within(ax, labels, curves.inches)
        ax.axhline(part["expected_jaccard"][0], **CHANCE)
        _curves(ax, part, criteria, limited)
        curves.title(model, budget, f"{part['n_removed'][0]} removed")
    ax.set_ylim(-0.03, 1.03)  # of all panels, as they share their axis
    curves.below("samples per domain")
    keys = [key(look, SIZE) for look in criteria.values()]
    legend(curves.figure, [*keys, Line2D([], [], **CHANCE, label="random layers")])
    curves.fit(style, PANEL)
    drawn = f"mean and {percentage(confidence)}\u00a0interval" if limited else "mean"
    curves.beside(f"Jaccard overlap with the layers that all samples choose ({drawn} of {resamples} draws)")
    return curves.figure


def _curves(ax: Axes, part: pl.DataFrame, criteria: Mapping[str, Look], limited: bool) -> None:
    """A line per criterion, with its limits if they are wanted."""
    for index, (criterion, look) in enumerate(criteria.items()):
        # Side by side, so that no criterion hides others that are as stable.
        aside = SPREAD * ((index + 0.5) / len(criteria) - 0.5)
        points = part.filter(pl.col("criterion") == criterion).with_columns(pl.col("n_samples") * 2**aside)
        line = {**marked(look, SIZE), "linestyle": "-", "linewidth": 1.2}
        ax.plot(points["n_samples"], points["jaccard"], **line, label=look.label)
        if limited:
            ends = points["jaccard_low"], points["jaccard_high"]
            ax.vlines(points["n_samples"], *ends, color=look.colour, linewidth=1, alpha=0.5)
