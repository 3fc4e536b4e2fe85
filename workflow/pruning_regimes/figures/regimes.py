"""Regimes: what each criterion keeps of the dense model's accuracy as more layers go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pruning_regimes.contracts import DENSE
from pruning_regimes.figures.style import CRITERIA, INK, Look, in_order, legend, looks, panels, save, theme

REFERENCES = {"dense": 1.0, "chance": 0.0}  # by the definition of retention
UNDEFINED = "retention is undefined:\nthe dense model is not clearly\nabove chance on every\nbenchmark of this group"
MARGIN = 0.06  # of the horizontal axis, left and right of the first and the last budget
TICK_INCHES = 0.4  # room for a tick label such as (12%)


def draw(retention: pl.DataFrame, style: Mapping[str, Any], outputs: Sequence[str | Path]) -> None:
    """Draw retention against budget and save it to each output."""
    save(figure(retention, style), outputs)


@theme()
def figure(retention: pl.DataFrame, style: Mapping[str, Any]) -> Figure:
    """Models x groups: share of decoder layers removed against retention, a line per criterion, confidence limits.

    Args:
        retention: the retention table; only its group rows are drawn.
        style: width, height.
    """
    rows = retention.filter(pl.col("benchmark").is_null()).with_columns(
        percent=100 * pl.col("n_removed") / pl.col("n_layers")
    )
    models, groups = in_order(rows["model"]), in_order(rows["group"])
    criteria = looks((name for name in in_order(rows["criterion"]) if name != DENSE), CRITERIA)
    # One scale for all panels; the ticks differ, as models differ in depth.
    farthest = rows["percent"].max()
    margin = MARGIN * farthest
    apart = TICK_INCHES * farthest * len(groups) / (0.7 * style["width"])
    fig, axes = panels(style, len(models), len(groups), sharey=True)
    for model, line in zip(models, axes, strict=True):
        for group, ax in zip(groups, line, strict=True):
            part = rows.filter(pl.col("model") == model, pl.col("group") == group).sort("n_removed")
            for level in REFERENCES.values():
                ax.axhline(level, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
            _curves(ax, part, criteria)
            _ticks(ax, part, apart)
            ax.set_xlim(-margin, farthest + margin)
        for name, level in REFERENCES.items():
            line[-1].annotate(name, (1, level), (4, 0), ("axes fraction", "data"), "offset points", va="center")
        line[0].set_ylabel(f"{model}\nretention")
    for top, bottom, group in zip(axes[0], axes[-1], groups, strict=True):
        top.set_title(f"{group} benchmarks")
        bottom.set_xlabel("decoder layers removed (share of all)")
    legend(fig, [_handle(look) for look in criteria.values()])
    return fig


def _curves(ax: Axes, part: pl.DataFrame, criteria: Mapping[str, Look]) -> None:
    """A line per criterion with its confidence limits, from the dense model on."""
    if part["retention"].is_null().all():
        ax.text(0.5, 0.5, UNDEFINED, transform=ax.transAxes, ha="center", va="center", backgroundcolor="white")
        return
    dense = part.filter(pl.col("criterion") == DENSE)
    budgets = in_order(part["percent"])
    gap = min(MARGIN / 0.3 * budgets[-1], *(b - a for a, b in pairwise(budgets)))
    for index, (criterion, look) in enumerate(criteria.items()):
        # Side by side, so that no criterion's limits hide another's: up to 0.3 gaps off the tick, within the margin.
        aside = 0.6 * gap * ((index + 0.5) / len(criteria) - 0.5)
        pruned = part.filter(pl.col("criterion") == criterion).with_columns(pl.col("percent") + aside)
        points = pl.concat([dense, pruned])
        ax.plot(points["percent"], points["retention"], color=look.colour, linewidth=1, alpha=0.8, label=look.label)
        ax.fill_between(
            points["percent"], points["retention_low"], points["retention_high"], color=look.colour, alpha=0.1, lw=0
        )
        ax.vlines(
            pruned["percent"], pruned["retention_low"], pruned["retention_high"], color=look.colour, linewidth=1.4
        )
        ax.plot(pruned["percent"], pruned["retention"], **_marker(look))
    ax.plot(dense["percent"], dense["retention"], color=INK, marker="o", markersize=5)


def _ticks(ax: Axes, part: pl.DataFrame, apart: float) -> None:
    """A tick per budget, labelled with count and percent; where labels would collide, only the first has one."""
    labelled, bare = [], []
    for percent, count in part.select("percent", "n_removed").unique(maintain_order=True).iter_rows():
        if not labelled or percent - labelled[-1][0] >= apart:
            labelled.append((percent, f"{count}\n({percent:.0f}%)"))
        else:
            bare.append(percent)
    ax.set_xticks(*zip(*labelled, strict=True))
    ax.set_xticks(bare, minor=True)


def _marker(look: Look) -> dict[str, Any]:
    return {
        "color": look.colour,
        "marker": look.marker,
        "markersize": 5.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
        "linestyle": "none",
    }


def _handle(look: Look) -> Line2D:
    return Line2D([], [], **{**_marker(look), "linestyle": "-", "label": look.label})
