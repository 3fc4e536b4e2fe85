"""Overlap: how many layers the layer sets of two criteria share at each budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from pruning_regimes.figures.grid import grid
from pruning_regimes.figures.style import INK, across, chosen, human, in_order, save, theme
from pruning_regimes.figures.texts import width, wrapped

NARROWEST = 1.0  # width of a panel in inches
CELL = (0.095, 0.165)  # least width of a cell in inches, and its height where there is room
LOWEST = 0.6  # height of a panel in inches
NAME, NUMBER = 6.0, 6.0  # sizes of a criterion's name and of a number in a cell
LONGEST = 0.22  # share of the figure's width that a name takes at most
DARK = 0.55  # from this overlap on, a cell is too dark for dark text


def draw(overlap: pl.DataFrame, style: Mapping[str, Any], outputs: Sequence[str | Path]) -> None:
    """Draw the overlap matrices and save them to each output."""
    save(figure(overlap, style), outputs)


@theme()
def figure(overlap: pl.DataFrame, style: Mapping[str, Any]) -> Figure:
    """Models x budgets: a matrix of criteria per panel, shaded by the Jaccard overlap, which is written where it fits.

    The criteria are numbered, and have their names at the left.

    Args:
        overlap: the overlap table.
        style: as in the config.
    """
    overlap = chosen(overlap, style, "criterion_a", "criterion_b")
    criteria = in_order(overlap["criterion_a"])
    longest = LONGEST * across(style)
    names = [f"{wrapped(human(name), longest, NAME)}  {place}" for place, name in enumerate(criteria, start=1)]
    aside = max(width(name, NAME) for name in names) + 0.1
    least, inches = max(NARROWEST, CELL[0] * len(names)), max(LOWEST, CELL[1] * len(names))
    matrices = grid(style, in_order(overlap["model"]), in_order(overlap["budget"]), least, inches, aside)
    cell = matrices.inches / len(names)
    written, step = cell >= width("0.00 ", NUMBER), ceil(width("00 ", NAME) / cell)
    for (model, budget), ax in matrices.panels.items():
        part = overlap.filter(pl.col("model") == model, pl.col("budget") == budget)
        cells = dict(zip(part.select("criterion_a", "criterion_b").iter_rows(), part["jaccard"], strict=True))
        matrix = [[cells[a, b] for b in criteria] for a in criteria]
        ax.grid(False)
        ax.imshow(matrix, cmap=style["palette"], vmin=0, vmax=1, aspect="auto")
        for y, row in enumerate(matrix if written else []):
            for x, value in enumerate(row):
                colour = "white" if value >= DARK else INK
                ax.text(x, y, f"{value:.2f}", color=colour, fontsize=NUMBER, ha="center", va="center")
        ax.set_xticks(range(0, len(names), step), range(1, len(names) + 1, step))
        ax.set_yticks(range(len(names)), names)
        ax.tick_params(labelsize=NAME)
        matrices.title(model, budget, f"{part['n_removed'][0]} removed\n(by chance {part['expected_jaccard'][0]:.2f})")
    matrices.colorbar(ax.images[0], "Jaccard overlap of two criteria's layers")
    matrices.fit(style, inches)
    return matrices.figure
