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

from pruning_regimes.figures.style import (
    DOMAINS,
    INK,
    LAYERS,
    MARGIN,
    Look,
    chosen,
    dodge,
    fit,
    human,
    in_order,
    legend,
    looks,
    marked,
    panels,
    percent,
    removed,
    save,
    sentence,
    theme,
    ticks,
)

PANEL = 1.9  # height in inches
EMPTY = (
    "There is no domain effect to show: the study has no two criteria that look at one domain each, or retention is "
    "undefined on the benchmarks of these domains."
)
ABSENT = "retention is undefined"
PAIR = ("criterion_a", "criterion_b", "group_a", "group_b")
SUM = Look(INK, "D", "sum of both (difference in differences)")
GAP = 0.25  # of the farthest budget, between it and the mean over budgets
SIZE, SUM_SIZE = 3.8, 5.0  # of markers, in points


def draw(domain_effect: pl.DataFrame, style: Mapping[str, Any], outputs: Sequence[str | Path]) -> None:
    """Draw the domain effects and save them to each output."""
    save(figure(domain_effect, style), outputs)


@theme()
def figure(domain_effect: pl.DataFrame, style: Mapping[str, Any]) -> Figure:
    """Models x pairs of criteria: share of layers removed against the effect on both groups and their sum, with limits.

    Args:
        domain_effect: the table of domain effects.
        style: as in the config.
    """
    domain_effect = chosen(domain_effect, style, "criterion_a", "criterion_b")
    if domain_effect.is_empty():
        return sentence(style, EMPTY)
    rows = domain_effect.with_columns(percent=percent("n_removed"))
    models, pairs = in_order(rows["model"]), list(rows.select(PAIR).unique(maintain_order=True).iter_rows())
    groups = looks(dict.fromkeys(group for pair in pairs for group in pair[2:]), DOMAINS, style)
    farthest = rows["percent"].max()
    fig, axes = panels(style, len(models), len(pairs), PANEL, sharey=True)
    for model, line in zip(models, axes, strict=True):
        for pair, ax in zip(pairs, line, strict=True):
            part = rows.filter(
                pl.col("model") == model, *(pl.col(key) == of for key, of in zip(PAIR, pair, strict=True))
            )
            ax.axhline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
            _effects(ax, part, (groups[pair[2]], groups[pair[3]]), farthest, len(pairs))
        line[0].set_ylabel(model)
    for top, bottom, (a, b, group_a, group_b) in zip(axes[0], axes[-1], pairs, strict=True):
        top.set_title(f"{human(a)} ({human(group_a)})\nagainst {human(b)} ({human(group_b)})")
        bottom.set_xlabel(LAYERS)
    fig.supylabel("retention kept more by the domain's own criterion")
    legend(fig, _keys(groups, rows))
    fit(fig, axes, style, PANEL)
    return fig


def _effects(ax: Axes, part: pl.DataFrame, of_groups: tuple[Look, Look], farthest: float, columns: int) -> None:
    """Both groups' effects and their sum, side by side at each budget and at the mean over budgets.

    Args:
        part: rows of one model and pair.
        farthest: budget of any model, in percent.
        columns: of panels in the figure.
    """
    if part.is_empty():
        ax.set_xticks([])
        ax.text(0.5, 0.5, ABSENT, transform=ax.transAxes, ha="center", va="center", backgroundcolor="white")
        return
    budgets = part.filter(pl.col("budget").is_not_null()).sort("n_removed")
    labels = removed(budgets)
    mean = (1 + GAP) * farthest
    ax.set_xlim(0, mean + 1.5 * MARGIN * farthest)
    ticks(ax, {mean: "mean", **labels}, columns)
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


def _keys(groups: Mapping[str, Look], rows: pl.DataFrame) -> list[Artist]:
    """The legend's entries."""
    shown = [(replace(look, label=f"on {look.label} benchmarks"), SIZE) for look in groups.values()] + [(SUM, SUM_SIZE)]
    found: list[Artist] = [Line2D([], [], **marked(look, size), label=look.label) for look, size in shown]
    if rows["same_layers"].any():
        found.append(Line2D([], [], **_hollow(Look(INK, "o", ""), SIZE), label="both remove the same layers"))
    return found
