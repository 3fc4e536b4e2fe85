"""Token groups: how little each decoder layer changes the image's tokens, the text's and the last one, per domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pruning_regimes.figures import labels
from pruning_regimes.figures.by_layer import cosine_axis, curve, entitle, heading, layer_axis, tokens
from pruning_regimes.figures.grid import grid
from pruning_regimes.figures.style import TOKENS, Look, across, in_order, looks, save, theme
from pruning_regimes.tables.contracts import TOKEN_GROUPS

PANEL = 1.35  # height in inches
NARROWEST = 0.85  # width in inches that a panel takes
NUMBERS = 0.8  # inches beside the panels, at the left
ALL = TOKEN_GROUPS[0]  # the reference
REFERENCE = {"linestyle": (0, (3, 1.5)), "linewidth": 1.0}


def draw(profile: pl.DataFrame, style: Mapping[str, Any], outputs: Sequence[str | Path]) -> None:
    """Draw the similarity per token group and save it to each output."""
    save(figure(profile, style), outputs)


@theme()
def figure(profile: pl.DataFrame, style: Mapping[str, Any]) -> Figure:
    """Models x domains: decoder layer against cosine, a line per token group, that of all tokens dashed.

    Args:
        profile: the profile table of all models.
        style: as in the config.
    """
    profile = profile.sort("layer")
    cells = profile.group_by("model", "domain", maintain_order=True).agg(pl.col("token_group").unique())
    there = set(profile["token_group"])
    groups = looks((group for group in TOKEN_GROUPS if group in there), TOKENS, style)
    groups = {name: replace(look, label=tokens(name)) for name, look in groups.items()}
    # Beside a panel without a line of some group, its label would have no place.
    aside = labels.have_room(style, groups, PANEL) and (cells["token_group"].list.len() == len(groups)).all()
    wide = NUMBERS + labels.WIDEST * across(style) * aside
    panels = grid(style, in_order(cells["model"]), in_order(cells["domain"]), NARROWEST, PANEL, wide)
    last, heads = {}, {}
    for (model, domain), ax in panels.panels.items():
        rows = profile.filter(pl.col("model") == model, pl.col("domain") == domain)
        last[ax] = _curves(ax, rows, groups, panels.inches)
        layer_axis(ax, rows["layer"].max() + 1, panels.inches)
        heads[model, domain] = heading(domain, _counts(rows), panels.inches)
    entitle(panels, heads)
    panels.below("decoder layer")
    if not aside:
        labels.below(panels.figure, groups, {ALL: REFERENCE})
    panels.fit(style, PANEL)
    panels.beside("input–output cosine (10–90% of samples)")
    cosine_axis(list(panels.panels.values()), profile)
    if aside:
        ends = [line[-1] for line in panels.lines() if len(line) == panels.columns]
        labels.beside(groups, {ax: last[ax] for ax in ends})
    return panels.figure


def _curves(ax: Axes, rows: pl.DataFrame, groups: Mapping[str, Look], inches: float) -> dict[str, float]:
    """A line per token group of a model and domain; gives where each ends."""
    ends = {}
    for group, look in groups.items():
        own = rows.filter(pl.col("token_group") == group)
        if not own.is_empty():
            shown = REFERENCE if group == ALL else {}
            curve(ax, own, ("cosine", "cosine_p10", "cosine_p90"), look, inches, **shown)
            ends[group] = own["cosine"][-1]
    return ends


def _counts(rows: pl.DataFrame) -> str:
    """Number of samples, and of those that have a token group that others lack."""
    by_group = rows.select("token_group", "n_samples").unique(maintain_order=True)
    n = rows["n_samples"].max()
    fewer = by_group.filter(pl.col("n_samples") < n)
    return ", ".join([f"n = {n}", *(f"{tokens(group)}: {count}" for group, count in fewer.iter_rows())])
