"""Layer map: which decoder layers each criterion removes at each budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pruning_regimes.contracts import DENSE
from pruning_regimes.figures.style import chosen, fit, human, in_order, panels, save, theme

PANEL = 0.9  # height in inches
LETTER_INCHES = 0.07  # of a title


def draw(variants: pl.DataFrame, style: Mapping[str, Any], outputs: Sequence[str | Path]) -> None:
    """Draw the layer map and save it to each output."""
    save(figure(variants, style), outputs)


@theme()
def figure(variants: pl.DataFrame, style: Mapping[str, Any]) -> Figure:
    """Models x criteria: in each panel decoder layer against layers removed, shaded where the layer goes.

    Args:
        variants: the variants tables of all models, with a column `model`.
        style: as in the config.
    """
    pruned = chosen(variants, style, "criterion").filter(pl.col("criterion") != DENSE)
    models, criteria = in_order(pruned["model"]), in_order(pruned["criterion"])
    fig, axes = panels(style, len(models), len(criteria), PANEL, sharex="row", sharey="row")
    for model, row in zip(models, axes, strict=True):
        of_model = pruned.filter(pl.col("model") == model)
        n_layers = len(of_model["kept"][0]) + len(of_model["removed"][0])
        counts = of_model["n_removed"].unique().sort().to_list()
        for criterion, ax in zip(criteria, row, strict=True):
            ax.grid(False)
            mesh = ax.pcolormesh(
                np.arange(n_layers + 1) - 0.5,
                np.arange(len(counts) + 1) - 0.5,
                shares(of_model.filter(pl.col("criterion") == criterion), counts, n_layers),
                cmap=style["palette"],
                vmin=0,
                vmax=1,
                edgecolors="#D0D0D0",
                linewidth=0.4,
            )
            ax.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        # The panels of a row share their axes.
        row[0].set_yticks(range(len(counts)), counts)
        row[0].set(xlim=(-0.5, n_layers - 0.5), ylim=(len(counts) - 0.5, -0.5), ylabel=f"{model}\nlayers removed")
    names = [human(criterion) for criterion in criteria]
    if max(map(len, names)) * LETTER_INCHES > 0.85 * fig.get_figwidth() / len(names):
        names = [name.replace("-", "-\n") for name in names]
    for ax, name in zip(axes[0], names, strict=True):
        ax.set_title(name)
    fig.supxlabel("decoder layer")
    fig.colorbar(mesh, ax=axes, label="share of replicates removing the layer", aspect=40, pad=0.01)
    fit(fig, axes, style, PANEL)
    return fig


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
