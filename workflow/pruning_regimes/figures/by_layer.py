"""What figures of lines over decoder layers share: their axes, lines with bands, and how samples are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pruning_regimes.figures.grid import TITLE, Grid
from pruning_regimes.figures.style import Look, human, marked
from pruning_regimes.figures.texts import width
from pruning_regimes.measurement.profiles import FINEST

MARKER = 3.2  # size in points
PITCH = 5.0  # points from marker to marker, at least
TICK_INCHES = 0.115  # height of a tick's label
NUMBER_INCHES = 0.22  # width of a layer's number, with what is between two
# Cosines that an axis may name, the most important first.
COSINES = (0.9, 0.99, 0.999, 0.0, 0.9999, 0.95, 0.995, 0.5, 0.9995, 0.8, 0.98, 0.998, -0.5, 0.99999)


def layer_axis(ax: Axes, n_layers: int, inches: float) -> None:
    """Horizontal axis of decoder layers.

    Args:
        inches: width of the panel, about.
    """
    ax.set_xlim(-0.03 * n_layers, 1.03 * n_layers - 1)
    ax.set_xticks(whole_numbers(n_layers - 1, inches))


def whole_numbers(last: int, inches: float) -> list[float]:
    """Ticks from 0 to the last layer, as many as have room."""
    found = MaxNLocator(nbins=max(2, int(inches / NUMBER_INCHES)), integer=True).tick_values(0, last)
    return [number for number in found if 0 <= number <= last]


def cosine_axis(axes: Sequence[Axes], profile: pl.DataFrame) -> None:
    """Vertical axes logarithmic in 1 - cosine, labelled in cosine, alike in all panels, whose height is settled.

    The layers that criteria choose among lie close to 1.

    Args:
        profile: the rows of the profile table that are drawn.
    """

    def forward(cosine: np.ndarray) -> np.ndarray:
        return -np.log10(np.maximum(1 - np.asarray(cosine), FINEST))

    def inverse(stretched: np.ndarray) -> np.ndarray:
        return 1 - 10 ** -np.asarray(stretched)

    ends = reach(profile, "cosine", "cosine_p10", "cosine_p90")
    bottom, top = forward(np.array(ends)) + [-0.1, 0.1]
    low, high = inverse(np.array([bottom, top]))
    inside = [cosine for cosine in COSINES if low <= cosine <= high]
    if len(inside) < 2:
        inside = [cosine for cosine in MaxNLocator(3).tick_values(low, high) if low <= cosine <= high]
    places = dict(zip(inside, (forward(np.array(inside)) - bottom) / (top - bottom), strict=True))
    for ax in axes:
        ax.set_yscale("function", functions=(forward, inverse))
        ax.set_ylim(low, high)
    name_heights(axes, places, "{:g}")


def reach(rows: pl.DataFrame, *columns: str) -> tuple[float, float]:
    """The smallest and the largest number in some columns, which may hold nulls too."""
    numbers = rows.select(columns).to_numpy()
    return float(np.nanmin(numbers)), float(np.nanmax(numbers))


def name_heights(axes: Sequence[Axes], places: Mapping[float, float], form: str) -> None:
    """Ticks of vertical axes that are alike, as many as have room.

    Args:
        places: tick -> its height, as a share of a panel's, the most important first.
        form: of a tick's label.
    """
    least = TICK_INCHES * axes[0].figure.dpi / min(ax.bbox.height for ax in axes)
    shown: list[float] = []
    for tick, place in places.items():
        if all(abs(place - places[other]) >= least for other in shown):
            shown.append(tick)
    for ax in axes:
        ax.set_yticks(shown, [form.format(tick) for tick in shown])
        ax.minorticks_off()


def curve(ax: Axes, rows: pl.DataFrame, columns: Sequence[str], look: Look, inches: float, **drawn: Any) -> None:
    """A line over decoder layers with its band, and as many markers as have room.

    Args:
        rows: one per layer, in order.
        columns: those of the line and of the band's lower and upper limit, which may be null.
        inches: width of the panel, about.
        drawn: what is unlike usual, as `Axes.plot` takes it.
    """
    value, low, high = (rows[column].to_numpy() for column in columns)
    ax.fill_between(rows["layer"], low, high, color=look.colour, alpha=0.18, linewidth=0)
    usual = {**marked(look, MARKER), "linestyle": "-", "linewidth": 1.2, "label": look.label}
    ax.plot(rows["layer"], value, **{**usual, "markevery": int(np.ceil(PITCH * len(rows) / (72 * inches))), **drawn})


def counted(profile: pl.DataFrame) -> str:
    """The number of samples that rows of the profile table are over, which may differ between models."""
    low, high = profile["n_samples"].min(), profile["n_samples"].max()
    return f"n = {low}" if low == high else f"n = {low}–{high}"


def heading(domain: str, count: str, inches: float) -> str:
    """A domain with the number of its samples, as it stands above a panel of so many inches, about."""
    line = f"{human(domain)} ({count})"
    return line if width(line, TITLE) <= inches else f"{human(domain)}\n({count})"


def entitle(panels: Grid, heads: Mapping[tuple[str, str], str]) -> None:
    """Write above panels of models and domains what they show; where models stand below each other, not again.

    Args:
        heads: (model, domain) -> text.
    """
    models, domains = (list(dict.fromkeys(names)) for names in zip(*heads, strict=True))
    stacked = len(domains) > 1 and panels.columns == len(domains)
    for (model, domain), text in heads.items():
        if not stacked or model == models[0] or text != heads[models[0], domain]:
            panels.title(model, domain, text)


def tokens(group: str) -> str:
    """A token group as it stands in a figure."""
    return "last token" if group == "last" else f"{group} tokens"
