"""The regimes figure: curves, regimes behind them, cuts, and budgets where criteria differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from pruning_regimes.figures import regimes, style
from pruning_regimes.tables.contracts_statistics import REGIMES
from tests.helpers.figure_tables import (
    BUDGETS,
    CRITERIA,
    DEPTHS,
    LONG,
    SEGMENTS,
    STUDIES,
    STYLE,
    Study,
    headings,
    kept,
    legend_labels,
    lines,
    panels,
    retention,
    segments,
    sensitivity,
)

MANY = STUDIES["one model, thirteen criteria"]
LARGE = {**STYLE, "width": 9.0, "height": 6.5}


def drawn(
    retained: pl.DataFrame | None = None,
    segmented: pl.DataFrame | None = None,
    differing: pl.DataFrame | None = None,
    look: Mapping[str, Any] = STYLE,
) -> Figure:
    """The figure of the small tables, some of them replaced."""
    return regimes.figure(
        retention() if retained is None else retained,
        segments() if segmented is None else segmented,
        sensitivity() if differing is None else differing,
        look,
        0.9,
    )


def bare(retained: pl.DataFrame, look: Mapping[str, Any] = STYLE) -> Figure:
    """The figure without regimes and asterisks."""
    return drawn(retained, segments().clear(), sensitivity().clear(), look)


def names(ax: Axes) -> list[tuple[str, float]]:
    """The names of regimes in a panel, with their angles."""
    inside = [text for text in ax.texts if not (isinstance(text, Annotation) and text.xy[0] == 1)]
    return [(text.get_text(), text.get_rotation()) for text in inside]


def marked(ax: Axes, marker: Any) -> list[list[float]]:
    """Horizontal places of the lines with a marker."""
    return [[float(x) for x in line.get_xdata()] for line in ax.get_lines() if line.get_marker() == marker]


def test_each_criterion_starts_from_the_dense_model() -> None:
    figure = bare(retention())
    assert len(panels(figure)) == 4
    titles = [ax.get_title().replace("\xa0", " ") for ax in panels(figure)]
    assert titles == 2 * ["math benchmarks (n = 10)", "general benchmarks (n = 10)"]
    assert headings(figure) == list(DEPTHS)
    assert [ax.get_ylabel() for ax in panels(figure)] == 2 * ["retention\n(90% interval)", ""]
    for index, ax in enumerate(panels(figure)):
        depth = list(DEPTHS.values())[index // 2]
        assert list(lines(ax)) == ["math-aware", "random", "home-made"]
        for criterion, line in zip(CRITERIA, lines(ax).values(), strict=True):
            assert (line.get_xdata()[0], line.get_ydata()[0]) == (0, 1)
            expected = [kept(criterion, count, depth) for count in (0, 1, depth // 2)]
            assert list(line.get_ydata()) == pytest.approx(expected)
        # The middle criterion stands on the tick.
        assert list(lines(ax)["random"].get_xdata()) == pytest.approx([0, 100 / depth, 50])


def test_the_confidence_limits_are_drawn() -> None:
    ax = panels(drawn())[0]
    bars = [artist for artist in ax.collections if isinstance(artist, LineCollection)]
    bands = [artist for artist in ax.collections if isinstance(artist, PolyCollection)]
    assert len(bars) == len(bands) == len(CRITERIA)
    low, high = bars[1].get_segments()[0].tolist()
    value = kept("random", 1, 6)
    assert low == pytest.approx([100 / 6, value - 0.1])
    assert high == pytest.approx([100 / 6, value + 0.2])
    corners = bands[1].get_paths()[0].vertices.tolist()
    assert all(any(corner == pytest.approx(end) for corner in corners) for end in (low, high))


def test_ticks_have_counts_and_shares_and_levels_have_names() -> None:
    figure = drawn()
    shown = [[label.get_text() for label in ax.get_xticklabels()] for ax in panels(figure)]
    assert shown[0] == shown[1] == ["0\n(0%)", "1\n(17%)", "3\n(50%)"]
    assert shown[2] == ["0\n(0%)", "1\n(12%)", "4\n(50%)"]
    for ax in panels(figure)[1::2]:
        ends = {text.get_text(): text.xy[1] for text in ax.texts if isinstance(text, Annotation)}
        levels = {name: ax.transAxes.transform((1, end))[1] for name, end in ends.items()}
        dense, chance = ax.transData.transform([(0, 1), (0, 0)])[:, 1]
        assert levels == pytest.approx({"dense": dense, "chance": chance})


def test_few_criteria_have_their_names_at_the_ends_of_their_lines() -> None:
    figure = drawn(look={"width": "page"})
    style.save(figure, [])
    labelled = ["math-aware", "random", "home-made"]
    for ax in panels(figure)[1::2]:
        ends = {text.get_text(): text.xy[1] for text in ax.texts if text.get_text() in labelled}
        last = {label: float(line.get_ydata()[-1]) for label, line in lines(ax).items()}
        assert sorted(ends, key=ends.get) == sorted(last, key=last.get)
        boxes = [text.get_window_extent() for text in ax.texts if isinstance(text, Annotation)]
        assert len(boxes) == 5 and not any(box.count_overlaps(boxes[i + 1 :]) for i, box in enumerate(boxes))
    assert not set(labelled) & set(legend_labels(figure))
    assert not set(labelled) & {text.get_text() for ax in panels(figure)[::2] for text in ax.texts}


@pytest.mark.parametrize("case", ["undefined", "many", "long", "low"])
def test_otherwise_the_legend_names_the_criteria(case: str) -> None:
    retained, look, names = retention(), {"width": "page"}, {"math-aware", "random", "home-made"}
    if case == "undefined":
        retained = retention(undefined=("shallow", "general"))
    elif case == "many":
        retained, names = retention(study=MANY), {style.human(name) for name in MANY.criteria}
    elif case == "long":
        retained, names = retention(study=Study(DEPTHS, LONG[:2], BUDGETS)), {style.human(name) for name in LONG[:2]}
    else:
        look = {**STYLE, "height": 4.0}
    assert names <= {label.replace("\n", "") for label in legend_labels(drawn(retained, look=look))}


@pytest.mark.parametrize("budgets", [["0", "0.5"], ["0", "1"], ["0", "1", "0.5"]])
def test_every_marker_is_inside_its_panel(budgets: list[str]) -> None:
    for ax in panels(bare(retention().filter(pl.col("budget").is_in(budgets)))):
        left, right = ax.get_xlim()
        places = [x for line in lines(ax).values() for x in line.get_xdata()]
        assert left < min(places) and max(places) < right


def test_tick_labels_without_room_are_left_out() -> None:
    ax = panels(bare(retention(), {"width": 2.5}))[2]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0\n(0%)", "4\n(50%)"]
    assert list(ax.get_xticks(minor=True)) == [12.5]


def test_a_panel_says_where_retention_is_undefined_and_has_no_regimes() -> None:
    hidden = (pl.col("model") == "shallow") & (pl.col("group") == "general")
    figure = drawn(
        retention(undefined=("shallow", "general")), segments().filter(~hidden), sensitivity().filter(~hidden)
    )
    said = [any("undefined" in text.get_text() for text in ax.texts) for ax in panels(figure)]
    assert said == [False, True, False, False]
    assert [len(lines(ax)) for ax in panels(figure)] == [3, 0, 3, 3]
    assert [len(ax.patches) for ax in panels(figure)] == [2, 0, 4, 1]


def test_a_criterion_has_one_colour_whatever_stands_beside_it() -> None:
    whole = bare(retention())
    part = bare(retention().filter(pl.col("criterion") != "math_aware"))
    for label in ("random", "home-made"):
        assert lines(panels(whole)[0])[label].get_color() == lines(panels(part)[0])[label].get_color()


def test_segments_are_shaded_from_edge_to_cut_to_edge() -> None:
    for ax, ((model, _), found) in zip(panels(drawn()), SEGMENTS.items(), strict=True):
        left, right = ax.get_xlim()
        cuts = [100 * start / DEPTHS[model] for _, start, _, _ in found[1:]]
        assert [patch.get_x() for patch in ax.patches] == pytest.approx([left, *cuts])
        assert [patch.get_x() + patch.get_width() for patch in ax.patches] == pytest.approx([*cuts, right])
        assert [(patch.get_y(), patch.get_height()) for patch in ax.patches] == [(0, 1)] * len(found)
        colours = [to_hex(patch.get_facecolor()).upper() for patch in ax.patches]
        assert colours == [regimes.TINTS[regime] for regime, *_ in found]
        dashed = [
            line.get_xdata()[0] for line in ax.get_lines() if line.get_linestyle() == "--" and line.get_zorder() == 1
        ]
        assert [place for place in dashed if place] == pytest.approx(cuts)


def test_cut_intervals_have_their_ends_and_overlapping_ones_rows_of_their_own() -> None:
    ax = panels(drawn(look=LARGE))[2]
    expected = [[0.5, 3.0], [2.0, 3.5], [3.7, 4.2]]
    assert marked(ax, "|") == [pytest.approx([100 * end / 8 for end in ends]) for ends in expected]
    dots = [line for line in ax.get_lines() if line.get_marker() == "o" and line.get_color() == style.INK]
    assert [line.get_xdata()[0] for line in dots if line.get_xdata()[0]] == pytest.approx([12.5, 31.25, 51.25])
    bars = [line for line in ax.get_lines() if line.get_marker() == "|"]
    heights = [line.get_transform().transform((0, 0))[1] for line in bars]
    assert heights[0] == heights[2] < heights[1]
    # Below all curves.
    lowest = min(line.get_path().get_extents(line.get_transform()).y0 for line in lines(ax).values())
    assert heights[1] < lowest


def test_names_of_regimes_fit_their_segments() -> None:
    figure = drawn(look=LARGE)
    style.save(figure, [])
    assert [names(ax) for ax in panels(figure)] == [
        [("ranking-sensitive", 0), ("collapsed", 0)],
        [("convergent", 0), ("structure-dominated", 0)],
        [("convergent", 0), ("ranking-sensitive", 0), ("structure-dominated", 0), ("convergent", 90)],
        [("undecided", 0)],
    ]
    for ax in panels(figure):
        spans = [patch.get_window_extent() for patch in ax.patches]
        highest = max(line.get_path().get_extents(line.get_transform()).y1 for line in lines(ax).values())
        for text in ax.texts:
            box = text.get_window_extent()
            if not isinstance(text, Annotation):
                assert any(span.x0 <= box.x0 and box.x1 <= span.x1 for span in spans)
                assert highest < box.y0 and box.y1 < ax.bbox.y1


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        (
            [1.0, 1.7, 2.5],
            [("convergent", 0), ("ranking-\nsensitive", 0), ("structure-\ndominated", 0), ("convergent", 0)],
        ),
        (
            [1.0, 1.4, 1.8],
            [("convergent", 0), ("ranking-\nsensitive", 90), ("structure-\ndominated", 90), ("convergent", 0)],
        ),
        ([1.0, 1.1, 1.2], [("convergent", 0), ("convergent", 0)]),
    ],
    ids=["two lines", "upright", "legend only"],
)
def test_names_give_way_in_narrow_segments(starts: list[float], expected: list[tuple[str, float]]) -> None:
    narrow = segments().filter(pl.col("model") == "deep", pl.col("group") == "math").sort("segment")
    narrow = narrow.with_columns(start=pl.Series([None, *starts]))
    assert names(panels(drawn(segmented=narrow, look=LARGE))[2]) == expected


def test_asterisks_stand_on_the_axis_where_criteria_differ() -> None:
    places = [sorted(place for (place,) in marked(ax, regimes.DIFFER["marker"])) for ax in panels(drawn())]
    assert places == [pytest.approx([100 / 6, 50]), [50], [], [50]]


def test_the_legend_explains_what_occurs() -> None:
    criteria = ["math-aware", "random", "home-made"]
    marks = ["cut, with interval", "criteria differ (Holm)"]
    assert sorted(legend_labels(drawn())) == sorted([*criteria, *REGIMES, *marks])
    whole = segments().filter(pl.col("regime") == "undecided")
    few = legend_labels(drawn(segmented=whole, differing=sensitivity().clear()))
    assert sorted(few) == sorted([*criteria, "undecided"])
    assert not bare(retention(), {"width": "page"}).legends


def test_tints_are_light_and_distinct_and_only_undecided_is_hatched() -> None:
    assert list(regimes.TINTS) == list(REGIMES) and len(set(regimes.TINTS.values())) == len(REGIMES)
    assert all(int(tint[index : index + 2], 16) >= 0xC0 for tint in regimes.TINTS.values() for index in (1, 3, 5))
    assert set(regimes.HATCHES) == {"undecided"}


def test_a_low_panel_keeps_its_vertical_axis_upright() -> None:
    for ax in panels(drawn(look={"width": 5.0, "height": 3.0})):
        low, high = ax.get_ylim()
        assert low < 0 and high > 1


def test_fourteen_criteria_keep_a_marker_each_and_a_legend_within_the_width() -> None:
    known = [name for name in style.CRITERIA if name != "perplexity"]
    shared = retention().filter(pl.col("criterion") == "math_aware")
    many = pl.concat(
        [retention().filter(pl.col("criterion") == "dense")]
        + [shared.with_columns(criterion=pl.lit(name)) for name in known]
    )
    figure = drawn(many, look=LARGE)
    style.save(figure, [])
    assert len(known) == 14 and set(map(style.human, known)) < set(legend_labels(figure))
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
    for ax in panels(figure):
        assert [len(lines(ax)[style.human(name)].get_xdata()) for name in known] == [3] * 14
        assert ax.bbox.height > 0.25 * figure.bbox.height
