"""Block distances: how far consecutive decoder layers turn the last token, and which block of a length the least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pruning_regimes.figures.by_layer import counted, entitle, heading, whole_numbers
from pruning_regimes.figures.grid import grid
from pruning_regimes.figures.style import INK, in_order, legend, save, theme

PANEL = 1.35  # height in inches
NARROWEST, NUMBERS = 0.85, 0.65  # width in inches that a panel takes, and what stands beside all
DOT = 0.45  # a dot's size, as a share of a cell's
SIZES = 1.3, 3.5  # of the smallest and the largest dot, in points
LINED = 5.0  # points of a cell, from which on there are lines between cells


def draw(blocks: pl.DataFrame, style: Mapping[str, Any], outputs: Sequence[str | Path]) -> None:
    """Draw the block distances and save them to each output."""
    save(figure(blocks, style), outputs)


@theme()
def figure(blocks: pl.DataFrame, style: Mapping[str, Any]) -> Figure:
    """Models x domains: first layer of a block against its length, shaded by distance; a dot on the nearest block.

    Args:
        blocks: the block_profile table of all models.
        style: as in the config.
    """
    domains = in_order(blocks["domain"])
    panels = grid(style, in_order(blocks["model"]), domains, NARROWEST, PANEL, NUMBERS, share=False)
    farthest, heads = blocks["angular_distance"].max(), {}
    for (model, domain), ax in panels.panels.items():
        rows = blocks.filter(pl.col("model") == model, pl.col("domain") == domain)
        mesh = _map(ax, rows, style["palette"], farthest, panels.inches)
        heads[model, domain] = heading(domain, counted(rows), panels.inches)
        # The panels of a model have the same axis.
        left = ax.get_subplotspec().colspan.start
        ax.tick_params(labelleft=left == panels.panels[model, domains[0]].get_subplotspec().colspan.start)
    entitle(panels, heads)
    panels.below("first layer")
    panels.colorbar(mesh, "angular distance between the block's input and output at the last token, in units of π")
    nearest = Line2D([], [], **_dots(SIZES[1]), label="smallest distance of its length")
    legend(panels.figure, [nearest])
    panels.fit(style, PANEL)
    for ax in panels.panels.values():
        _scale(ax)
    panels.beside("layers in the block")
    return panels.figure


def _map(ax: Axes, rows: pl.DataFrame, colours: str, farthest: float, inches: float) -> QuadMesh:
    """The blocks of a model and domain; gives their cells."""
    n_layers = rows["length"].max()
    distances = np.ma.masked_all((n_layers, n_layers))  # [length - 1, start]
    distances[rows["length"] - 1, rows["start"]] = rows["angular_distance"]
    edges = np.arange(n_layers + 1) - 0.5
    mesh = ax.pcolormesh(edges, edges + 1, distances, cmap=colours, vmin=0, vmax=farthest)
    nearest = rows.filter("nearest")
    ax.plot(nearest["start"], nearest["length"], **_dots(SIZES[1]))
    ax.set_xticks(whole_numbers(n_layers - 1, inches))
    ax.grid(False)
    ax.spines[["top", "right"]].set_visible(False)
    return mesh


def _scale(ax: Axes) -> None:
    """Numbers, dots and lines between cells as the size of a panel asks for, which is settled."""
    (mesh,), (dots,) = ax.collections, ax.get_lines()
    n_layers = len(mesh.get_array())
    width, height = ax.bbox.width / ax.figure.dpi, ax.bbox.height / ax.figure.dpi  # inches
    cell = 72 * min(width, height) / n_layers
    if cell >= LINED:
        mesh.set(edgecolor="white", linewidth=0.3)
    dots.set(**_dots(float(np.clip(DOT * cell, *SIZES))))
    ax.set_yticks([length for length in whole_numbers(n_layers, height) if length])


def _dots(size: float) -> dict[str, Any]:
    return {
        "color": INK,
        "marker": "o",
        "markersize": size,
        "markeredgecolor": "white",
        "markeredgewidth": 0.15 * size,
        "linestyle": "none",
    }
