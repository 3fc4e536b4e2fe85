"""Panels of models and what is shown of each, wrapped into as many lines as the figure's width asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from pruning_regimes.figures import texts
from pruning_regimes.figures.style import TALLEST, across, empty, fit, settle

HEADING = "<heading>"  # label of the axes that hold a model's name
NAME, TITLE = 8.5, 7.5  # sizes of a model's name and of a panel's title
LABEL, BAR = 8.0, 0.09  # size of labels of axes and colour bars, and a bar's height in inches
BOLD = 1.15  # how much wider bold letters are
LOW = 0.01  # height of a heading's axes, as a share of a panel's; the layout makes room for its text
GAP = 0.12  # inches between panels
ROOM = 0.5  # inches above and below a panel, about


@dataclass(frozen=True)
class Grid:
    """A figure and its panels.

    Attributes:
        panels: (model, item) -> its panel, line by line.
        columns: panels of a whole line.
        inches: width of a panel, about.
    """

    figure: Figure
    panels: dict[tuple[Any, Any], Axes]
    columns: int
    inches: float

    def lines(self) -> list[list[Axes]]:
        """The panels of each line."""
        found: dict[int, list[Axes]] = {}
        for ax in self.panels.values():
            found.setdefault(ax.get_subplotspec().rowspan.start, []).append(ax)
        return list(found.values())

    def below(self, text: str) -> None:
        """Label the horizontal axes of the last line, which are those of the panels above too."""
        lines = [texts.wrapped(line, self.inches, LABEL, lines=2) for line in text.splitlines()]
        for ax in self.lines()[-1]:
            ax.set_xlabel("\n".join(lines))

    def title(self, model: Any, item: Any, text: str = "") -> None:
        """Write above a panel what it shows, line by line, and its model, unless a heading tells that."""
        lines = text.splitlines()
        if sum(name == model for name, _ in self.panels) == 1:
            lines.insert(0, model)
        lines = [texts.wrapped(line, 0.95 * self.inches, TITLE, lines=3) for line in lines]
        self.panels[model, item].set_title("\n".join(lines), fontsize=TITLE)

    def colorbar(self, shades: ScalarMappable, label: str) -> None:
        """Below the panels, what the shades of their cells mean."""
        width = self.columns * self.inches
        axes, label = list(self.panels.values()), texts.wrapped(label, width, LABEL, lines=3)
        self.figure.colorbar(shades, ax=axes, location="bottom", aspect=width / BAR, pad=0.02, label=label)

    def fit(self, style: Mapping[str, Any], inches: float) -> None:
        """Give the panels their height, unless the style states the figure's."""
        fit(self.figure, self.lines(), style, inches)
        if "height" in style:
            settle(self.figure)

    def beside(self, text: str) -> None:
        """Label the vertical axis of all panels at once; they have their height already."""
        places = [ax.get_position() for ax in self.panels.values()]
        top, bottom = max(place.y1 for place in places), min(place.y0 for place in places)
        text = texts.wrapped(text, (top - bottom) * self.figure.get_figheight(), LABEL, lines=9)
        self.figure.supylabel(text, y=(top + bottom) / 2)


def grid(
    style: Mapping[str, Any],
    models: Sequence[str],
    items: Sequence[Any],
    least: float,
    inches: float,
    aside: float = 0.65,
    share: bool = True,
) -> Grid:
    """A panel for each model and item, with a model's name above its panels.

    Args:
        style: as in the config.
        least: width in inches that a panel needs.
        inches: height in inches of a panel, if the style states no height for the figure.
        aside: width in inches of what stands beside the panels.
        share: whether all panels have the same vertical axis, labelled at the left only.
    """
    headed = len(items) > 1
    width = across(style) - aside
    most = max(1, int(width / least))
    n_lines, n_columns = folded(len(items), most)  # of a model
    abreast = most // n_columns
    if headed:
        # One below the other, unless that takes more than a page.
        few = max(1, int((TALLEST - ROOM) / (n_lines * (inches + ROOM))))
        abreast = min(abreast, ceil(len(models) / few))
    rows, abreast = folded(len(models), abreast)
    block = [LOW] * headed + [1.0] * n_lines
    columns = abreast * n_columns
    fig = empty(style, rows * n_lines * (inches + ROOM) + 3)
    spec = fig.add_gridspec(rows * len(block), columns, height_ratios=block * rows)
    found = Grid(fig, {}, columns, width / columns - GAP)
    for m, model in enumerate(models):
        top, left = m // abreast * len(block), m % abreast * n_columns
        if headed:
            head = fig.add_subplot(spec[top, left : left + n_columns], label=HEADING)
            _head(head, model, n_columns * found.inches)
        for i, item in enumerate(items):
            row, column = top + headed + i // n_columns, left + i % n_columns
            first = next(iter(found.panels.values()), None) if share else None
            ax = fig.add_subplot(spec[row, column], sharey=first)
            ax.tick_params(axis="y", labelleft=not (share and column))
            found.panels[model, item] = ax
    return found


def folded(count: int, most: int) -> tuple[int, int]:
    """Number of lines, and how many of a count are in each, at most; the lines are about as long as each other."""
    lines = ceil(count / most)
    return lines, ceil(count / lines)


def _head(ax: Axes, model: str, width: float) -> None:
    ax.axis("off")
    ax.text(0, 0, texts.wrapped(model, width / BOLD, NAME, lines=2), fontsize=NAME, fontweight="bold", va="bottom")
