"""Figures: what stands in them, and that they are saved with the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib
import polars as pl
import pytest
from figure_tables import (
    DEPTHS,
    SHADED,
    STYLE,
    effects,
    legend_labels,
    lines,
    overlaps,
    panels,
    profile,
    retention,
    segments,
    sensitivity,
    shown_ticks,
    stabilities,
    variants,
)
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from pruning_regimes.errors import DataError
from pruning_regimes.figures import domain_effect, layers, overlap, regimes, similarity, stability, style

Drawn = Callable[[], tuple[pl.DataFrame, ...]]  # makes the tables of a figure
ALL = {
    similarity: lambda: (profile(),),
    layers: lambda: (variants(),),
    regimes: lambda: (retention(), segments(), sensitivity()),
    overlap: lambda: (overlaps(),),
    domain_effect: lambda: (effects(),),
    stability: lambda: (stabilities(),),
}
STYLES = {layers: SHADED, overlap: SHADED}
each_figure = pytest.mark.parametrize(("module", "drawn"), ALL.items(), ids=[module.__name__[24:] for module in ALL])


@each_figure
def test_png_and_pdf_have_the_same_bytes_when_drawn_twice(module: ModuleType, drawn: Drawn, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        module.draw(
            *drawn(),
            STYLES.get(module, STYLE),
            [tmp_path / folder / "figure.png", str(tmp_path / folder / "figure.pdf")],
        )
    for name, start in (("figure.png", b"\x89PNG"), ("figure.pdf", b"%PDF")):
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("a", "b"))
        assert first.startswith(start) and len(first) > 8_000
        assert first == second
        assert b"CreationDate" not in first
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["figure.pdf", "figure.png"]


@each_figure
def test_size_follows_the_style(module: ModuleType, drawn: Drawn, tmp_path: Path) -> None:
    for size in ((6.0, 4.0), (7.5, 5.0)):
        module.draw(
            *drawn(), {**STYLES.get(module, STYLE), "width": size[0], "height": size[1]}, [tmp_path / "figure.png"]
        )
        with Image.open(tmp_path / "figure.png") as image:
            assert image.size == (round(size[0] * style.DPI), round(size[1] * style.DPI))


@each_figure
def test_drawing_leaves_matplotlib_as_it_was(module: ModuleType, drawn: Drawn, tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    module.draw(*drawn(), STYLES.get(module, STYLE), [tmp_path / "figure.png"])
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


@each_figure
def test_a_users_settings_do_not_change_the_figure(module: ModuleType, drawn: Drawn, tmp_path: Path) -> None:
    module.draw(*drawn(), STYLES.get(module, STYLE), [tmp_path / "plain.png"])
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "savefig.dpi": 50, "axes.facecolor": "red"}):
        module.draw(*drawn(), STYLES.get(module, STYLE), [tmp_path / "user.png"])
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "user.png").read_bytes()


@each_figure
def test_nothing_is_cut_and_nothing_overlaps(module: ModuleType, drawn: Drawn, tmp_path: Path) -> None:
    figure = module.figure(*drawn(), {**STYLES.get(module, STYLE), "width": 8.0, "height": 6.0})
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

    def fail(self: Figure, file: Path, **_: Any) -> None:
        Path(file).write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        overlap.draw(overlaps(), SHADED, [path])
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_similarity_has_a_panel_per_model_and_a_line_per_domain() -> None:
    figure = similarity.figure(profile(), STYLE)
    assert [ax.get_title() for ax in panels(figure)] == list(DEPTHS)
    assert legend_labels(figure) == ["math", "general"]
    for ax, depth in zip(panels(figure), DEPTHS.values(), strict=True):
        assert list(lines(ax)) == ["math", "general"]
        assert list(lines(ax)["math"].get_xdata()) == list(range(depth))
        assert list(lines(ax)["math"].get_ydata()) == pytest.approx([0.4 + 0.05 * layer for layer in range(depth)])
        assert len(ax.collections) == 2
        band = ax.collections[0].get_datalim(ax.transData)
        assert (band.ymin, band.ymax) == pytest.approx((0.35, 0.42 + 0.05 * (depth - 1)))
    assert panels(figure)[0].get_ylim() == panels(figure)[1].get_ylim()


def test_similarity_shows_the_token_group_of_the_style() -> None:
    figure = similarity.figure(profile(), {**STYLE, "token_group": "last"})
    assert lines(panels(figure)[0])["general"].get_ydata()[0] == pytest.approx(0.3)


def test_similarity_names_the_model_without_the_token_group() -> None:
    table = profile().filter((pl.col("model") == "shallow") | (pl.col("token_group") == "all"))
    with pytest.raises(DataError, match="'deep'.*'last'"):
        similarity.figure(table, {**STYLE, "token_group": "last"})


def test_layers_has_a_panel_per_model_and_criterion() -> None:
    figure = layers.figure(variants(), SHADED)
    assert [ax.get_title() for ax in panels(figure)[:3]] == ["math-aware", "random", "home-made"]
    assert len(panels(figure)) == 6
    assert [ax.get_ylabel() for ax in panels(figure)[::3]] == ["shallow\nlayers removed", "deep\nlayers removed"]
    assert [label.get_text() for label in panels(figure)[3].get_yticklabels()] == ["1", "4"]
    (bar,) = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    assert bar.get_ylabel() == "share of replicates removing the layer"


def test_layers_fills_the_removed_layers_and_shades_by_replicates() -> None:
    figure = layers.figure(variants(), SHADED)
    math_aware, random = (ax.collections[0].get_array().tolist() for ax in panels(figure)[3:5])
    assert math_aware == [[1, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0]]
    assert random == [[0.5, 0.5, 0, 0, 0, 0, 0, 0], [0.5, 1, 1, 1, 0.5, 0, 0, 0]]
    for ax, depth in zip(panels(figure)[::3], DEPTHS.values(), strict=True):
        assert ax.get_xlim() == (-0.5, depth - 0.5)


def test_overlap_has_an_annotated_matrix_per_model_and_budget() -> None:
    figure = overlap.figure(overlaps(), SHADED)
    assert [ax.get_title() for ax in panels(figure)] == [
        "1 removed\n(by chance 0.12)",
        "3 removed\n(by chance 0.33)",
        "1 removed\n(by chance 0.12)",
        "4 removed\n(by chance 0.33)",
    ]
    assert [ax.get_ylabel() for ax in panels(figure)] == ["shallow", "", "deep", ""]
    cells = ["1.00", "0.02", "0.03", "0.02", "1.00", "0.04", "0.03", "0.04", "1.00"]
    for ax in panels(figure):
        assert [text.get_text() for text in ax.texts] == cells
        assert ax.images[0].get_array()[0].tolist() == pytest.approx([1, 0.02, 0.03])
    labels = [(label.get_text(), label.get_rotation()) for label in panels(figure)[2].get_xticklabels()]
    assert labels == [("math-aware", 90), ("random", 90), ("home-made", 90)]
    (bar,) = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    assert bar.get_ylabel() == "Jaccard overlap" and bar.get_ylim() == (0, 1)


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
