"""Pareto: what an answer of each variant takes, against what the variant retains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from pruning_regimes.figures.grid import grid
from pruning_regimes.figures.style import (
    CRITERIA,
    INK,
    UNDEFINED,
    Look,
    chosen,
    in_order,
    legend,
    looks,
    marked,
    percentage,
    save,
    theme,
    ticks_within,
)
from pruning_regimes.figures.texts import width, wrapped
from pruning_regimes.tables.contracts import DENSE

NARROWEST, PANEL = 1.5, 2.0  # least width and height of a panel in inches
ASIDE = 0.85  # inches for what stands beside the panels
MANY = 6  # from more criteria on, markers are smaller
SPREAD = 0.7  # of the usual distance between two times, on which the markers of one stand side by side
WIDEST = 0.12  # of a panel's width, at most, goes to that
MARGIN = 0.06  # of an axis, beyond the first and the last value
TICK, APART = 7.0, 0.06  # points of a label of the upper axis, and inches between two of them
CHANCE = {"color": INK, "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 1}
FRONTIER = {"color": INK, "linewidth": 1}
WHOLE = {"color": INK, "marker": "o", "markersize": 5, "linestyle": "none"}
TIME = {"facecolor": INK, "alpha": 0.08, "linewidth": 0}
FAINT = 0.3  # opacity of controls and of intervals
SMALL = 6.5  # points of the words at a panel's corners
ROOM = 0.08  # of a panel's height, below the markers, for what the model ran on


def draw(pareto: pl.DataFrame, style: Mapping[str, Any], outputs: Sequence[str | Path], confidence: float) -> None:
    """Draw what retention costs and save it to each output."""
    save(figure(pareto, style, confidence), outputs)


@theme()
def figure(pareto: pl.DataFrame, style: Mapping[str, Any], confidence: float) -> Figure:
    """Models x groups: seconds per question against retention, a marker per criterion and budget, and the frontier.

    Above each panel stand the layers removed and the memory, where their time is.

    Args:
        pareto: the pareto table.
        style: as in the config.
        confidence: level of the retention's intervals.
    """
    criteria = looks((name for name in in_order(pareto["criterion"]) if name != DENSE), CRITERIA, style)
    shown = chosen(pareto, style, "criterion")
    controls = set(pareto.filter("control")["criterion"])
    costs = grid(style, in_order(pareto["model"]), in_order(pareto["group"]), NARROWEST, PANEL, ASIDE)
    unit, name = (1e9, "GB") if pareto["weight_bytes"].max() >= 1e9 else (1e6, "MB")
    heading = f"removed\nweights, {name}" + ("\n(peak)" if pareto["peak_bytes"].count() else "")
    tops = []
    for (model, group), ax in costs.panels.items():
        at = (pl.col("model") == model, pl.col("group") == group)
        rows = pareto.filter(at)
        _panel(ax, rows, shown.filter(at), criteria, controls, costs.inches)
        tops.append((ax.secondary_xaxis("top"), rows))
        costs.title(model, group, f"{group} benchmarks")
        corner = {"ha": "right", "va": "bottom", "fontsize": SMALL, "textcoords": "offset points"}
        machine = wrapped(_machine(rows.row(0, named=True)), 0.95 * costs.inches, SMALL)
        ax.annotate(machine, (1, 0), (-3, 2), xycoords="axes fraction", **corner)
        if ax.get_subplotspec().is_first_col():
            ax.annotate(heading, (0, 1), (-9, 5), xycoords="axes fraction", **corner)
    front = pareto.filter("on_frontier")["retention"]  # of all criteria, whichever are shown
    low = min(0.0, *(values.min() or 0.0 for values in (shown["retention_low"], front)))
    high = max(1.0, *(values.max() or 1.0 for values in (shown["retention_high"], front)))
    # Of all panels, as they share their axis.
    ax.set_ylim(low - (MARGIN + ROOM) * (high - low), high + MARGIN * (high - low))
    for line in costs.lines():
        line[0].set_ylabel(f"retention\n({percentage(confidence)} interval)")
    costs.below(f"seconds per question\n(answer of {pareto['tokens'][0]} tokens)")
    legend(costs.figure, *_keys(criteria, controls, "criteria" in style))
    costs.figure.draw_without_rendering()  # the upper axes have their limits from here on
    for top, rows in tops:
        sizes = _sizes(rows, unit)
        ticks_within(top, sizes, costs.inches, max(width(size, TICK) for size in sizes.values()) + APART)
    costs.fit(style, PANEL)
    return costs.figure


def _panel(
    ax: Axes,
    rows: pl.DataFrame,
    shown: pl.DataFrame,
    criteria: Mapping[str, Look],
    controls: set[str],
    inches: float,
) -> None:
    """The times of all budgets, chance, the frontier of all criteria, and the markers of those that are shown.

    Args:
        inches: about how wide the panel is.
    """
    first, last = rows["seconds_low"].min(), rows["seconds_high"].max()
    per_second = 72 * inches / (last - first)  # points
    size, pruned = _size(criteria), shown.filter(pl.col("criterion") != DENSE)
    # Side by side, so that no criterion hides another of the same time; no farther apart than needed.
    room = min(SPREAD * rows["seconds"].unique().sort().diff().median() * per_second, WIDEST * 72 * inches)
    apart = min(size, room / len(criteria))
    margin = max(MARGIN * (last - first), apart * (len(criteria) + 1) / 2 / per_second)
    ax.set_xlim(first - margin, last + margin)
    for low, high in rows.select("seconds_low", "seconds_high").unique(maintain_order=True).iter_rows():
        ax.axvspan(low, high, **TIME, zorder=0)
    ax.axhline(0, **CHANCE)
    if rows["retention"].is_null().all():
        ax.text(0.5, 0.5, UNDEFINED, transform=ax.transAxes, ha="center", va="center", backgroundcolor="white")
        return
    front = rows.filter("on_frontier").unique("seconds", maintain_order=True).sort("seconds")
    steps = [*front["seconds"], last + margin], [*front["retention"], front["retention"][-1]]
    ax.plot(*steps, **FRONTIER, drawstyle="steps-post", zorder=2)
    for index, (criterion, look) in enumerate(criteria.items()):
        own = pruned.filter(~pl.col("on_frontier"), pl.col("criterion") == criterion)
        aside = apart * (index - (len(criteria) - 1) / 2)
        _mark(ax, own, look, size, aside, FAINT if criterion in controls else 1)
    # On the frontier a marker stands where its time is, and only those of one point beside each other.
    for _, same in pruned.filter("on_frontier").group_by("seconds", maintain_order=True):
        for index, criterion in enumerate(same["criterion"]):
            aside = size * (index - (len(same) - 1) / 2)
            _mark(ax, same[index], criteria[criterion], size, aside, zorder=3, markeredgecolor=INK)
    dense = rows.filter(pl.col("criterion") == DENSE)
    ax.plot(dense["seconds"], dense["retention"], **WHOLE, zorder=3)


def _mark(
    ax: Axes, rows: pl.DataFrame, look: Look, size: float, aside: float, opacity: float = 1, **others: Any
) -> None:
    """Markers with their intervals, some points aside of where they are."""
    place = ax.transData + ScaledTranslation(aside / 72, 0, ax.figure.dpi_scale_trans)
    ends = [rows["retention"] - rows["retention_low"], rows["retention_high"] - rows["retention"]]
    ends = [end.clip(lower_bound=0) for end in ends]  # a draw and the estimate are summed in different orders
    drawn = ax.errorbar(
        rows["seconds"],
        rows["retention"],
        ends,
        **{**marked(look, size), **others},
        elinewidth=1,
        alpha=opacity,
        label=look.label,
        transform=place,
    )
    drawn[2][0].set(alpha=FAINT * opacity)


def _sizes(rows: pl.DataFrame, unit: float) -> dict[float, str]:
    """The labels of the upper axis, the dense model's first: seconds -> layers removed, weights, peak in brackets."""
    digits = 1 if rows["weight_bytes"].max() >= 10 * unit else 2
    found = {}
    for row in rows.sort("n_removed").iter_rows(named=True):
        peak = "" if row["peak_bytes"] is None else f"\n({row['peak_bytes'] / unit:.{digits}f})"
        found.setdefault(row["seconds"], f"{row['n_removed']}\n{row['weight_bytes'] / unit:.{digits}f}{peak}")
    return found


def _machine(row: Mapping[str, Any]) -> str:
    """What a model ran on."""
    return row["device"] if row["peak_bytes"] is not None else f"{row['device']}, {row['threads']} thread"


def _keys(criteria: Mapping[str, Look], controls: set[str], some: bool) -> tuple[list[Artist], list[Artist]]:
    """The legend's entries: criteria, and what else is drawn.

    Args:
        some: whether criteria are left out, which may yet be on the frontier.
    """
    frontier = "Pareto frontier of all criteria" if some else "Pareto frontier"
    size = _size(criteria)
    return [
        Line2D([], [], **marked(look, size), alpha=FAINT if name in controls else 1, label=look.label)
        for name, look in criteria.items()
    ], [
        Line2D([], [], **WHOLE, label="dense"),
        Line2D([], [], **FRONTIER, label=frontier),
        Patch(**TIME, label="quartiles of the time"),
    ]


def _size(criteria: Mapping[str, Look]) -> float:
    """Of the criteria's markers, in points."""
    return 4.5 if len(criteria) <= MANY else 3.6
