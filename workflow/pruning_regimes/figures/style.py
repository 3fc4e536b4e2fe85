"""What all figures share: theme, colours and markers, the grid of panels, and saving.

Colours come mostly from palettes made for colour-blind readers (Okabe and Ito; Paul Tol, muted). Those of the first six
criteria stay apart under simulated deuteranopia and protanopia (Machado et al. 2009; CIE Lab distance above 17). More
colours cannot all do so, so every criterion also has a marker of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars as pl
import seaborn
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from pruning_regimes.tables import replacing

DPI = 200
INK = "#333333"
# name -> (colour, marker). Math-aware shares its colour with the math domain, non-math-aware with the general one.
CRITERIA = {
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
}
DOMAINS = {"math": ("#0072B2", "o"), "general": ("#D55E00", "s")}
FALLBACK = (
    ("#CC6677", "o"),
    ("#6699CC", "s"),
    ("#44AA99", "D"),
    ("#AA4466", "^"),
    ("#88CCEE", "v"),
    ("#7F7F7F", "X"),
)
# A date would make two drawings of one figure differ.
METADATA = {".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}


@dataclass(frozen=True)
class Look:
    """How a criterion or a domain is drawn in every figure."""

    colour: str
    marker: str
    label: str


def looks(names: Iterable[str], known: Mapping[str, tuple[str, str]]) -> dict[str, Look]:
    """The look of each name: its fixed one if it is known, else the next of the fallback palette, in order.

    Args:
        names: in order of first appearance in the table.
        known: `CRITERIA` or `DOMAINS`.
    """
    names = list(names)
    unknown = [name for name in names if name not in known]
    spare = {name: FALLBACK[index % len(FALLBACK)] for index, name in enumerate(unknown)}
    return {name: Look(*(known.get(name) or spare[name]), human(name)) for name in names}


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
                "font.size": 10,
                "axes.titlesize": 10.5,
                "axes.labelsize": 10,
                "xtick.labelsize": 9,
                "ytick.labelsize": 9,
                "legend.fontsize": 10,
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


def panels(style: Mapping[str, Any], rows: int, columns: int, **layout: Any) -> tuple[Figure, np.ndarray]:
    """A figure of the style's size with a grid of panels.

    Args:
        layout: as of `Figure.subplots`, such as sharey.

    Returns: the figure, and its axes as an array of [rows, columns].
    """
    figure = Figure(figsize=(style["width"], style["height"]), dpi=DPI, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **layout)


def legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """One legend for the whole figure, below the panels, in as many columns as its width holds."""
    columns = max(1, min(len(handles), int(figure.get_figwidth() / 1.45)))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, columnspacing=1.5)


@theme()
def save(figure: Figure, outputs: Sequence[str | Path]) -> None:
    """Save a figure to every output, in the format of its suffix, atomically and with the same bytes each time."""
    # The layout is settled once: settled anew per format, the outputs would differ from each other.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for output in outputs:
        with replacing(output) as temporary:
            figure.savefig(temporary, metadata=METADATA[Path(output).suffix])
