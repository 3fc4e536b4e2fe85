"""Labels beside the lines that they name, where there is room, instead of a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pruning_regimes.figures import texts
from pruning_regimes.figures.by_layer import MARKER
from pruning_regimes.figures.style import Look, across, key, legend

POINTS = 7.5  # size of a label
WIDEST = 0.17  # of the figure's width, at most, goes to labels
ASIDE = 4.0  # points between a panel and the labels beside it


def room(style: Mapping[str, Any], looks: Mapping[str, Look], inches: float) -> bool:
    """Whether labels have room beside panels.

    Args:
        style: as in the config.
        looks: name -> look, whose label may have several lines.
        inches: height of a panel.
    """
    labels = [look.label for look in looks.values()]
    widest, height = max(texts.width(label, POINTS) for label in labels), texts.height("\n".join(labels), POINTS)
    return widest <= WIDEST * across(style) and height <= inches


def below(fig: Figure, looks: Mapping[str, Look], unlike: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """A legend instead.

    Args:
        looks: as `room` takes them.
        unlike: name -> what is unlike usual about its line, as `Axes.plot` takes it.
    """
    handles = {name: key(replace(look, label=look.label.replace("\n", " ")), MARKER) for name, look in looks.items()}
    for name, drawn in (unlike or {}).items():
        handles[name].set(**drawn)
    legend(fig, list(handles.values()))


def beside(looks: Mapping[str, Look], ends: Mapping[Axes, Mapping[str, float]]) -> None:
    """Label lines at the right of panels of settled height: where a line ends, or near it if others are in the way.

    Args:
        looks: as `room` takes them.
        ends: panel at a right edge -> name -> where its line ends.
    """
    for ax, own in ends.items():
        to_axes = ax.transData - ax.transAxes
        places = {name: to_axes.transform((0, end))[1] for name, end in own.items()}
        names = sorted(places, key=places.__getitem__)
        taken = [texts.height(looks[name].label, POINTS) * ax.figure.dpi / ax.bbox.height for name in names]
        for name, place in zip(names, spread([places[name] for name in names], taken), strict=True):
            ax.annotate(
                looks[name].label,
                (1, place),
                (ASIDE, 0),
                "axes fraction",
                "offset points",
                color=looks[name].colour,
                fontsize=POINTS,
                va="center",
            )


def spread(places: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """Centres of labels that do not overlap, each near its place.

    Args:
        places: where the labels belong, in order, from 0 to 1.
        sizes: what they take, at most 1 in all.
    """

    def pushed_up(centres: np.ndarray, halves: np.ndarray) -> np.ndarray:
        out, free = [], 0.0
        for centre, half in zip(centres, halves, strict=True):
            out.append(max(centre, free + half))
            free = out[-1] + half
        return np.array(out)

    def pushed_down(centres: np.ndarray, halves: np.ndarray) -> np.ndarray:
        return 1 - pushed_up(1 - centres[::-1], halves[::-1])[::-1]

    wanted, halves = np.array(places), np.array(sizes) / 2
    # Pushed up, labels stand too high, and pushed down too low; halfway between, they do not overlap either.
    high = pushed_down(pushed_up(wanted, halves), halves)
    low = pushed_up(pushed_down(wanted, halves), halves)
    return ((high + low) / 2).tolist()
