"""Stability: how far few calibration samples choose the layers that all of them choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pruning_regimes.figures.style import (
    CRITERIA,
    INK,
    Look,
    chosen,
    fit,
    in_order,
    key,
    legend,
    looks,
    marked,
    panels,
    save,
    sentence,
    theme,
    ticks,
)

PANEL = 1.5  # height in inches
EMPTY = "There is no stability to show: no criterion of this study depends on calibration samples."
CHANCE = {"color": INK, "linewidth": 1, "linestyle": (0, (4, 3)), "zorder": 1}
SIZE = 3.6  # of markers, in points


def draw(stability: pl.DataFrame, style: Mapping[str, Any], outputs: Sequence[str | Path]) -> None:
    """Draw the stability of the layer sets and save it to each output."""
    save(figure(stability, style), outputs)


@theme()
def figure(stability: pl.DataFrame, style: Mapping[str, Any]) -> Figure:
    """Models x budgets: calibration samples per domain against the overlap with the layer set of all samples.

    Args:
        stability: the stability tables of all models.
        style: as in the config.
    """
    criteria = looks(in_order(stability["criterion"]), CRITERIA, style)
    stability = chosen(stability, style, "criterion")
    if stability.is_empty():
        return sentence(style, EMPTY)
    models, budgets = in_order(stability["model"]), in_order(stability["budget"])
    sizes = stability["n_samples"].unique().sort().to_list()
    fig, axes = panels(style, len(models), len(budgets), PANEL, sharey=True)
    for model, line in zip(models, axes, strict=True):
        for budget, ax in zip(budgets, line, strict=True):
            part = stability.filter(pl.col("model") == model, pl.col("budget") == budget).sort("n_samples")
            ax.set_xscale("log", base=2)
            ax.set_xlim(sizes[0] / 2**0.4, sizes[-1] * 2**0.4)
            ticks(ax, {size: str(size) for size in sizes}, len(budgets), inches=0.07 * len(str(sizes[-1])))
            ax.axhline(part["expected_jaccard"][0], **CHANCE)
            _curves(ax, part, criteria)
            ax.set_title(f"{part['n_removed'][0]} removed")
        line[0].set_ylabel(model)
    axes[0, 0].set_ylim(-0.03, 1.03)  # of all panels, as they share their axis
    for ax in axes[-1]:
        ax.set_xlabel("samples\nper domain")
    fig.supylabel("Jaccard overlap with the layers that all samples choose")
    legend(fig, [*(key(look, SIZE) for look in criteria.values()), Line2D([], [], **CHANCE, label="random layers")])
    fit(fig, axes, style, PANEL)
    return fig


def _curves(ax: Axes, part: pl.DataFrame, criteria: Mapping[str, Look]) -> None:
    """A line per criterion."""
    for criterion, look in criteria.items():
        points = part.filter(pl.col("criterion") == criterion)
        ax.plot(
            points["n_samples"],
            points["jaccard"],
            **{**marked(look, SIZE), "linestyle": "-"},
            linewidth=1.2,
            label=look.label,
        )
