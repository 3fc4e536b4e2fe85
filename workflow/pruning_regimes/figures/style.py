"""What all figures share: theme, colours and markers, the grid of panels, and saving.

Colours come mostly from palettes made for colour-blind readers (Okabe and Ito; Paul Tol, muted). Those of the first six
criteria stay apart under simulated deuteranopia and protanopia (Machado et al. 2009; CIE Lab distance above 17). More
colours cannot all do so, so every criterion also has a marker of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars as pl
import seaborn
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from pruning_regimes.config.figures import WIDTHS
from pruning_regimes.figures.texts import FONT, width, wrapped
from pruning_regimes.report import pages
from pruning_regimes.tables import replacing
from pruning_regimes.tables.contracts import DENSE

DPI = 300
INK = "#333333"
MARGIN = 0.06  # of a horizontal axis of budgets, beside the first and the last of them
TALLEST = 9.0  # inches of a figure that fits on a page
LOWEST = 0.6  # of its height, at least, stays to a panel for that
TICK_POINTS, TICK_GAP = 7.0, 0.04  # size of a tick's label, and inches between two of them
LAYERS = "decoder layers removed\n(share of all)"
UNDEFINED = "retention is undefined:\nthe dense model is not clearly\nabove chance on every\nbenchmark of this group"
Marker = str | tuple[int, int, float]
STAR = (4, 1, 0)  # of four points
# name -> (colour, marker). Math-aware shares its colour with the math domain, non-math-aware with the general one.
CRITERIA: dict[str, tuple[str, Marker]] = {
    "math_aware": ("#0072B2", "o"),
    "non_math_aware": ("#D55E00", "s"),
    "mixed": ("#009E73", "D"),
    "random": ("#444444", "X"),
    "last": ("#CC79A7", "v"),
    "uniform": ("#E69F00", "^"),
    "block_influence": ("#56B4E9", "P"),
    "contiguous": ("#332288", "<"),
    "interlace": ("#882255", ">"),
    "sleb": ("#999933", "p"),
    "perplexity": ("#117733", "h"),
    "taylor": ("#DDCC77", "*"),
    "spaced": ("#AA4499", "d"),
    "contrast": ("#661100", "8"),
    "first_middle": ("#5E81F4", STAR),
}
DOMAINS: dict[str, tuple[str, Marker]] = {"math": ("#0072B2", "o"), "general": ("#D55E00", "s")}
TOKENS: dict[str, tuple[str, Marker]] = {
    "all": ("#444444", "o"),
    "image": ("#2A9D8F", "s"),
    "text": ("#8E3BA8", "D"),
    "last": ("#E08A00", "^"),
}
FALLBACK: tuple[tuple[str, Marker], ...] = (
    ("#CC6677", "o"),
    ("#6699CC", "s"),
    ("#44AA99", "D"),
    ("#AA4466", "^"),
    ("#88CCEE", "v"),
    ("#7F7F7F", "X"),
)
# A date would make two drawings of one figure differ.
METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None}}


@dataclass(frozen=True)
class Look:
    """How a criterion, a domain or a token group is drawn in every figure."""

    colour: str
    marker: Marker
    label: str


def looks(names: Iterable[str], known: Mapping[str, tuple[str, Marker]], style: Mapping[str, Any]) -> dict[str, Look]:
    """The look of each name that the style shows: its fixed one if it is known, else the next of the fallback palette.

    Args:
        names: all of the study, in order of first appearance in the table, so that one that is left out of this figure
            changes no other's look.
        known: `CRITERIA`, `DOMAINS` or `TOKENS`.
        style: palette, if any: the name of a palette of seaborn, or name -> colour; criteria, if any: those shown.
    """
    names, palette = list(names), style.get("palette", {})
    unknown = [name for name in names if name not in known]
    spare = {name: _spare(index) for index, name in enumerate(unknown)}
    found = {name: Look(*(known.get(name) or spare[name]), human(name)) for name in names}
    if isinstance(palette, str):
        palette = dict(zip(names, seaborn.color_palette(palette, len(names)).as_hex(), strict=True))
    shown = style.get("criteria", names) if known is CRITERIA else names
    return {name: replace(look, colour=palette.get(name, look.colour)) for name, look in found.items() if name in shown}


def _spare(index: int) -> tuple[str, Marker]:
    """The look of the first, second, ... unknown name; colours come again with other markers."""
    turn, place = divmod(index, len(FALLBACK))
    return FALLBACK[place][0], FALLBACK[(place + turn) % len(FALLBACK)][1]


def chosen(table: pl.DataFrame, style: Mapping[str, Any], *columns: str) -> pl.DataFrame:
    """The rows of a table whose criteria the style shows, and those of the dense model.

    Args:
        columns: those that name a criterion.
    """
    if "criteria" not in style:
        return table
    return table.filter(pl.col(column).is_in([DENSE, *style["criteria"]]) for column in columns)


def marked(look: Look, size: float) -> dict[str, Any]:
    """What `Axes.plot` takes to draw a look's markers, of a size in points, without a line."""
    return {
        "color": look.colour,
        "marker": look.marker,
        "markersize": size * (1.4 if look.marker in ("*", STAR) else 1),  # stars look smaller than they are
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
        "linestyle": "none",
    }


def key(look: Look, size: float) -> Line2D:
    """The legend's entry of a look that is drawn as a line with markers."""
    return Line2D([], [], **{**marked(look, size), "linestyle": "-"}, label=look.label)


def human(name: str) -> str:
    """A key of the config as it stands in a figure: math_aware -> math-aware."""
    return name.replace("_", "-")


def in_order(column: pl.Series) -> list[Any]:
    """The distinct values of a column in order of first appearance."""
    return column.unique(maintain_order=True).to_list()


@contextmanager
def theme() -> Iterator[None]:
    """Context manager, also a decorator: draw in the study's theme, whatever the user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(seaborn.axes_style("whitegrid"))
        matplotlib.rcParams.update(
            {
                "font.family": FONT,
                "text.hinting": "none",  # letters are as wide in every format
                # As printed: the figures are as wide as a page or a column.
                "font.size": 8,
                "axes.titlesize": 8.5,
                "axes.labelsize": 8,
                "figure.titlesize": 9.5,
                "figure.labelsize": 8,
                "xtick.labelsize": TICK_POINTS,
                "ytick.labelsize": TICK_POINTS,
                "xtick.major.pad": 2,
                "ytick.major.pad": 2,
                "legend.fontsize": 7.5,
                "axes.linewidth": 0.8,
                "grid.linewidth": 0.6,
                "legend.handlelength": 1.7,
                "legend.columnspacing": 1.4,
                "grid.color": "#E4E4E4",
                "axes.edgecolor": "#BBBBBB",
                "text.color": INK,
                "axes.labelcolor": INK,
                "xtick.color": INK,
                "ytick.color": INK,
                "pdf.fonttype": 42,  # text stays text when the PDF is edited
                "svg.hashsalt": "pruning-regimes",
            }
        )
        yield


def panels(
    style: Mapping[str, Any], rows: int, columns: int, inches: float, **layout: Any
) -> tuple[Figure, np.ndarray]:
    """A figure of the style's width with a grid of panels, and its title if it has one.

    Args:
        inches: height of a panel, if the style states no height; see `fit`.
        layout: as of `Figure.subplots`, such as sharey.

    Returns: the figure, and its axes as an array of [rows, columns].
    """
    figure = empty(style, rows * inches + 1)
    return figure, figure.subplots(rows, columns, squeeze=False, **layout)


def across(style: Mapping[str, Any]) -> float:
    """Width of a style's figure in inches."""
    return WIDTHS.get(style["width"], style["width"])


def empty(style: Mapping[str, Any], height: float) -> Figure:
    """A figure of the style's width, with its title if it has one.

    Args:
        height: in inches, if the style states none.
    """
    inches = across(style)
    figure = Figure(figsize=(inches, style.get("height", height)), dpi=DPI, layout="constrained")
    if style.get("title"):
        figure.suptitle(wrapped(style["title"], 0.95 * inches, 9.5, lines=4, tail=0))
    return figure


def fit(figure: Figure, axes: np.ndarray, style: Mapping[str, Any], inches: float | Sequence[float]) -> None:
    """Give the panels their height, whatever stands around them, unless the style states the figure's height.

    Many rows are lower than that, so that the figure fits on a page.

    Args:
        axes: the panels, [rows, columns].
        inches: height of a panel, or of those of each row.
    """
    if "height" in style:
        return
    needed = float(np.broadcast_to(inches, len(axes)).sum())
    for _ in range(3):
        settle(figure)
        there = sum(min(ax.get_position().height for ax in row if ax in figure.axes) for row in axes)
        around = figure.get_figheight() * (1 - there)
        height = around + min(needed, max(LOWEST * needed, TALLEST - around))
        if abs(height - figure.get_figheight()) < 0.005:
            break
        figure.set_figheight(height)


def settle(figure: Figure) -> None:
    """Put everything where it will be, as drawing would, but in half the time."""
    figure.get_layout_engine().execute(figure)


def legend(figure: Figure, handles: Sequence[Artist], *more: Sequence[Artist]) -> None:
    """One legend for the whole figure, below the panels, in as few rows as its width allows, read row by row.

    Args:
        more: groups of handles that begin a row of their own.
    """
    groups = [group for group in (handles, *more) if group]
    for group in groups:
        # Of many, two are in each row, however long they are.
        many = len(group) > 6
        room = figure.get_figwidth() / (2 if many else 1) - 0.5
        for handle in group:
            handle.set_label(wrapped(handle.get_label(), room, 7.5, lines=1 if many else 2))

    def rows(columns: int) -> list[list[Artist]]:
        return [list(group[at : at + columns]) for group in groups for at in range(0, len(group), columns)]

    for columns in range(max(map(len, groups), default=0), 0, -1):
        if columns == 1 or _drawn(figure, rows(columns), columns).get_window_extent().width <= figure.bbox.width:
            figure.legends.clear()
            # As many rows, but about as long as each other.
            fewest = next(fewer for fewer in range(1, columns + 1) if len(rows(fewer)) == len(rows(columns)))
            _drawn(figure, rows(fewest), fewest)
            return
        figure.legends.clear()


def _drawn(figure: Figure, rows: Sequence[list[Artist]], columns: int) -> Legend:
    for row in rows[:-1]:
        row += [Line2D([], [], linestyle="none", label="") for _ in range(columns - len(row))]
    # A legend fills its columns one after the other.
    by_column = [row[column] for column in range(columns) for row in rows if column < len(row)]
    return figure.legend(handles=by_column, loc="outside lower center", ncols=columns, frameon=False)


def sentence(style: Mapping[str, Any], text: str) -> Figure:
    """A figure of the style's size that has nothing to show, and says why."""
    figure = empty(style, 2)
    figure.set_layout_engine("none")  # there are no panels to lay out
    figure.text(0.5, 0.5, wrapped(text, 0.9 * figure.get_figwidth(), 8, lines=20), ha="center", va="center")
    return figure


def percent(column: str) -> pl.Expr:
    """A column of layers as percent of all."""
    return pl.col(column) * 100 / pl.col("n_layers")


def percentage(level: float) -> str:
    """A level of confidence as text: 0.95 -> 95%."""
    return f"{100 * level:g}%"


def removed(rows: pl.DataFrame) -> dict[float, str]:
    """The tick of each budget: percent of the layers removed -> label with count and percent.

    Args:
        rows: of one model, in order, with columns n_removed and percent.
    """
    counts = rows.select("percent", "n_removed").unique(maintain_order=True)
    return {percent: f"{count}\n({percent:.0f}%)" for percent, count in counts.iter_rows()}


def dodge(places: Sequence[float], n: int, spread: float = 0.6) -> list[float]:
    """Offsets that put n markers side by side, within the margin at the last place.

    Args:
        places: two or more of the axis, in order.
        spread: share of the smallest gap between places that the markers take.
    """
    room = min(2 * MARGIN * places[-1], spread * min(b - a for a, b in pairwise(places)))
    return [room * ((index + 0.5) / n - 0.5) for index in range(n)]


def ticks_within(ax: Axes, labels: Mapping[float, str], panel: float, inches: float | None = None) -> None:
    """Ticks of a horizontal axis whose limits are set; where labels would collide, only the first is written.

    Args:
        labels: place -> label, the most important first.
        panel: width of the panel in inches.
        inches: room for a label, by its width if not stated.
    """
    places = dict(zip(labels, ax.xaxis.get_transform().transform(np.array(list(labels))), strict=True))
    left, right = ax.xaxis.get_transform().transform(np.array(ax.get_xlim()))

    def apart(a: float, b: float) -> bool:
        needed = inches or (width(labels[a], TICK_POINTS) + width(labels[b], TICK_POINTS)) / 2 + TICK_GAP
        return abs(places[a] - places[b]) * panel / (right - left) >= needed

    labelled: list[float] = []
    for place in places:
        if all(apart(place, other) for other in labelled):
            labelled.append(place)
    ax.set_xticks(labelled, [labels[place] for place in labelled])
    bare = [place for place in labels if place not in labelled]
    ax.set_xticks(bare, [""] * len(bare), minor=True)


@theme()
def save(figure: Figure, outputs: Sequence[str | Path]) -> None:
    """Save a figure to every output, in the format of its suffix, atomically and with the same bytes each time.

    Args:
        figure: what to save.
        outputs: files that end with .png, .pdf, or .html: a page with the PNG in it.
    """
    # The layout is settled once: settled anew per format, the outputs would differ from each other.
    settle(figure)
    figure.set_layout_engine("none")
    drawn: dict[str, bytes] = {}
    for output in map(Path, outputs):
        kind = "png" if output.suffix == ".html" else output.suffix[1:]
        if kind not in drawn:
            file = BytesIO()
            figure.savefig(file, format=kind, metadata=METADATA[kind])
            drawn[kind] = file.getvalue()
        with replacing(output) as temporary:
            if output.suffix == ".html":
                temporary.write_text(pages.picture(drawn[kind], output.stem.replace("_", " ")))
            else:
                temporary.write_bytes(drawn[kind])
