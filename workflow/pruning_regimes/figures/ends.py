"""Labels at the right of a panel, each at the end of its line, or as near to it as the others allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from pruning_regimes.figures import texts
from pruning_regimes.figures.labels import spread
from pruning_regimes.figures.style import Look, marked

POINTS, MARKER = 7.0, 4.0  # sizes of a label and of its marker
ASIDE = 5.0  # points between the panel and a label
INDENT = 7.0  # points more, for the marker


@dataclass(frozen=True)
class End:
    """Where a line ends, and the look that tells what it is; a reference line has none."""

    place: float
    look: Look | None = None


def room(names: Mapping[str, End]) -> tuple[float, float]:
    """Width and height in inches that labels take, at least."""
    widest = max(texts.width(name, POINTS) for name in names)
    indent = INDENT if any(end.look for end in names.values()) else 0
    return widest + (ASIDE + indent) / 72, len(names) * texts.height("", POINTS)


class Labels:
    """Labels of a panel: written at first so that the layout makes room for them, put in their places in the end."""

    def __init__(self, ax: Axes, ends: Mapping[str, End]) -> None:
        """Write the labels.

        Args:
            ends: label -> where its line ends.
        """
        self.ax, self.ends = ax, dict(sorted(ends.items(), key=lambda item: item[1].place))
        marked_at = ax.transAxes + ScaledTranslation((ASIDE + MARKER / 2) / 72, 0, ax.figure.dpi_scale_trans)
        indent = INDENT if any(end.look for end in ends.values()) else 0
        self.texts = [
            ax.annotate(
                name, (1, 0.5), (ASIDE + indent, 0), "axes fraction", "offset points", fontsize=POINTS, va="center"
            )
            for name in self.ends
        ]
        self.markers = [
            ax.plot([1], [0.5], transform=marked_at, clip_on=False, **marked(end.look, MARKER))[0] if end.look else None
            for end in self.ends.values()
        ]

    def settle(self) -> None:
        """Put each label beside its line's end, once the panel's size and its vertical axis are final."""
        places = self.ax.get_yaxis_transform().transform([(0, end.place) for end in self.ends.values()])
        places = self.ax.transAxes.inverted().transform(places)[:, 1]
        size = texts.height("", POINTS) * self.ax.figure.dpi / self.ax.bbox.height
        for text, marker, place in zip(self.texts, self.markers, spread(places, [size] * len(places)), strict=True):
            text.xy = (1, place)
            if marker:
                marker.set_ydata([place])
