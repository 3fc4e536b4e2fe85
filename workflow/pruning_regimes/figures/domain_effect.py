"""Domain effect: how much more a domain's benchmarks keep by the criterion that looks at that domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pruning_regimes.figures.grid import grid
from pruning_regimes.figures.style import (
    DOMAINS,
    INK,
    LAYERS,
    MARGIN,
    Look,
    chosen,
    dodge,
    human,
    in_order,
    legend,
    looks,
    marked,
    percent,
    percentage,
    removed,
    save,
    sentence,
    theme,
    ticks_within,
)
from pruning_regimes.tables.contracts import DENSE

NARROWEST, PANEL = 1.7, 1.9  # least width and height of a panel in inches
EMPTY = (
    "There is no domain effect to show: the study has no two criteria that look at one domain each, or retention is "
    "undefined on the benchmarks of these domains."
)
ABSENT = "retention is\nundefined"
PAIR = ("criterion_a", "criterion_b", "group_a", "group_b")
SUM = Look(INK, "D", "sum of both (difference in differences)")
GAP = 0.25  # of the farthest budget, between it and the mean over budgets
SIZE, SUM_SIZE = 3.8, 5.0  # of markers, in points


def draw(
    domain_effect: pl.DataFrame,
    retention: pl.DataFrame,
    style: Mapping[str, Any],
    outputs: Sequence[str | Path],
    confidence: float,
) -> None:
    """Draw the domain effects and save them to each output."""
    save(figure(domain_effect, retention, style, confidence), outputs)


@theme()
def figure(domain_effect: pl.DataFrame, retention: pl.DataFrame, style: Mapping[str, Any], confidence: float) -> Figure:
    """Models x pairs of criteria: share of layers removed against the effect on both groups and their sum, with limits.

    Args:
        domain_effect: the table of domain effects.
        retention: the retention table, which tells the number of questions of each group.
        style: as in the config.
        confidence: level of the table's intervals.
    """
    domain_effect = chosen(domain_effect, style, "criterion_a", "criterion_b")
    if domain_effect.is_empty():
        return sentence(style, EMPTY)
    rows = domain_effect.with_columns(percent=percent("n_removed"))
    pairs = list(rows.select(PAIR).unique(maintain_order=True).iter_rows())
    groups = looks(dict.fromkeys(group for pair in pairs for group in pair[2:]), DOMAINS, style)
    farthest = rows["percent"].max()
    effects = grid(style, in_order(rows["model"]), pairs, NARROWEST, PANEL)
    for (model, pair), ax in effects.panels.items():
        part = rows.filter(pl.col("model") == model, *(pl.col(key) == of for key, of in zip(PAIR, pair, strict=True)))
        ax.axhline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        _effects(ax, part, (groups[pair[2]], groups[pair[3]]), farthest, effects.inches)
        a, b, group_a, group_b = pair
        effects.title(model, pair, f"{human(a)} ({human(group_a)})\nagainst {human(b)} ({human(group_b)})")
    effects.below(LAYERS)
    dense = retention.filter(pl.col("benchmark").is_null(), pl.col("criterion") == DENSE)
    legend(effects.figure, _keys(groups, dict(dense.select("group", "n_questions").iter_rows()), rows))
    effects.fit(style, PANEL)
    effects.beside(f"retention kept more by the domain's own criterion ({percentage(confidence)}\u00a0interval)")
    return effects.figure


def _effects(ax: Axes, part: pl.DataFrame, of_groups: tuple[Look, Look], farthest: float, inches: float) -> None:
    """Both groups' effects and their sum, side by side at each budget and at the mean over budgets.

    Args:
        part: rows of one model and pair.
        farthest: budget of any model, in percent.
        inches: width of the panel.
    """
    if part.is_empty():
        ax.set_xticks([])
        ax.text(0.5, 0.5, ABSENT, transform=ax.transAxes, ha="center", va="center", backgroundcolor="white")
        return
    budgets = part.filter(pl.col("budget").is_not_null()).sort("n_removed")
    labels = removed(budgets)
    mean = (1 + GAP) * farthest
    ax.set_xlim(0, mean + 1.5 * MARGIN * farthest)
    ticks_within(ax, {mean: "mean", **labels}, inches)
    ax.axvline((farthest + mean) / 2, color="#BBBBBB", linewidth=0.8)
    placed = part.with_columns(pl.col("percent").fill_null(mean))
    shown = ((of_groups[0], "effect_a", SIZE), (of_groups[1], "effect_b", SIZE), (SUM, "effect", SUM_SIZE))
    for aside, (look, effect, size) in zip(dodge([0, *labels], len(shown), spread=0.9), shown, strict=True):
        for row in placed.iter_rows(named=True):
            place = row["percent"] + aside
            ax.vlines(place, row[f"{effect}_low"], row[f"{effect}_high"], color=look.colour, linewidth=size / 4)
            ax.plot(place, row[effect], **(_hollow(look, size) if row["same_layers"] else marked(look, size)))


def _hollow(look: Look, size: float) -> dict[str, Any]:
    return {**marked(look, size), "markerfacecolor": "white", "markeredgecolor": look.colour, "markeredgewidth": 1}


def _keys(groups: Mapping[str, Look], n_questions: Mapping[str, int], rows: pl.DataFrame) -> list[Artist]:
    """The legend's entries."""
    shown = [
        (replace(look, label=f"on {look.label} benchmarks (n = {n_questions[group]})"), SIZE)
        for group, look in groups.items()
    ]
    found: list[Artist] = [
        Line2D([], [], **marked(look, size), label=look.label) for look, size in [*shown, (SUM, SUM_SIZE)]
    ]
    if rows["same_layers"].any():
        found.append(Line2D([], [], **_hollow(Look(INK, "o", ""), SIZE), label="both remove the same layers"))
    return found
