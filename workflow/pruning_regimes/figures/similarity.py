"""Similarity profile: how little each decoder layer changes its input, per domain, and where domains differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pruning_regimes.figures import labels
from pruning_regimes.figures.by_layer import cosine_axis, counted, curve, layer_axis, name_heights, reach, tokens
from pruning_regimes.figures.grid import folded
from pruning_regimes.figures.style import DOMAINS, Look, across, fit, in_order, looks, panels, percentage, save, theme
from pruning_regimes.figures.texts import wrapped
from pruning_regimes.jobs.errors import DataError

PROFILE, GAP = 1.65, 1.1  # heights of the panels in inches
TALLEST = 6.5  # inches of the panels in a column, at most
NARROWEST, NUMBERS, BETWEEN = 1.5, 0.9, 0.1  # inches: width of a model, of what is left of all panels, between panels
TITLE, LABEL = 8.5, 8.0  # sizes in points
LEAST = 1.03  # a gap's axis reaches at least this ratio, up and down
# Ratios that it may name, the most important first.
RATIOS = (1, 2, 0.5, 5, 0.2, 10, 0.1, 1.5, 0.7, 1.2, 0.8, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98, 100, 0.01)


def draw(
    profile: pl.DataFrame, gap: pl.DataFrame, style: Mapping[str, Any], outputs: Sequence[str | Path], confidence: float
) -> None:
    """Draw the similarity profile and the gap between domains, and save them to each output.

    Raises: DataError if a model has no similarity for the style's token group.
    """
    save(figure(profile, gap, style, confidence), outputs)


@theme()
def figure(profile: pl.DataFrame, gap: pl.DataFrame, style: Mapping[str, Any], confidence: float) -> Figure:
    """Per model decoder layer against cosine, a line per domain, and below it the gap to the first domain, if any.

    Args:
        profile: the profile table of all models.
        gap: the gap table of all models.
        style: as in the config.
        confidence: level of the gap's intervals.

    Raises: DataError if a model has no similarity for the style's token group.
    """
    models, group = in_order(profile["model"]), style["token_group"]
    domains = looks(in_order(profile["domain"]), DOMAINS, style)
    profile, gap = (table.filter(pl.col("token_group") == group).sort("layer") for table in (profile, gap))
    for model in models:
        if model not in profile["model"]:
            raise DataError(f"Model '{model}' has no similarity for the token group '{group}'.")
    fig, axes, heights, places = _arranged(style, len(models), 1 if gap.is_empty() else 2)
    columns = axes.shape[1]
    named = {
        domain: replace(domains[domain], label=f"{domains[domain].label}\n({counted(rows)})")
        for (domain,), rows in profile.group_by("domain", maintain_order=True)
    }
    aside = labels.have_room(style, named, heights[0])
    inches = (across(style) * (1 - labels.WIDEST * aside) - NUMBERS) / columns - BETWEEN
    ends = {}
    for index, (model, own) in enumerate(zip(models, places, strict=True)):
        shown, between = (table.filter(pl.col("model") == model) for table in (profile, gap))
        last = _profiles(own[0], shown, domains, inches)
        own[0].set_title(wrapped(model, inches, TITLE, lines=3))
        for ax in own[1:]:
            _gaps(ax, between, domains, inches)
        for ax in own:
            layer_axis(ax, shown["layer"].max() + 1, inches)
            ax.tick_params(labelbottom=ax is own[-1], labelleft=index % columns == 0)
        if index % columns == columns - 1:
            ends[own[0]] = last
    for ax in axes[-1]:
        ax.set_xlabel("decoder layer")
    for own in places[::columns]:
        own[0].set_ylabel(f"input–output cosine,\n{tokens(group)}\n(10–90% of samples)")
        for ax in own[1:]:
            level = wrapped(f"{domains[gap['reference'][0]].label} = ×1", heights[1], LABEL)
            ax.set_ylabel(f"1 − cosine,\n{level}\n({percentage(confidence)} interval)")
    fig.align_ylabels(axes[:, 0])
    if not aside:
        labels.below(fig, named)
    fit(fig, axes, style, heights)
    fig.draw_without_rendering()
    cosine_axis([own[0] for own in places], profile)
    if not gap.is_empty():
        _ratio_axis([own[1] for own in places], gap)
    if aside:
        labels.beside(named, ends)
    return fig


def _arranged(
    style: Mapping[str, Any], n_models: int, n_panels: int
) -> tuple[Figure, np.ndarray, np.ndarray, list[np.ndarray]]:
    """A figure of models side by side, in as many lines as its width asks for.

    Args:
        n_panels: of a model, one below the other.

    Returns: the figure, its axes as [rows, columns], the height of each row in inches, and the panels of each model.
    """
    lines, columns = folded(n_models, max(1, int(across(style) / NARROWEST)))
    heights = np.tile([PROFILE, GAP][:n_panels], lines)
    heights *= min(1, TALLEST / sum(heights))
    fig, axes = panels(style, len(heights), columns, heights[0], height_ratios=heights)
    places = [line[:, column] for line in np.split(axes, lines) for column in range(columns)]
    for ax in (ax for place in places[n_models:] for ax in place):
        ax.remove()
    return fig, axes, heights, places[:n_models]


def _profiles(ax: Axes, rows: pl.DataFrame, domains: Mapping[str, Look], inches: float) -> dict[str, float]:
    """A line per domain of a model; gives where each ends."""
    ends = {}
    for (domain,), own in rows.group_by("domain", maintain_order=True):
        curve(ax, own, ("cosine", "cosine_p10", "cosine_p90"), domains[domain], inches)
        ends[domain] = own["cosine"][-1]
    return ends


def _gaps(ax: Axes, rows: pl.DataFrame, domains: Mapping[str, Look], inches: float) -> None:
    """A line per domain of a model but the first domain, which is the level 1."""
    ax.axhline(1, color=domains[rows["reference"][0]].colour, linewidth=1.2, zorder=1)
    for (domain,), own in rows.group_by("domain", maintain_order=True):
        curve(ax, own, ("ratio", "ratio_low", "ratio_high"), domains[domain], inches)


def _ratio_axis(axes: Sequence[Axes], gap: pl.DataFrame) -> None:
    """Vertical axes logarithmic in the ratio, alike in all panels, whose height is settled."""
    low, high = reach(gap, "ratio", "ratio_low", "ratio_high")
    low, high = log(min(low, 1 / LEAST)), log(max(high, LEAST))
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    for ax in axes:
        ax.set_yscale("log")
        ax.set_ylim(np.exp(high), np.exp(low))  # as above, what is higher changes less
    places = {ratio: (log(ratio) - low) / (high - low) for ratio in RATIOS if low <= log(ratio) <= high}
    name_heights(axes, places, "×{:g}")
