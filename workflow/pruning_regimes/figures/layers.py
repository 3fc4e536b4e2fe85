"""Layer map: which decoder layers each criterion removes at each budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from pruning_regimes.figures.grid import grid
from pruning_regimes.figures.style import CRITERIA, Look, across, chosen, in_order, legend, looks, marked, save, theme
from pruning_regimes.figures.texts import height, width, wrapped
from pruning_regimes.tables.contracts import DENSE

NARROWEST = 1.05  # width of a panel in inches
BAND, ROW = 0.17, 0.055  # least heights in inches: of a criterion, of one of its budgets
SPACE = 0.25  # between criteria, as a share of a criterion's height
NAME, LONGEST = 7.0, 0.3  # size of a criterion's name, and the share of the figure's width that it takes at most
MARKER, BESIDE = 4.0, 10.0  # size of a criterion's marker, and its room beside the panel, in points
TICKS = 6  # of a panel


def draw(variants: pl.DataFrame, style: Mapping[str, Any], outputs: Sequence[str | Path]) -> None:
    """Draw the layer map and save it to each output."""
    save(figure(variants, style), outputs)


@theme()
def figure(variants: pl.DataFrame, style: Mapping[str, Any]) -> Figure:
    """A panel per model: decoder layers against criteria, each with a row per budget, shaded where the layer goes.

    Args:
        variants: the variants tables of all models, with a column `model`.
        style: as in the config.
    """
    all_pruned = variants.filter(pl.col("criterion") != DENSE)
    pruned = chosen(all_pruned, style, "criterion")
    every, shown = looks(in_order(all_pruned["criterion"]), CRITERIA, {}), set(pruned["criterion"])
    criteria = {name: look for name, look in every.items() if name in shown}
    band = max(BAND, (1 + SPACE) * ROW * pruned["budget"].n_unique())
    lines = 2 if band > height("\n\n", NAME) else 1
    names = [wrapped(look.label, LONGEST * across(style), NAME, lines) for look in criteria.values()]
    inches = len(names) * band
    aside = max(width(name, NAME) for name in names) + BESIDE / 72 + 0.1
    maps = grid(style, in_order(pruned["model"]), [""], NARROWEST, inches, aside)
    for (model, item), ax in maps.panels.items():
        of_model = pruned.filter(pl.col("model") == model)
        counts = of_model["n_removed"].unique().sort().to_list()
        _map(ax, of_model, list(criteria), counts, style["palette"], maps.inches)
        maps.title(model, item, f"rows: {', '.join(map(str, counts))} removed")
    ax.set_ylim(len(names), 0)
    ax.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=NAME)
    for line in maps.lines():
        line[0].tick_params(axis="y", pad=BESIDE)
        _mark(line[0], list(criteria.values()))
    maps.below("decoder layer")
    if pruned["replicate"].max():
        maps.colorbar(ax.collections[0], "share of a criterion's replicates that remove the layer")
    else:
        legend(maps.figure, [Patch(color=matplotlib.colormaps[style["palette"]](1.0), label="removed")])
    maps.fit(style, inches)
    return maps.figure


def _map(
    ax: Axes, variants: pl.DataFrame, criteria: Sequence[str], counts: Sequence[int], colours: str, inches: float
) -> None:
    """A band per criterion, from the top.

    Args:
        variants: rows of one model.
        counts: the numbers of layers removed, in order.
        inches: width of the panel.
    """
    n_layers = len(variants["kept"][0]) + len(variants["removed"][0])
    for place, criterion in enumerate(criteria):
        ax.pcolormesh(
            np.arange(n_layers + 1) - 0.5,
            place + SPACE / 2 + np.linspace(0, 1 - SPACE, len(counts) + 1),
            shares(variants.filter(pl.col("criterion") == criterion), counts, n_layers),
            cmap=colours,
            vmin=0,
            vmax=1,
            edgecolors="#D4D4D4",
            linewidth=min(0.3, 0.08 * 72 * inches / n_layers),  # hardly any where cells are narrow
        )
    ax.set_xlim(-0.5, n_layers - 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=TICKS, integer=True))
    ax.grid(False)


def _mark(ax: Axes, criteria: Sequence[Look]) -> None:
    """The criteria's markers, between their names and the panel."""
    moved = ax.get_yaxis_transform() + ScaledTranslation(-0.55 * BESIDE / 72, 0, ax.figure.dpi_scale_trans)
    for place, look in enumerate(criteria):
        ax.plot(0, place + 0.5, transform=moved, clip_on=False, **marked(look, MARKER))


def shares(variants: pl.DataFrame, counts: Sequence[int], n_layers: int) -> np.ndarray:
    """Share of a criterion's replicates that remove each layer: [layers removed, decoder layer].

    Args:
        variants: rows of one model and criterion.
        counts: the numbers of layers removed, in order.
    """
    cells = np.zeros((len(counts), n_layers))
    for index, count in enumerate(counts):
        replicates = variants.filter(pl.col("n_removed") == count)["removed"].to_list()
        for removed in replicates:
            cells[index, removed] += 1 / len(replicates)
    return cells
