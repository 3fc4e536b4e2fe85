"""Labels beside the lines that they name, each at the end of its line or as near to it as the others allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from pruning_regimes.figures import texts
from pruning_regimes.figures.by_layer import MARKER
from pruning_regimes.figures.style import Look, across, key, legend, marked

WIDEST = 0.17  # of the figure's width, at most, goes to labels in their lines' colours


@dataclass(frozen=True)
class Kind:
    """How labels tell which line is theirs, with sizes in points.

    Attributes:
        points: of the text.
        aside: between the panel and a label.
        marker: of the line's marker before the text; with none, the text has the line's colour.
        indent: between the beginnings of the two.
    """

    points: float
    aside: float
    marker: float = 0.0
    indent: float = 0.0


COLOURED = Kind(7.5, 4.0)
MARKED = Kind(7.0, 5.0, 4.0, 7.0)


@dataclass(frozen=True)
class End:
    """Where a line ends, and the look that tells what it is; a reference line has none."""

    place: float
    look: Look | None = None


def extent(names: Mapping[str, End]) -> tuple[float, float]:
    """Width and height in inches that marked labels take, at least."""
    widest = max(texts.width(name, MARKED.points) for name in names)
    return widest + (MARKED.aside + _indent(names, MARKED)) / 72, len(names) * texts.height("", MARKED.points)


class Labels:
    """Labels of a panel: written at first so that the layout makes room for them, put in their places in the end."""

    def __init__(self, ax: Axes, ends: Mapping[str, End], kind: Kind = MARKED) -> None:
        """Write the labels.

        Args:
            ends: label -> where its line ends.
        """
        self.ax, self.kind = ax, kind
        self.ends = dict(sorted(ends.items(), key=lambda item: item[1].place))
        marked_at = ax.transAxes + ScaledTranslation((kind.aside + kind.marker / 2) / 72, 0, ax.figure.dpi_scale_trans)
        offset = (kind.aside + _indent(ends, kind), 0)
        self.texts = [
            ax.annotate(name, (1, 0.5), offset, "axes fraction", "offset points", fontsize=kind.points, va="center")
            for name in self.ends
        ]
        if not kind.marker:
            for text, end in zip(self.texts, self.ends.values(), strict=True):
                text.set_color(end.look.colour)
        self.markers = [
            ax.plot([1], [0.5], transform=marked_at, clip_on=False, **marked(end.look, kind.marker))[0]
            if end.look and kind.marker
            else None
            for end in self.ends.values()
        ]

    def settle(self) -> None:
        """Put each label beside its line's end, once the panel's size and its vertical axis are final."""
        places = self.ax.get_yaxis_transform().transform([(0, end.place) for end in self.ends.values()])
        places = self.ax.transAxes.inverted().transform(places)[:, 1]
        per_inch = self.ax.figure.dpi / self.ax.bbox.height
        sizes = [texts.height(name, self.kind.points) * per_inch for name in self.ends]
        for text, marker, place in zip(self.texts, self.markers, spread(places, sizes), strict=True):
            text.xy = (1, place)
            if marker:
                marker.set_ydata([place])


def have_room(style: Mapping[str, Any], looks: Mapping[str, Look], inches: float) -> bool:
    """Whether coloured labels have room beside panels.

    Args:
        style: as in the config.
        looks: name -> look, whose label may have several lines.
        inches: height of a panel.
    """
    labels, points = [look.label for look in looks.values()], COLOURED.points
    widest, height = max(texts.width(label, points) for label in labels), texts.height("\n".join(labels), points)
    return widest <= WIDEST * across(style) and height <= inches


def beside(looks: Mapping[str, Look], ends: Mapping[Axes, Mapping[str, float]]) -> None:
    """Coloured labels at the right of panels of settled height.

    Args:
        looks: as `have_room` takes them.
        ends: panel at a right edge -> name -> where its line ends.
    """
    for ax, own in ends.items():
        Labels(ax, {looks[name].label: End(end, looks[name]) for name, end in own.items()}, COLOURED).settle()


def below(fig: Figure, looks: Mapping[str, Look], unlike: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """A legend instead.

    Args:
        looks: as `have_room` takes them.
        unlike: name -> what is unlike usual about its line, as `Axes.plot` takes it.
    """
    handles = {name: key(replace(look, label=look.label.replace("\n", " ")), MARKER) for name, look in looks.items()}
    for name, drawn in (unlike or {}).items():
        handles[name].set(**drawn)
    legend(fig, list(handles.values()))


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


def _indent(ends: Mapping[str, End], kind: Kind) -> float:
    return kind.indent if any(end.look for end in ends.values()) else 0.0
