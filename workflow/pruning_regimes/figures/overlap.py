"""Overlap: how many layers the layer sets of two criteria share at each budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from pruning_regimes.figures.style import INK, chosen, fit, human, in_order, panels, save, theme

PANEL = 1.5  # height in inches
CELL_INCHES = 0.22  # a number needs this much
DARK = 0.55  # from this overlap on, a cell is too dark for dark text


def draw(overlap: pl.DataFrame, style: Mapping[str, Any], outputs: Sequence[str | Path]) -> None:
    """Draw the overlap matrices and save them to each output."""
    save(figure(overlap, style), outputs)


@theme()
def figure(overlap: pl.DataFrame, style: Mapping[str, Any]) -> Figure:
    """Models x budgets: a matrix of criteria per panel, shaded by the Jaccard overlap, and annotated where it fits.

    Args:
        overlap: the overlap table.
        style: as in the config.
    """
    overlap = chosen(overlap, style, "criterion_a", "criterion_b")
    models, budgets = in_order(overlap["model"]), in_order(overlap["budget"])
    criteria = in_order(overlap["criterion_a"])
    labels, places = [human(name) for name in criteria], range(len(criteria))
    fig, axes = panels(style, len(models), len(budgets), PANEL, sharex=True, sharey=True)
    annotated = 0.8 * fig.get_figwidth() / len(budgets) / len(criteria) >= CELL_INCHES
    for model, line in zip(models, axes, strict=True):
        for budget, ax in zip(budgets, line, strict=True):
            part = overlap.filter(pl.col("model") == model, pl.col("budget") == budget)
            cells = dict(zip(part.select("criterion_a", "criterion_b").iter_rows(), part["jaccard"], strict=True))
            matrix = [[cells[a, b] for b in criteria] for a in criteria]
            ax.grid(False)
            image = ax.imshow(matrix, cmap=style["palette"], vmin=0, vmax=1, aspect="auto")
            for y, row in enumerate(matrix if annotated else []):
                for x, value in enumerate(row):
                    colour = "white" if value >= DARK else INK
                    ax.text(x, y, f"{value:.2f}", color=colour, fontsize=5.5, ha="center", va="center")
            ax.set_title(f"{part['n_removed'][0]} removed\n(by chance {part['expected_jaccard'][0]:.2f})")
        line[0].set_ylabel(model)
    axes[0, 0].set_xticks(places, labels)  # of all panels, as they share their axes
    axes[0, 0].set_yticks(places, labels)
    for ax in axes[-1]:
        ax.tick_params(axis="x", rotation=90)
    fig.colorbar(image, ax=axes, label="Jaccard overlap", aspect=40, pad=0.01)
    fit(fig, axes, style, PANEL)
    return fig
