"""What all figures share: looks, text that fits, panels in lines, heights, legends, labels at the ends of lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pruning_regimes.config.figures import WIDTHS
from pruning_regimes.figures import labels, style, texts
from pruning_regimes.figures.grid import Grid, grid
from tests.helpers.figure_tables import headings, legend_labels, panels

PAGE, COLUMN = {"width": "page"}, {"width": "column"}
NAMES = ["math_aware", "mine", "random", "yours"]


def test_a_palette_changes_the_colours_of_those_it_names_and_no_marker() -> None:
    plain = style.looks(NAMES, style.CRITERIA, {})
    mapped = style.looks(NAMES, style.CRITERIA, {"palette": {"mine": "gold", "random": "#123456"}})
    assert {name: look.colour for name, look in mapped.items() if look != plain[name]} == {
        "mine": "gold",
        "random": "#123456",
    }
    named = style.looks(NAMES, style.CRITERIA, {"palette": "colorblind"})
    assert len({look.colour for look in named.values()}) == len(NAMES)
    assert not {look.colour for look in named.values()} & {look.colour for look in plain.values()}
    for looks in (mapped, named):
        assert [look.marker for look in looks.values()] == [look.marker for look in plain.values()]


@pytest.mark.parametrize("palette", [{}, {"palette": "colorblind"}, {"palette": {"yours": "red"}}])
def test_criteria_that_are_left_out_change_no_others_look(palette: dict[str, Any]) -> None:
    every = style.looks(NAMES, style.CRITERIA, palette)
    some = style.looks(NAMES, style.CRITERIA, {**palette, "criteria": ["yours", "random"]})
    assert some == {name: every[name] for name in ("random", "yours")}
    # Of domains none is left out: the key is that of criteria.
    assert len(style.looks(["math", "mine"], style.DOMAINS, {"criteria": ["yours"]})) == 2


def test_unknown_criteria_differ_in_colour_or_marker() -> None:
    names = [f"new_{index}" for index in range(36)]
    found = [(look.colour, look.marker) for look in style.looks(names, style.CRITERIA, {}).values()]
    assert len(set(found)) == 36
    assert len({colour for colour, _ in found[:6]}) == len({marker for _, marker in found[:6]}) == 6


def test_the_font_is_the_same_everywhere() -> None:
    with style.theme():
        figure = style.empty(PAGE, 1)
        assert figure.text(0, 0, "x").get_fontname() == texts.FONT
    assert figure.get_figwidth() == WIDTHS["page"] and style.empty({"width": 5.5}, 1).get_figwidth() == 5.5


@pytest.mark.parametrize("points", [6.0, 8.5])
def test_widths_of_text_are_those_that_are_drawn(points: float) -> None:
    with style.theme():
        figure = style.empty(PAGE, 1)
        for said in ("demo-idefics3", "WWW MMM", "iiillliii", "x_1 → y…", "one\nand another"):
            drawn = figure.text(0, 0, said, fontsize=points).get_window_extent().width / figure.dpi
            assert texts.width(said, points) == pytest.approx(drawn, rel=0.03, abs=0.01)
    assert texts.height("a\nb", 8) == 2 * texts.height("a", 8)


WORDS = st.text(st.sampled_from("ab W-_/\xa0…"), max_size=80)


@given(WORDS, st.floats(0.2, 3), st.integers(1, 4), st.sampled_from([0.0, 0.4]))
def test_wrapped_text_keeps_to_its_width_and_lines(said: str, inches: float, lines: int, tail: float) -> None:
    found = texts.wrapped(said, inches, 8, lines, tail)
    assert found.count("\n") < lines
    assert texts.width(found, 8) <= inches
    whole = texts.wrapped(said, inches, 8, lines=1000)
    assert "".join(whole.split("\n")).replace(" ", "") == "".join(said.split(" "))
    if whole.count("\n") < lines:
        assert found == whole
    else:
        assert texts.ELLIPSIS in found


def test_text_breaks_behind_spaces_hyphens_and_underscores_and_keeps_both_ends() -> None:
    assert texts.wrapped("math-aware_criterion of mine", 0.9, 8, lines=4) == "math-aware_\ncriterion of\nmine"
    assert texts.wrapped("retention (95%\xa0interval)", 0.9, 8, lines=2) == "retention\n(95%\xa0interval)"
    cut = texts.wrapped("a_long_name_that_ends_in_17", 1.0, 8)
    assert cut.startswith("a_long") and cut.endswith("17") and texts.ELLIPSIS in cut
    assert texts.wrapped("the beginning of a sentence", 1.0, 8, tail=0).endswith(texts.ELLIPSIS)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain $x$ ✓", "plain $x$ ✓"),
        ("two 中国 and 한", "two [CJK: 2 characters] and [Hangul: 1 character]"),
        ("中, 国", "[CJK: 1 character], [CJK: 1 character]"),
        ("中 国", "[CJK: 3 characters]"),
        ("𓀀𓀁", "[Egyptian: 2 characters]"),
        ("🇩🇪", "[symbols: 2 characters]"),
        ("a\x00b\u200bc\td\n", "abc\td\n"),
    ],
)
def test_what_the_font_lacks_is_told(said: str, shown: str) -> None:
    assert texts.printable(said) == shown


def spans(found: Grid) -> dict[tuple[str, str], tuple[int, int]]:
    """Line and column of each panel, without the lines of headings."""
    rows = sorted({ax.get_subplotspec().rowspan.start for ax in found.panels.values()})
    return {
        key: (rows.index(ax.get_subplotspec().rowspan.start), ax.get_subplotspec().colspan.start)
        for key, ax in found.panels.items()
    }


@style.theme()
def drawn(look: dict[str, Any], models: str, items: str, least: float = 2.0, inches: float = 1.0) -> Grid:
    found = grid(look, list(models), list(items), least, inches)
    for (model, item), ax in found.panels.items():
        ax.plot([0, 1], [0, 1])
        found.title(model, item, item)
    found.below("across")
    found.fit(look, inches)
    found.beside("upwards")
    style.save(found.figure, [])
    return found


def test_a_model_begins_a_new_line_and_goes_on_in_the_next() -> None:
    found = drawn(PAGE, "ab", "12345")
    assert found.columns == 3 and headings(found.figure) == ["a", "b"]
    first = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert list(spans(found).values()) == first + [(row + 2, column) for row, column in first]
    assert [len(line) for line in found.lines()] == [3, 2, 3, 2]
    assert [ax.get_xlabel() for ax in found.panels.values()] == 8 * [""] + 2 * ["across"]
    labelled = [ax for ax in found.panels.values() if any(label.get_visible() for label in ax.get_yticklabels())]
    assert [spans(found)[key][1] for key, ax in found.panels.items() if ax in labelled] == [0, 0, 0, 0]


def test_models_of_one_panel_stand_side_by_side_with_their_names_in_the_titles() -> None:
    found = drawn(PAGE, "abcd", "1")
    assert list(spans(found).values()) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert not headings(found.figure)
    assert [ax.get_title() for ax in found.panels.values()] == ["a\n1", "b\n1", "c\n1", "d\n1"]


def test_many_models_stand_abreast_rather_than_on_two_pages() -> None:
    assert drawn(PAGE, "ab", "12", least=1.0, inches=2.0).columns == 2
    many = drawn(PAGE, "abcdef", "12", least=1.0, inches=2.0)
    assert many.columns == 4 and many.figure.get_figheight() <= style.TALLEST
    assert len(headings(many.figure)) == 6


def test_a_column_has_fewer_panels_in_a_line() -> None:
    assert [drawn(look, "a", "1234", least=1.3).columns for look in (PAGE, COLUMN)] == [4, 2]
    assert drawn({"width": 1.0}, "a", "12").columns == 1


def heights(figure: Figure) -> list[float]:
    return [ax.get_position().height * figure.get_figheight() for ax in panels(figure)]


def test_panels_have_their_height_whatever_stands_around_them() -> None:
    for look in (PAGE, {**PAGE, "title": "a title of several lines " * 20}):
        assert heights(drawn(look, "ab", "123").figure) == pytest.approx([1.0] * 6, abs=0.02)


def test_a_stated_height_is_kept() -> None:
    assert drawn({**PAGE, "height": 5.0}, "ab", "123").figure.get_figheight() == 5.0


def test_panels_are_lower_where_the_figure_would_be_higher_than_a_page_but_not_too_low() -> None:
    some, many = (drawn(PAGE, "a", "abcdefghijkl"[:count], least=7, inches=1.5) for count in (5, 12))
    assert some.figure.get_figheight() == pytest.approx(style.TALLEST, abs=0.02)
    assert heights(many.figure) == pytest.approx([style.LOWEST * 1.5] * 12, abs=0.02)


def test_rows_may_have_heights_of_their_own() -> None:
    with style.theme():
        figure, axes = style.panels(PAGE, 2, 1, 1.0, height_ratios=(2, 1))
        style.fit(figure, axes, PAGE, (2.0, 1.0))
    assert heights(figure) == pytest.approx([2.0, 1.0], abs=0.02)


@style.theme()
def legend_of(*groups: list[str], width: float = 7.2) -> Figure:
    figure = style.empty({"width": width}, 2)
    style.legend(figure, *([Line2D([], [], label=name) for name in group] for group in groups))
    return figure


def test_a_legend_is_within_the_width_and_has_rows_of_about_one_length() -> None:
    figure = legend_of([f"criterion {index}" for index in range(13)])
    (legend,) = figure.legends
    assert legend._ncols == 7  # two rows, as eight columns would have
    assert legend.get_window_extent().width <= figure.bbox.width
    assert len(legend_labels(figure)) == 13


def test_groups_of_a_legend_begin_rows_of_their_own() -> None:
    figure = legend_of(list("abcde"), ["x", "y"])
    (legend,) = figure.legends
    figure.draw_without_rendering()
    heights = {text.get_text(): round(text.get_window_extent().y1) for text in legend.get_texts() if text.get_text()}
    assert heights["a"] == heights["e"] > heights["x"] == heights["y"]


def test_long_names_in_a_legend_are_broken_or_shortened() -> None:
    name = "criterion-" * 7
    for names, lines in ([name] * 2, 2), ([name] * 13, 1):
        figure = legend_of(names, width=3.5)
        assert figure.legends[0].get_window_extent().width <= figure.bbox.width
        assert {label.count("\n") + 1 for label in legend_labels(figure)} == {lines}
    assert not legend_of([], []).legends


def test_labels_stand_at_the_ends_of_their_lines_as_far_as_others_let_them() -> None:
    with style.theme():
        figure, axes = style.panels({"width": 5.0, "height": 3.0}, 1, 1, 1.0)
        looks = style.looks(NAMES, style.CRITERIA, {})
        places = dict(zip(NAMES, (0.5, 0.5, 0.5, 0.9), strict=True))
        found = {look.label: labels.End(places[name], look) for name, look in looks.items()}
        drawn = labels.Labels(axes[0, 0], found | {"level": labels.End(0.0)})
        axes[0, 0].set_ylim(-0.1, 1.1)
        style.settle(figure)
        drawn.settle()
        style.save(figure, [])
    boxes = {text.get_text(): text.get_window_extent() for text in drawn.texts}
    for index, box in enumerate(boxes.values()):
        assert box.x0 > axes[0, 0].bbox.x1 and box.x1 <= figure.bbox.x1
        assert not box.count_overlaps(list(boxes.values())[index + 1 :])
    for name, place in (("yours", 0.9), ("level", 0.0)):
        height = axes[0, 0].transData.transform((0, place))[1]
        assert (boxes[name].y0 + boxes[name].y1) / 2 == pytest.approx(height, abs=5)
    colours = [to_hex(marker.get_color()) for marker in drawn.markers if marker]
    assert sorted(colours) == sorted(to_hex(look.colour) for look in looks.values())
    width, height = labels.extent(found)
    assert width >= max(box.width for box in boxes.values()) / figure.dpi and height == pytest.approx(0.486, abs=0.01)


def test_ticks_without_room_have_no_label() -> None:
    with style.theme():
        figure, axes = style.panels(PAGE, 1, 1, 1.0)
        axes[0, 0].set_xlim(0, 10)
        style.ticks_within(axes[0, 0], {5: "five", 0: "none", 5.2: "near", 10: "ten"}, panel=2.0, inches=0.3)
    assert [label.get_text() for label in axes[0, 0].get_xticklabels()] == ["five", "none", "ten"]
    assert np.array_equal(axes[0, 0].get_xticks(minor=True), [5.2])
