"""Figures at print size: nothing is cut or covered, be criteria few or many, names short or long, models one or six."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from types import ModuleType
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from pruning_regimes.figures import domain_effect, layers, overlap, pareto, regimes, stability, style
from tests.helpers.figure_tables import (
    STUDIES,
    Study,
    effects,
    overlaps,
    paretos,
    retention,
    segments,
    sensitivity,
    shown_ticks,
    stabilities,
    variants,
)

SMALLEST = 6.0  # points of legible text
TOUCH = 0.5  # points by which the boxes of two words may overlap: they are a little larger than the words
Drawn = Callable[[Study, dict[str, Any]], Figure]
SHADES = {"palette": "Blues"}
FIGURES: dict[ModuleType, Drawn] = {
    layers: lambda study, look: layers.figure(variants(study), {**look, **SHADES}),
    overlap: lambda study, look: overlap.figure(overlaps(study), {**look, **SHADES}),
    regimes: lambda study, look: regimes.figure(
        retention(study=study), segments(study), sensitivity(study), look, confidence=0.95
    ),
    domain_effect: lambda study, look: domain_effect.figure(
        effects(study), retention(study=study), look, confidence=0.95
    ),
    stability: lambda study, look: stability.figure(stabilities(study), look, resamples=200, confidence=0.95),
    pareto: lambda study, look: pareto.figure(paretos(study), look, confidence=0.95),
}


def words(figure: Figure) -> list[Text]:
    """All text that is seen."""
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for ax in figure.axes:
        found += [*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label, *(shown_ticks(ax) if ax.axison else [])]
        found += [tick for upper in ax.child_axes for tick in shown_ticks(upper)]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def check(figure: Figure) -> None:
    """Nothing is cut, no word lies on another or on a panel from outside, no panel is empty, all is large enough."""
    style.save(figure, [])
    figure.draw_without_rendering()  # puts the words of a legend in their places
    per_point = figure.dpi / 72
    seen = words(figure)
    boxes = [text.get_window_extent() for text in seen]
    for text, box in zip(seen, boxes, strict=True):
        said = text.get_text()
        assert text.get_fontsize() >= SMALLEST, said
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, said
    for (text, box), (other, behind) in combinations(zip(seen, boxes, strict=True), 2):
        assert not covers(box, behind, TOUCH * per_point), (text.get_text(), other.get_text())
    panels = [ax for ax in figure.axes if ax.get_label() != "<heading>"]
    for ax in panels:
        assert ax.has_data() or ax.texts
        for text, box in zip(seen, boxes, strict=True):
            assert text.axes is ax or not covers(box, ax.bbox, TOUCH * per_point), text.get_text()


def covers(box: Bbox, other: Bbox, by: float) -> bool:
    """Whether two boxes overlap by more than some pixels in both directions."""
    across = min(box.x1, other.x1) - max(box.x0, other.x0)
    return across > by and min(box.y1, other.y1) - max(box.y0, other.y0) > by


# The quick run draws those with the most in the least room: many criteria on a page, long names in a column.
QUICK = {("one model, thirteen criteria", "page"), ("two criteria of long names", "column")}
LOOKS = [
    pytest.param(study, width, marks=[] if (study, width) in QUICK else pytest.mark.slow)
    for study in STUDIES
    for width in ("page", "column")
]


@pytest.mark.parametrize(("study", "width"), LOOKS)
@pytest.mark.parametrize("module", FIGURES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_figures_are_legible(module: ModuleType, study: str, width: str) -> None:
    check(FIGURES[module](STUDIES[study], {"width": width, "title": f"A title of {study} that takes a line or two"}))
