"""Regimes: what each criterion keeps of the dense model's accuracy as more layers go, and where regimes change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation, Transform

from pruning_regimes.figures.grid import Grid, grid
from pruning_regimes.figures.labels import End, Labels, extent
from pruning_regimes.figures.style import (
    CRITERIA,
    INK,
    LAYERS,
    MARGIN,
    TALLEST,
    UNDEFINED,
    Look,
    across,
    chosen,
    dodge,
    in_order,
    key,
    legend,
    looks,
    marked,
    percent,
    percentage,
    removed,
    save,
    settle,
    theme,
    ticks_within,
)
from pruning_regimes.tables.contracts import DENSE
from pruning_regimes.tables.contracts_statistics import REGIMES

NARROWEST, PANEL = 1.2, 2.0  # least width and height of a panel in inches
ASIDE, AROUND = 1.1, 1.2  # inches for what stands beside the panels, and above and below each
# Of the figure's width, and of a panel's height, that the criteria's names at the lines' ends take at most.
BESIDE, FULL = 0.16, 0.7
REFERENCES = {"dense": End(1.0), "chance": End(0.0)}  # by the definition of retention
MANY = 6  # from more criteria on, markers and bars are smaller
# Light tints that stay apart under the same simulations as the criteria's colours (CIE Lab distance above 10).
TINTS = dict(zip(REGIMES, ("#D6E5F8", "#FCF3C0", "#F7D5C2", "#D3D3D3", "#FFFFFF"), strict=True))
HATCH, HATCHES = "#E8E8E8", {"undecided": "//"}
DIFFER = {"color": INK, "marker": (6, 2, 0), "markersize": 6, "linestyle": "none", "zorder": 4}  # an asterisk
CUT = {"color": INK, "linewidth": 0.9, "linestyle": (0, (2, 2))}
INTERVAL = {"color": INK, "linewidth": 1.2, "marker": "|", "markersize": 4}
NAME_POINTS = 6.5  # size of a regime's name
NAME_SHARE = 0.27  # of a panel's height, at most, goes to the regimes' names
ROW_POINTS = 8.0  # height of a row of cut intervals
LIFT_POINTS = 3.0  # of the lowest, above the asterisks on the axis


def draw(
    retention: pl.DataFrame,
    segments: pl.DataFrame,
    sensitivity: pl.DataFrame,
    style: Mapping[str, Any],
    outputs: Sequence[str | Path],
    confidence: float,
) -> None:
    """Draw retention against budget, with the regimes, and save it to each output."""
    save(figure(retention, segments, sensitivity, style, confidence), outputs)


@theme()
def figure(
    retention: pl.DataFrame,
    segments: pl.DataFrame,
    sensitivity: pl.DataFrame,
    style: Mapping[str, Any],
    confidence: float,
) -> Figure:
    """Models x groups: share of decoder layers removed against retention, a line per criterion, confidence limits.

    Behind the lines the regimes, with the limits of the points where they change; asterisks where criteria differ.

    Args:
        retention: the retention table; only its group rows are drawn.
        segments: the segments table; a group without rows has no shading.
        sensitivity: the sensitivity table.
        style: as in the config.
        confidence: level of the tables' intervals.
    """
    rows = retention.filter(pl.col("benchmark").is_null()).with_columns(percent=percent("n_removed"))
    cuts = segments.sort("segment").with_columns(percent("start"), percent("start_low"), percent("start_high"))
    differing = sensitivity.filter("sensitive").with_columns(percent=percent("n_removed"))
    criteria = looks((name for name in in_order(rows["criterion"]) if name != DENSE), CRITERIA, style)
    rows = chosen(rows, style, "criterion")
    curves = grid(style, in_order(rows["model"]), in_order(rows["group"]), NARROWEST, PANEL, ASIDE)
    # One scale for all panels; the ticks differ, as models differ in depth.
    farthest = rows["percent"].max()
    for (model, group), ax in curves.panels.items():
        part = rows.filter(pl.col("model") == model, pl.col("group") == group).sort("n_removed")
        for end in REFERENCES.values():
            ax.axhline(end.place, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        _curves(ax, part, criteria)
        ax.set_xlim(-MARGIN * farthest, (1 + MARGIN) * farthest)
        ticks_within(ax, removed(part), curves.inches)
        curves.title(model, group, f"{group} benchmarks (n\u00a0=\u00a0{part['n_questions'][0]})")
    for line in curves.lines():
        line[0].set_ylabel(f"retention\n({percentage(confidence)} interval)")
    curves.below(LAYERS)
    direct = _fit_beside(curves, rows, criteria, style)
    labels = [
        Labels(ax, _ends(rows.filter(pl.col("model") == model, pl.col("group") == group), criteria if direct else {}))
        for (model, group), ax in curves.panels.items()
        if ax.get_subplotspec().is_last_col()
    ]
    keys = [] if direct else [key(look, _size(criteria)) for look in criteria.values()]
    legend(curves.figure, keys, _keys(cuts, differing))
    curves.fit(style, PANEL)
    _regimes(curves, cuts, differing)
    for label in labels:
        label.settle()
    return curves.figure


def _curves(ax: Axes, part: pl.DataFrame, criteria: Mapping[str, Look]) -> None:
    """A line per criterion with its confidence limits, from the dense model on."""
    if part["retention"].is_null().all():
        ax.text(0.5, 0.5, UNDEFINED, transform=ax.transAxes, ha="center", va="center", backgroundcolor="white")
        return
    dense = part.filter(pl.col("criterion") == DENSE)
    few = len(criteria) <= MANY
    # Side by side, so that no criterion's limits hide another's.
    asides = dodge(in_order(part["percent"]), len(criteria))
    for aside, (criterion, look) in zip(asides, criteria.items(), strict=True):
        pruned = part.filter(pl.col("criterion") == criterion).with_columns(pl.col("percent") + aside)
        points = pl.concat([dense, pruned])
        ax.plot(points["percent"], points["retention"], color=look.colour, linewidth=1, alpha=0.8, label=look.label)
        if few:  # many bands would hide each other
            limits = points["retention_low"], points["retention_high"]
            ax.fill_between(points["percent"], *limits, color=look.colour, alpha=0.1, lw=0)
        ax.vlines(
            pruned["percent"],
            pruned["retention_low"],
            pruned["retention_high"],
            color=look.colour,
            linewidth=1.4 if few else 1,
        )
        ax.plot(pruned["percent"], pruned["retention"], **marked(look, _size(criteria)))
    ax.plot(dense["percent"], dense["retention"], color=INK, marker="o", markersize=5)


def _fit_beside(curves: Grid, rows: pl.DataFrame, criteria: Mapping[str, Look], style: Mapping[str, Any]) -> bool:
    """Whether the criteria's names fit beside the lines' ends: they are few and short, and all lines have an end."""
    if len(criteria) > MANY or rows["retention"].null_count():
        return False
    width, height = extent({look.label: End(0, look) for look in criteria.values()} | REFERENCES)
    panel = style.get("height", TALLEST) / len(curves.lines()) - AROUND
    return width <= BESIDE * across(style) and height <= FULL * min(panel, PANEL)


def _ends(part: pl.DataFrame, criteria: Mapping[str, Look]) -> dict[str, End]:
    """Labels beside a panel: the reference lines, and the criteria where their lines end.

    Args:
        part: rows of one model and group, in the order of budgets.
    """
    last = {name: part.filter(pl.col("criterion") == name).sort("n_removed")["retention"][-1] for name in criteria}
    return {**REFERENCES, **{look.label: End(last[name], look) for name, look in criteria.items()}}


def _regimes(curves: Grid, cuts: pl.DataFrame, differing: pl.DataFrame) -> None:
    """Regimes, cuts and asterisks of all panels, above and below the room that the curves have."""
    # Settles the size of the panels, on which depends which names fit.
    settle(curves.figure)
    above = below = 0.0
    for (model, group), ax in curves.panels.items():
        own = cuts.filter(pl.col("model") == model, pl.col("group") == group)
        above = max(above, _shade(ax, own))
        below = max(below, _cut(ax, own.filter(pl.col("start").is_not_null())))
        for place in differing.filter(pl.col("model") == model, pl.col("group") == group)["percent"]:
            ax.plot(place, 0, transform=ax.get_xaxis_transform(), clip_on=False, **DIFFER)
    _make_room(ax, above, below)


def _shade(ax: Axes, segments: pl.DataFrame) -> float:
    """Tint each segment and write its regime's name where it fits; the height of the names in points."""
    left, right = ax.get_xlim()
    edges = [left, *segments["start"].drop_nulls(), right]
    height = 0.0
    for regime, (start, end) in zip(segments["regime"], pairwise(edges), strict=False):
        ax.axvspan(start, end, facecolor=TINTS[regime], hatch=HATCHES.get(regime), edgecolor=HATCH, lw=0, zorder=0)
        height = max(height, _name(ax, regime, (start + end) / 2, (end - start) / (right - left)))
    return height


def _name(ax: Axes, regime: str, place: float, share: float) -> float:
    """Write a regime's name at the top of its segment, broken or turned to fit; the name's height in points.

    Args:
        share: of the panel's width that the segment has.
    """
    text = ax.text(place, 1, regime, transform=_edge(ax, -2), ha="center", va="top", fontsize=NAME_POINTS)
    broken = regime.replace("-", "-\n")
    for name, rotation in ((regime, 0), (broken, 0), (broken, 90)):
        text.set(text=name, rotation=rotation)
        size = text.get_window_extent()
        if size.width <= 0.96 * share * ax.bbox.width and size.height <= NAME_SHARE * ax.bbox.height:
            return 72 * size.height / ax.figure.dpi + 3
    text.remove()
    return 0.0


def _cut(ax: Axes, cuts: pl.DataFrame) -> float:
    """A dashed line and an interval per cut; the height of the rows of intervals: those that overlap share none."""
    ends: list[float] = []
    for start, low, high in cuts.select("start", "start_low", "start_high").iter_rows():
        row = next((row for row, end in enumerate(ends) if end < low), len(ends))
        ends[row : row + 1] = [high]
        ax.axvline(start, zorder=1, **CUT)
        height = _edge(ax, LIFT_POINTS + (row + 0.5) * ROW_POINTS)
        ax.plot([low, high], [0, 0], transform=height, **INTERVAL)
        ax.plot([start], [0], transform=height, **{**INTERVAL, "marker": "o"})
    return LIFT_POINTS + len(ends) * ROW_POINTS


def _edge(ax: Axes, points: float) -> Transform:
    """Across, the panel's data; upwards, its height from 0 to 1, moved by some points."""
    return ax.get_xaxis_transform() + ScaledTranslation(0, points / 72, ax.figure.dpi_scale_trans)


def _make_room(ax: Axes, above: float, below: float) -> None:
    """Widen the vertical axis, which all panels share, by some points above and below; its ticks stay."""
    low, high = ax.get_ylim()
    ax.set_yticks([tick for tick in ax.get_yticks() if low <= tick <= high])
    height = 72 * ax.bbox.height / ax.figure.dpi
    # In a low panel names and intervals lie over the curves rather than leave no room for them.
    per_point = (high - low) / max(height - above - below, height / 3)
    ax.set_ylim(low - below * per_point, high + above * per_point)


def _keys(segments: pl.DataFrame, differing: pl.DataFrame) -> list[Artist]:
    """The legend's entries besides criteria: the regimes that occur, then marks that occur."""
    occurring = segments["regime"].unique()
    found: list[Artist] = [
        Patch(facecolor=TINTS[regime], hatch=HATCHES.get(regime), edgecolor="#A0A0A0", linewidth=0.5, label=regime)
        for regime in REGIMES
        if regime in occurring
    ]
    if segments["start"].count():
        found.append(Line2D([], [], **{**INTERVAL, "marker": "o"}, label="cut, with interval"))
    if not differing.is_empty():
        found.append(Line2D([], [], **DIFFER, label="criteria differ (Holm)"))
    return found


def _size(criteria: Mapping[str, Look]) -> float:
    """Of the criteria's markers, in points."""
    return 4.5 if len(criteria) <= MANY else 3.6
