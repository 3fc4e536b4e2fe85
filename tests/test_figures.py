"""Figures: what stands in them, and that they are saved with the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib
import polars as pl
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from pruning_regimes import tables
from pruning_regimes.errors import DataError
from pruning_regimes.figures import layers, overlap, regimes, similarity, style

DEPTHS = {"shallow": 6, "deep": 8}
CRITERIA = ["math_aware", "random", "home_made"]
BUDGETS = {"1": 1, "0.5": None}
STYLE = {"width": 6.0, "height": 4.0, "token_group": "all"}


def removed_count(budget: str, depth: int) -> int:
    return BUDGETS[budget] or depth // 2


def profile() -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "domain": domain,
            "token_group": group,
            "layer": layer,
            "n_samples": 4,
            "cosine": 0.5 + 0.05 * layer - 0.1 * (domain == "math") - 0.2 * (group == "last"),
            "cosine_p10": 0.45 + 0.05 * layer - 0.1 * (domain == "math") - 0.2 * (group == "last"),
            "cosine_p90": 0.52 + 0.05 * layer - 0.1 * (domain == "math") - 0.2 * (group == "last"),
        }
        for model, depth in DEPTHS.items()
        for domain in ("math", "general")
        for group in ("all", "last")
        for layer in reversed(range(depth))  # the figure must not rely on the order of rows
    ]
    return tables.frame("profile", pl.DataFrame(rows))


def variants() -> pl.DataFrame:
    frames = []
    for model, depth in DEPTHS.items():
        picked = [("dense", 0, "0", [])]
        for budget in BUDGETS:
            count = removed_count(budget, depth)
            picked.append(("math_aware", 0, budget, list(range(count))))
            picked += [("random", replicate, budget, [replicate + i for i in range(count)]) for replicate in range(2)]
            picked.append(("home_made", 0, budget, list(range(depth - count, depth))))
        rows = [
            {
                "criterion": criterion,
                "replicate": replicate,
                "budget": budget,
                "n_removed": len(removed),
                "removed": removed,
                "kept": [layer for layer in range(depth) if layer not in removed],
                "variant_id": f"{criterion}{replicate}{budget}",
            }
            for criterion, replicate, budget, removed in picked
        ]
        frames.append(tables.frame("variants", rows).select(pl.lit(model).alias("model"), pl.all()))
    return pl.concat(frames)


def kept(criterion: str, count: int, depth: int) -> float:
    return 1 - (1.5 + len(criterion) / 100) * count / depth


def retention(undefined: tuple[str, str] | None = None) -> pl.DataFrame:
    rows = []
    for model, depth in DEPTHS.items():
        for group in ("math", "general"):
            for benchmark in ("quiz", None):
                for criterion in ("dense", *CRITERIA):
                    for budget in ("0",) if criterion == "dense" else BUDGETS:
                        count = 0 if budget == "0" else removed_count(budget, depth)
                        # Benchmark rows get a value of their own: it must not be drawn.
                        value = 7.0 if benchmark else kept(criterion, count, depth)
                        known = (model, group) != undefined
                        rows.append(
                            {
                                "model": model,
                                "group": group,
                                "benchmark": benchmark,
                                "criterion": criterion,
                                "budget": budget,
                                "n_removed": count,
                                "n_layers": depth,
                                "n_replicates": 1,
                                "n_questions": 10,
                                "n_failed": 0,
                                "unparsed_rate": 0.0,
                                "chance": 0.25,
                                "dense_accuracy": 0.75,
                                "accuracy": 0.5,
                                "accuracy_low": 0.4,
                                "accuracy_high": 0.6,
                                "retention": value if known else None,
                                "retention_low": value - 0.1 if known else None,
                                "retention_high": value + 0.2 if known else None,
                            }
                        )
    return tables.frame("retention", pl.DataFrame(rows, infer_schema_length=None))


def overlaps() -> pl.DataFrame:
    rows = [
        {
            "model": model,
            "budget": budget,
            "n_removed": removed_count(budget, depth),
            "criterion_a": a,
            "criterion_b": b,
            "jaccard": 1.0 if a == b else 0.01 * (1 + CRITERIA.index(a) + CRITERIA.index(b)),
            "expected_jaccard": 0.125 if budget == "1" else 0.333,
        }
        for model, depth in DEPTHS.items()
        for budget in BUDGETS
        for a in CRITERIA
        for b in CRITERIA
    ]
    return tables.frame("overlap", pl.DataFrame(rows))


ALL = [(similarity, profile), (layers, variants), (regimes, retention), (overlap, overlaps)]
each_figure = pytest.mark.parametrize(("module", "table"), ALL, ids=[module.__name__[24:] for module, _ in ALL])


def panels(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def lines(ax: Axes) -> dict[str, Any]:
    return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}


def shown_ticks(ax: Axes) -> list[Text]:
    """Labels of the ticks inside the axes' limits."""
    found = []
    for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
        for tick in axis.get_major_ticks():
            if low <= tick.get_loc() <= high:
                found += [label for label in (tick.label1, tick.label2) if label.get_visible() and label.get_text()]
    return found


def legend_labels(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


@each_figure
def test_png_and_pdf_have_the_same_bytes_when_drawn_twice(
    module: ModuleType, table: Callable[[], pl.DataFrame], tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        module.draw(table(), STYLE, [tmp_path / folder / "figure.png", str(tmp_path / folder / "figure.pdf")])
    for name, start in (("figure.png", b"\x89PNG"), ("figure.pdf", b"%PDF")):
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("a", "b"))
        assert first.startswith(start) and len(first) > 8_000
        assert first == second
        assert b"CreationDate" not in first
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["figure.pdf", "figure.png"]


@each_figure
def test_size_follows_the_style(module: ModuleType, table: Callable[[], pl.DataFrame], tmp_path: Path) -> None:
    for size in ((6.0, 4.0), (7.5, 5.0)):
        module.draw(table(), {**STYLE, "width": size[0], "height": size[1]}, [tmp_path / "figure.png"])
        with Image.open(tmp_path / "figure.png") as image:
            assert image.size == (round(size[0] * style.DPI), round(size[1] * style.DPI))


@each_figure
def test_drawing_leaves_matplotlib_as_it_was(
    module: ModuleType, table: Callable[[], pl.DataFrame], tmp_path: Path
) -> None:
    before = dict(matplotlib.rcParams)
    module.draw(table(), STYLE, [tmp_path / "figure.png"])
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


@each_figure
def test_a_users_settings_do_not_change_the_figure(
    module: ModuleType, table: Callable[[], pl.DataFrame], tmp_path: Path
) -> None:
    module.draw(table(), STYLE, [tmp_path / "plain.png"])
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "savefig.dpi": 50, "axes.facecolor": "red"}):
        module.draw(table(), STYLE, [tmp_path / "user.png"])
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "user.png").read_bytes()


@each_figure
def test_nothing_is_cut_and_nothing_overlaps(
    module: ModuleType, table: Callable[[], pl.DataFrame], tmp_path: Path
) -> None:
    figure = module.figure(table(), {**STYLE, "width": 8.0, "height": 6.0})
    style.save(figure, [tmp_path / "figure.png"])
    parts = [*figure.axes, *figure.legends, *figure.texts]
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [part.get_tightbbox(renderer) for part in parts]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 1600 and box.y1 <= 1200 for box in boxes)
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
        overlap.draw(overlaps(), STYLE, [path])
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
    figure = layers.figure(variants(), STYLE)
    assert [ax.get_title() for ax in panels(figure)[:3]] == ["math-aware", "random", "home-made"]
    assert len(panels(figure)) == 6
    assert [ax.get_ylabel() for ax in panels(figure)[::3]] == ["shallow\nlayers removed", "deep\nlayers removed"]
    assert [label.get_text() for label in panels(figure)[3].get_yticklabels()] == ["1", "4"]
    (bar,) = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    assert bar.get_ylabel() == "share of replicates removing the layer"


def test_layers_fills_the_removed_layers_and_shades_by_replicates() -> None:
    figure = layers.figure(variants(), STYLE)
    math_aware, random = (ax.collections[0].get_array().tolist() for ax in panels(figure)[3:5])
    assert math_aware == [[1, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0]]
    assert random == [[0.5, 0.5, 0, 0, 0, 0, 0, 0], [0.5, 1, 1, 1, 0.5, 0, 0, 0]]
    for ax, depth in zip(panels(figure)[::3], DEPTHS.values(), strict=True):
        assert ax.get_xlim() == (-0.5, depth - 0.5)


def test_regimes_starts_each_criterion_from_the_dense_model() -> None:
    figure = regimes.figure(retention(), STYLE)
    assert len(panels(figure)) == 4
    assert [ax.get_title() for ax in panels(figure)[:2]] == ["math benchmarks", "general benchmarks"]
    assert legend_labels(figure) == ["math-aware", "random", "home-made"]
    for index, ax in enumerate(panels(figure)):
        depth = list(DEPTHS.values())[index // 2]
        assert list(lines(ax)) == ["math-aware", "random", "home-made"]
        for criterion, line in zip(CRITERIA, lines(ax).values(), strict=True):
            assert (line.get_xdata()[0], line.get_ydata()[0]) == (0, 1)
            expected = [kept(criterion, count, depth) for count in (0, 1, depth // 2)]
            assert list(line.get_ydata()) == pytest.approx(expected)
        # The middle criterion stands on the tick.
        assert list(lines(ax)["random"].get_xdata()) == pytest.approx([0, 100 / depth, 50])


def test_regimes_draws_the_confidence_limits() -> None:
    ax = panels(regimes.figure(retention(), STYLE))[0]
    bars = [drawn for drawn in ax.collections if isinstance(drawn, LineCollection)]
    bands = [drawn for drawn in ax.collections if isinstance(drawn, PolyCollection)]
    assert len(bars) == len(bands) == len(CRITERIA)
    low, high = bars[1].get_segments()[0].tolist()
    value = kept("random", 1, 6)
    assert low == pytest.approx([100 / 6, value - 0.1])
    assert high == pytest.approx([100 / 6, value + 0.2])
    corners = bands[1].get_paths()[0].vertices.tolist()
    assert all(any(corner == pytest.approx(end) for corner in corners) for end in (low, high))


def test_regimes_labels_counts_shares_and_reference_levels() -> None:
    figure = regimes.figure(retention(), STYLE)
    shown = [[label.get_text() for label in ax.get_xticklabels()] for ax in panels(figure)]
    assert shown[0] == shown[1] == ["0\n(0%)", "1\n(17%)", "3\n(50%)"]
    assert shown[2] == ["0\n(0%)", "1\n(12%)", "4\n(50%)"]
    for ax in panels(figure)[1::2]:
        assert {text.get_text(): text.xy[1] for text in ax.texts} == {"dense": 1.0, "chance": 0.0}


@pytest.mark.parametrize("budgets", [["0", "0.5"], ["0", "1"], ["0", "1", "0.5"]])
def test_regimes_keeps_every_marker_inside_its_panel(budgets: list[str]) -> None:
    for ax in panels(regimes.figure(retention().filter(pl.col("budget").is_in(budgets)), STYLE)):
        left, right = ax.get_xlim()
        places = [x for line in lines(ax).values() for x in line.get_xdata()]
        assert left < min(places) and max(places) < right


def test_regimes_leaves_out_tick_labels_without_room() -> None:
    ax = panels(regimes.figure(retention(), {**STYLE, "width": 2.5}))[2]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0\n(0%)", "4\n(50%)"]
    assert list(ax.get_xticks(minor=True)) == [12.5]


def test_regimes_says_where_retention_is_undefined() -> None:
    figure = regimes.figure(retention(undefined=("shallow", "general")), STYLE)
    said = [any("undefined" in text.get_text() for text in ax.texts) for ax in panels(figure)]
    assert said == [False, True, False, False]
    assert [len(lines(ax)) for ax in panels(figure)] == [3, 0, 3, 3]


def test_overlap_has_an_annotated_matrix_per_model_and_budget() -> None:
    figure = overlap.figure(overlaps(), STYLE)
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
    some = style.looks(["mine", "random", "yours"], style.CRITERIA)
    assert some["random"] == style.looks(["random"], style.CRITERIA)["random"]
    assert (some["mine"].colour, some["yours"].colour) == (style.FALLBACK[0][0], style.FALLBACK[1][0])
    assert list(some) == ["mine", "random", "yours"]
    many = style.looks([f"new_{index}" for index in range(20)], style.CRITERIA)
    assert many["new_19"].label == "new-19"


def test_colours_and_markers_are_distinct() -> None:
    colours = [to_hex(colour) for colour, _ in (*style.CRITERIA.values(), *style.FALLBACK)]
    assert len(set(colours)) == len(colours)
    markers = [marker for _, marker in style.CRITERIA.values()]
    assert len(set(markers)) == len(markers)


def test_a_criterion_has_one_colour_whatever_stands_beside_it() -> None:
    whole = regimes.figure(retention(), STYLE)
    part = regimes.figure(retention().filter(pl.col("criterion") != "math_aware"), STYLE)
    for label in ("random", "home-made"):
        assert lines(panels(whole)[0])[label].get_color() == lines(panels(part)[0])[label].get_color()
