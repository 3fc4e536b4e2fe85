"""Figures: what stands in them, and that they are saved with the same bytes each time."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib
import polars as pl
import pytest
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from PIL import Image

from pruning_regimes.figures import (
    blocks,
    domain_effect,
    examples,
    layers,
    overlap,
    pareto,
    regimes,
    similarity,
    stability,
    style,
    token_groups,
)
from tests.helpers.example_tables import examples as example_answers
from tests.helpers.figure_tables import (
    DEPTHS,
    SHADED,
    STUDIES,
    STYLE,
    effects,
    gap,
    headings,
    legend_labels,
    overlaps,
    panels,
    paretos,
    profile,
    retention,
    segments,
    sensitivity,
    shown_ticks,
    stabilities,
    variants,
)
from tests.helpers.figure_tables import blocks as block_profile

Drawn = Callable[[], tuple[Any, ...]]  # makes the tables of a figure, and names
ALL = {
    similarity: lambda: (profile(), gap()),
    token_groups: lambda: (profile(),),
    blocks: lambda: (block_profile(),),
    layers: lambda: (variants(),),
    regimes: lambda: (retention(), segments(), sensitivity()),
    overlap: lambda: (overlaps(),),
    domain_effect: lambda: (effects(), retention()),
    stability: lambda: (stabilities(),),
    pareto: lambda: (paretos(),),
    examples: lambda: (example_answers(), "shallow", "math_aware"),
}
STYLES = {layers: SHADED, overlap: SHADED, blocks: SHADED}
LEVEL = {"confidence": 0.95}
# What a figure is told besides.
MORE = {similarity: LEVEL, regimes: LEVEL, domain_effect: LEVEL, stability: {**LEVEL, "resamples": 200}, pareto: LEVEL}
each_figure = pytest.mark.parametrize(("module", "drawn"), ALL.items(), ids=[module.__name__[24:] for module in ALL])
# What the style does for all figures alike: with one of them in the quick run.
style_of_each = pytest.mark.parametrize(
    ("module", "drawn"),
    [
        pytest.param(module, drawn, id=module.__name__[24:], marks=[] if module is regimes else pytest.mark.slow)
        for module, drawn in ALL.items()
    ],
)


@each_figure
def test_outputs_have_the_same_bytes_when_drawn_twice(module: ModuleType, drawn: Drawn, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        module.draw(
            *drawn(),
            STYLES.get(module, STYLE),
            [tmp_path / folder / name for name in ("figure.html", "figure.png", "figure.pdf")],
            **MORE.get(module, {}),
        )
    for name, start in (("figure.png", b"\x89PNG"), ("figure.pdf", b"%PDF")):
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("a", "b"))
        assert first.startswith(start) and len(first) > 8_000
        assert first == second
        assert b"CreationDate" not in first
    page = (tmp_path / "a" / "figure.html").read_text()
    assert (
        base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', page)[1])
        == (tmp_path / "a" / "figure.png").read_bytes()
    )
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["figure.html", "figure.pdf", "figure.png"]


@each_figure
def test_size_follows_the_style(module: ModuleType, drawn: Drawn, tmp_path: Path) -> None:
    for size in ((6.0, 4.0), (7.5, 5.0)):
        module.draw(
            *drawn(),
            {**STYLES.get(module, STYLE), "width": size[0], "height": size[1]},
            [tmp_path / "figure.png"],
            **MORE.get(module, {}),
        )
        with Image.open(tmp_path / "figure.png") as image:
            assert image.size == (round(size[0] * style.DPI), round(size[1] * style.DPI))


@style_of_each
def test_drawing_leaves_matplotlib_as_it_was(module: ModuleType, drawn: Drawn, tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    module.draw(*drawn(), STYLES.get(module, STYLE), [tmp_path / "figure.png"], **MORE.get(module, {}))
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


@style_of_each
def test_a_users_settings_do_not_change_the_figure(module: ModuleType, drawn: Drawn, tmp_path: Path) -> None:
    module.draw(*drawn(), STYLES.get(module, STYLE), [tmp_path / "plain.png"], **MORE.get(module, {}))
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "savefig.dpi": 50, "axes.facecolor": "red"}):
        module.draw(*drawn(), STYLES.get(module, STYLE), [tmp_path / "user.png"], **MORE.get(module, {}))
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "user.png").read_bytes()


@each_figure
def test_nothing_is_cut_and_nothing_overlaps(module: ModuleType, drawn: Drawn, tmp_path: Path) -> None:
    figure = module.figure(*drawn(), {**STYLES.get(module, STYLE), "width": 8.0, "height": 6.0}, **MORE.get(module, {}))
    style.save(figure, [tmp_path / "figure.png"])
    parts = [*figure.axes, *figure.legends, *figure.texts]
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [part.get_tightbbox(renderer) for part in parts]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 8 * style.DPI and box.y1 <= 6 * style.DPI for box in boxes)
    labels = [label.get_window_extent(renderer) for ax in figure.axes for label in shown_ticks(ax)]
    for group in (boxes, labels):
        for index, box in enumerate(group):
            assert not box.count_overlaps(group[index + 1 :])


def test_a_failed_save_leaves_the_old_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "figure.png"
    path.write_text("old")

    def fail(self: Path, data: bytes) -> None:
        self.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        overlap.draw(overlaps(), SHADED, [path])
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_layers_has_a_panel_per_model_and_a_band_per_criterion() -> None:
    figure = layers.figure(variants(), SHADED)
    assert [ax.get_title() for ax in panels(figure)] == ["shallow\nrows: 1, 3 removed", "deep\nrows: 1, 4 removed"]
    labels = [label.get_text() for label in panels(figure)[0].get_yticklabels()]
    assert labels == ["math-aware", "random", "home-made"]
    assert [mark.get_marker() for mark in panels(figure)[0].get_lines()] == ["o", "X", style.FALLBACK[0][1]]
    assert not panels(figure)[1].get_lines()
    (bar,) = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    assert bar.get_xlabel() == "share of a criterion's replicates that remove the layer"


def test_layers_fills_the_removed_layers_and_shades_by_replicates() -> None:
    figure = layers.figure(variants(), SHADED)
    math_aware, random, home_made = (band.get_array().tolist() for band in panels(figure)[1].collections)
    assert math_aware == [[1, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0]]
    assert random == [[0.5, 0.5, 0, 0, 0, 0, 0, 0], [0.5, 1, 1, 1, 0.5, 0, 0, 0]]
    assert home_made == [[0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 1, 1, 1]]
    for ax, depth in zip(panels(figure), DEPTHS.values(), strict=True):
        assert ax.get_xlim() == (-0.5, depth - 0.5) and ax.get_ylim() == (3, 0)


def test_layers_without_replicates_has_no_scale_of_shares() -> None:
    figure = layers.figure(variants().filter(pl.col("criterion") != "random"), SHADED)
    assert legend_labels(figure) == ["removed"] and len(figure.axes) == 2


def test_overlap_has_a_numbered_matrix_per_model_and_budget() -> None:
    figure = overlap.figure(overlaps(), SHADED)
    assert [ax.get_title() for ax in panels(figure)] == [
        "1 removed\n(by chance 0.12)",
        "3 removed\n(by chance 0.33)",
        "1 removed\n(by chance 0.12)",
        "4 removed\n(by chance 0.33)",
    ]
    assert headings(figure) == ["shallow", "deep"]
    cells = ["1.00", "0.02", "0.03", "0.02", "1.00", "0.04", "0.03", "0.04", "1.00"]
    for ax in panels(figure):
        assert [text.get_text() for text in ax.texts] == cells
        assert ax.images[0].get_array()[0].tolist() == pytest.approx([1, 0.02, 0.03])
        assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "3"]
    names = [label.get_text() for label in panels(figure)[2].get_yticklabels()]
    assert names == ["math-aware  1", "random  2", "home-made  3"]
    (bar,) = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    assert bar.get_xlabel() == "Jaccard overlap of two criteria's layers" and bar.get_xlim() == (0, 1)


def test_overlap_of_many_criteria_numbers_every_other_column_and_writes_no_values() -> None:
    ax = panels(overlap.figure(overlaps(STUDIES["one model, thirteen criteria"]), {**SHADED, "width": "page"}))[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == [str(number) for number in range(1, 14, 2)]
    assert not ax.texts


def test_looks_are_fixed_for_known_names_and_in_order_for_others() -> None:
    some = style.looks(["mine", "random", "yours"], style.CRITERIA, {})
    assert some["random"] == style.looks(["random"], style.CRITERIA, {})["random"]
    assert (some["mine"].colour, some["yours"].colour) == (style.FALLBACK[0][0], style.FALLBACK[1][0])
    assert list(some) == ["mine", "random", "yours"]
    many = style.looks([f"new_{index}" for index in range(20)], style.CRITERIA, {})
    assert many["new_19"].label == "new-19"


def test_colours_and_markers_are_distinct() -> None:
    colours = [to_hex(colour) for colour, _ in (*style.CRITERIA.values(), *style.FALLBACK)]
    assert len(set(colours)) == len(colours)
    markers = [marker for _, marker in style.CRITERIA.values()]
    assert len(set(markers)) == len(markers)
