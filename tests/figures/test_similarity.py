"""The figures of similarity, token groups and blocks, and the labels beside their lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pruning_regimes.config.figures import check_figures
from pruning_regimes.figures import blocks, labels, similarity, style, token_groups
from pruning_regimes.jobs.errors import ConfigError, DataError
from tests.helpers.figure_tables import (
    DEPTHS,
    HIGHER,
    SHADED,
    STYLE,
    gap,
    legend_labels,
    lines,
    nearest,
    panels,
    profile,
)
from tests.helpers.figure_tables import blocks as block_profile

PAGE = {"width": "page", "token_group": "all"}
MATH, GENERAL = (style.DOMAINS[name][0] for name in ("math", "general"))


def drawn(
    profiled: pl.DataFrame | None = None, gaps: pl.DataFrame | None = None, look: dict[str, Any] = STYLE
) -> Figure:
    """The similarity figure of the small tables, some of them replaced."""
    found = similarity.figure(
        profile() if profiled is None else profiled, gap() if gaps is None else gaps, look, confidence=0.9
    )
    style.save(found, [])
    return found


def beside(ax: Axes) -> dict[str, str]:
    """The labels of lines beside a panel, with their colours."""
    return {text.get_text(): text.get_color() for text in ax.texts}


def band(ax: Axes, index: int = 0) -> tuple[float, float]:
    """Lowest and highest point of a band."""
    found = ax.collections[index].get_datalim(ax.transData)
    return found.ymin, found.ymax


def several(table: pl.DataFrame, *models: str) -> pl.DataFrame:
    """The rows of one model for each of some names."""
    own = table.filter(pl.col("model") == "deep")
    return pl.concat([own.with_columns(model=pl.lit(model)) for model in models])


def test_similarity_has_a_profile_and_a_gap_per_model() -> None:
    figure = drawn()
    above, below = panels(figure)[:2], panels(figure)[2:]
    assert [ax.get_title() for ax in above] == list(DEPTHS) and len(below) == 2
    for upper, lower, depth in zip(above, below, DEPTHS.values(), strict=True):
        assert list(lines(upper)) == ["math", "general"] and list(lines(lower)) == ["general"]
        assert list(lines(upper)["math"].get_xdata()) == list(range(depth))
        assert list(lines(upper)["math"].get_ydata()) == pytest.approx([0.4 + 0.05 * layer for layer in range(depth)])
        assert band(upper) == pytest.approx((0.35, 0.42 + 0.05 * (depth - 1)))
        assert list(lines(lower)["general"].get_ydata()) == pytest.approx([0.8 + 0.1 * x for x in range(depth)])
        assert band(lower) == pytest.approx((0.9 * 0.8, 1.2 * (0.7 + 0.1 * depth)))
        assert lines(lower)["general"].get_color() == GENERAL
        (level,) = [line for line in lower.get_lines() if list(line.get_ydata()) == [1, 1]]
        assert level.get_color() == MATH
        assert upper.get_xlim() == lower.get_xlim()


def test_similarity_has_the_same_scale_of_change_in_all_panels_and_directions() -> None:
    figure = drawn()
    for pair in (panels(figure)[:2], panels(figure)[2:]):
        assert pair[0].get_ylim() == pair[1].get_ylim()
    upper, lower = panels(figure)[::2]
    # A layer that changes its input half as much is higher, in both panels.
    assert upper.transData.transform((0, 0.95))[1] > upper.transData.transform((0, 0.9))[1]
    assert lower.transData.transform((0, 0.5))[1] > lower.transData.transform((0, 1.0))[1]
    for ax, drawn_values in ((upper, (0.35, 0.5 + 0.35 + 0.02)), (lower, (0.72, 1.8))):
        low, high = sorted(ax.get_ylim())
        assert low < min(drawn_values) and max(drawn_values) < high


def test_similarity_says_what_its_axes_bands_and_labels_are() -> None:
    figure = drawn(look=PAGE)
    upper, lower = panels(figure)[::2]
    assert upper.get_ylabel() == "input–output cosine,\nall tokens\n(10–90% of samples)"
    assert lower.get_ylabel() == "1 − cosine,\nmath = ×1\n(90% interval)"
    assert [label.get_text()[0] for label in lower.get_yticklabels()] == ["×"] * len(lower.get_yticks())
    assert not figure.legends and not beside(upper)
    assert beside(panels(figure)[1]) == {"math\n(n = 4)": MATH, "general\n(n = 4)": GENERAL}
    assert "last token" in panels(drawn(look={**STYLE, "token_group": "last"}))[0].get_ylabel()


def test_labels_without_room_become_a_legend() -> None:
    assert legend_labels(drawn(look={**PAGE, "width": 2.0})) == ["math (n = 4)", "general (n = 4)"]
    long = profile().with_columns(pl.col("domain").replace("general", "a_domain_with_a_long_name"))
    gaps = gap().with_columns(domain=pl.lit("a_domain_with_a_long_name"))
    figure = drawn(long, gaps, PAGE)
    assert legend_labels(figure) == ["math (n = 4)", "a-domain-with-a-long-name (n = 4)"]
    assert not beside(panels(figure)[1])


def test_a_study_of_one_domain_has_no_gap() -> None:
    figure = drawn(profile().filter(pl.col("domain") == "math"), gap().clear())
    assert [ax.get_title() for ax in panels(figure)] == list(DEPTHS)
    assert [ax.get_xlabel() for ax in panels(figure)] == ["decoder layer"] * 2


def test_a_domain_without_the_token_group_is_left_out() -> None:
    image = (pl.col("token_group") == "image") & (pl.col("domain") == "general")
    figure = drawn(
        profile().filter(~image), gap().filter(pl.col("token_group") != "image"), {**PAGE, "token_group": "image"}
    )
    assert beside(panels(figure)[-1]) == {"math\n(n = 4)": MATH}


def test_a_gap_without_limits_has_a_line_and_no_band() -> None:
    without = gap().with_columns(ratio_low=pl.lit(None, pl.Float64), ratio_high=pl.lit(None, pl.Float64))
    lower = panels(drawn(gaps=without))[2]
    assert len(lines(lower)["general"].get_ydata()) == 6
    assert all(not path.vertices.size for path in lower.collections[0].get_paths())


def test_a_third_domain_has_a_line_of_its_own_in_the_gap() -> None:
    third = gap().with_columns(domain=pl.lit("docs"), ratio=pl.col("ratio") + 1, ratio_high=pl.col("ratio_high") + 2)
    more = profile().filter(pl.col("domain") == "general").with_columns(domain=pl.lit("docs"))
    lower = panels(drawn(pl.concat([profile(), more]), pl.concat([gap(), third])))[2]
    assert list(lines(lower)) == ["general", "docs"]
    assert lines(lower)["docs"].get_ydata()[0] == pytest.approx(1.8)


@pytest.mark.parametrize(("width", "columns"), [("page", 3), ("column", 2)])
def test_many_models_stand_in_several_lines(width: str, columns: int) -> None:
    models = [f"vision-language-model-of-many-billion-parameters-number-{index}" for index in range(5)]
    figure = drawn(several(profile(), *models), several(gap(), *models), {"width": width, "token_group": "all"})
    assert len(panels(figure)) == 10
    titled = [ax for ax in panels(figure) if ax.get_title()]
    assert [ax.get_title().replace("\n", "")[-1] for ax in titled] == list("01234")
    assert len({round(ax.get_position().x0, 3) for ax in titled}) == columns
    boxes = [ax.get_tightbbox() for ax in panels(figure)]
    assert all(not box.count_overlaps(boxes[index + 1 :]) for index, box in enumerate(boxes))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert figure.get_figheight() <= style.TALLEST


@pytest.mark.parametrize(("n_models", "width", "columns"), [(9, "column", 2), (4, 2.5, 1), (1, 1.2, 1), (5, 4.5, 3)])
def test_no_line_of_models_is_empty(n_models: int, width: str | float, columns: int) -> None:
    models = [str(index) for index in range(n_models)]
    figure = drawn(several(profile(), *models), several(gap(), *models), {"width": width, "token_group": "all"})
    assert len({round(ax.get_position().x0, 3) for ax in panels(figure)}) == columns
    assert len(panels(figure)) == 2 * n_models


def test_similarity_names_the_model_without_the_token_group() -> None:
    table = profile().filter((pl.col("model") == "shallow") | (pl.col("token_group") == "all"))
    with pytest.raises(DataError, match="'deep'.*'last'"):
        drawn(table, look={**STYLE, "token_group": "last"})


@pytest.mark.parametrize("width", ["page", "column"])
def test_deep_models_have_markers_and_layers_as_far_as_there_is_room(width: str) -> None:
    deep = pl.concat([profile().with_columns(layer=pl.col("layer") + 8 * i, cosine=0.9) for i in range(10)])
    for ax in panels(drawn(deep, gap().clear(), {"width": width, "token_group": "all"})):
        apart = ax.bbox.width / ax.figure.dpi * 72 / 80 * lines(ax)["math"].get_markevery()
        assert style.marked(style.looks(["math"], style.DOMAINS, {})["math"], 3.2)["markersize"] < apart < 20
        drawn_labels = [label.get_window_extent() for label in ax.get_xticklabels()]
        assert len(drawn_labels) >= 3 and max(ax.get_xticks()) < 80
        assert all(a.x1 < b.x0 for a, b in zip(drawn_labels, drawn_labels[1:], strict=False))


@pytest.mark.parametrize(("low", "high"), [(-0.9, 0.2), (0.1, 0.99995), (0.985, 0.9865), (0.99999, 0.999999)])
def test_cosines_of_any_range_have_some_ticks_that_do_not_collide(low: float, high: float) -> None:
    spans = profile().with_columns(cosine=pl.lit(high), cosine_p10=pl.lit(low), cosine_p90=pl.lit(high))
    ax = panels(drawn(spans, gap().clear(), PAGE))[0]
    boxes = sorted((label.get_window_extent() for label in ax.get_yticklabels()), key=lambda box: box.y0)
    assert len(boxes) >= 1 and all(a.y1 <= b.y0 for a, b in zip(boxes, boxes[1:], strict=False))


def token_figure(table: pl.DataFrame, look: dict[str, Any] = PAGE) -> Figure:
    found = token_groups.figure(table, look)
    style.save(found, [])
    return found


def test_token_groups_have_a_panel_per_model_and_domain_and_a_line_per_group() -> None:
    figure = token_figure(profile())
    shown = [ax for ax in panels(figure) if lines(ax)]
    assert len(shown) == 4
    names = {"all": "all tokens", "image": "image tokens", "text": "text tokens", "last": "last token"}
    for index, ax in enumerate(shown):
        depth = list(DEPTHS.values())[index // 2]
        assert list(lines(ax)) == list(names.values())
        for group, name in names.items():
            line = lines(ax)[name]
            expected = [0.4 + 0.1 * (index % 2) + 0.05 * layer + HIGHER[group] for layer in range(depth)]
            assert list(line.get_ydata()) == pytest.approx(expected)
            assert (line.get_color(), line.get_marker()) == style.TOKENS[group]
            assert line.get_linestyle() == ("--" if group == "all" else "-")
    assert len({ax.get_ylim() for ax in shown}) == 1
    assert not figure.legends
    for ax in shown[1::2]:
        heights = [text.get_window_extent().y0 for text in sorted(ax.texts, key=lambda text: text.get_text())]
        all_tokens, image, last, text = heights
        assert image > all_tokens > text > last


def test_a_group_that_a_domain_lacks_has_no_line_there_and_a_place_in_the_legend() -> None:
    without = (pl.col("token_group") == "image") & (pl.col("domain") == "general")
    figure = token_figure(profile().filter(~without))
    assert [len(lines(ax)) for ax in panels(figure) if lines(ax)] == [4, 3] * 2
    assert legend_labels(figure) == ["all tokens", "image tokens", "text tokens", "last token"]
    assert figure.legends[0].get_lines()[0].get_linestyle() == "--"


def test_numbers_of_samples_stand_above_the_panels() -> None:
    fewer = pl.when(pl.col("token_group") == "image", pl.col("domain") == "math").then(3).otherwise("n_samples")
    figure = token_figure(profile().with_columns(n_samples=fewer))
    # What is above the panels of the first model is not repeated above those of the next.
    assert [ax.get_title() for ax in panels(figure) if lines(ax)] == [
        "math (n = 4, image tokens: 3)", "general (n = 4)", "", ""
    ]  # fmt: skip


def block_figure(depths: dict[str, int] = DEPTHS, look: dict[str, Any] = SHADED) -> Figure:
    found = blocks.figure(block_profile(depths), look)
    style.save(found, [])
    return found


def maps(figure: Figure) -> list[tuple[Axes, QuadMesh]]:
    return [(ax, ax.collections[0]) for ax in panels(figure) if ax.collections]


def test_blocks_shade_each_block_and_mark_the_nearest_of_a_length() -> None:
    found = maps(block_figure())
    assert len(found) == 4
    farthest = block_profile()["angular_distance"].max()
    for (ax, mesh), depth in zip(found, (6, 6, 8, 8), strict=True):
        cells = mesh.get_array()
        assert cells.shape == (depth, depth) and (mesh.norm.vmin, mesh.norm.vmax) == (0, farthest)
        for length in range(1, depth + 1):
            assert (
                not cells.mask[length - 1, : depth - length + 1].any()
                and cells.mask[length - 1, depth - length + 1 :].all()
            )
            assert np.argmin(cells[length - 1]) == nearest(depth, length)
        (dots,) = ax.get_lines()
        assert sorted(zip(dots.get_ydata(), dots.get_xdata(), strict=True)) == [
            (length, nearest(depth, length)) for length in range(1, depth + 1)
        ]
        assert ax.get_xlim() == (-0.5, depth - 0.5) and ax.get_ylim() == (0.5, depth + 0.5)
        assert min(ax.get_yticks()) >= 1 and max(ax.get_xticks()) < depth


def test_blocks_say_what_colours_and_dots_are() -> None:
    figure = block_figure(look={**SHADED, "palette": "viridis"})
    (bar,) = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    assert " ".join(bar.get_xlabel().split()) == (
        "angular distance between the block's input and output at the last token, in units of π"
    )
    assert legend_labels(figure) == ["smallest distance of its length"]
    assert maps(figure)[0][1].get_cmap().name == "viridis"
    # The panels of a model share their numbers, those of models of other depths do not.
    shown = [[label.get_text() for label in ax.get_yticklabels() if label.get_visible()] for ax, _ in maps(figure)]
    assert shown[0] != shown[2] and shown[1] == shown[3] == []


@pytest.mark.parametrize("width", ["page", "column"])
def test_dots_of_80_layers_are_small_and_those_of_12_are_not(width: str) -> None:
    found = maps(block_figure({"shallow": 12, "deep": 80}, {"width": width, "palette": "Blues"}))
    small, large = (found[index][0].get_lines()[0].get_markersize() for index in (2, 0))
    assert small < 1.5 < large
    for ax, _ in found:
        for axis in (ax.xaxis, ax.yaxis):
            boxes = [tick.label1.get_window_extent() for tick in axis.get_major_ticks() if tick.label1.get_visible()]
            assert all(not box.count_overlaps(boxes[index + 1 :]) for index, box in enumerate(boxes))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 0.14)), min_size=1, max_size=7))
def test_labels_do_not_overlap_stay_inside_and_keep_their_order(wanted: list[tuple[float, float]]) -> None:
    places, sizes = map(list, zip(*sorted(wanted), strict=True))
    found = labels.spread(places, sizes)
    ends = [(place - size / 2, place + size / 2) for place, size in zip(found, sizes, strict=True)]
    assert ends[0][0] >= -1e-9 and ends[-1][1] <= 1 + 1e-9
    assert all(below[1] <= above[0] + 1e-9 for below, above in zip(ends, ends[1:], strict=False))


def test_labels_with_room_stay_where_they_belong() -> None:
    assert labels.spread([0.2, 0.5, 0.9], [0.1, 0.1, 0.1]) == pytest.approx([0.2, 0.5, 0.9])
    assert labels.spread([0.5, 0.5], [0.1, 0.1]) == pytest.approx([0.45, 0.55])


def test_a_palette_names_token_groups() -> None:
    def config(palette: dict[str, str]) -> dict[str, Any]:
        figures = {"token_groups": {"width": "page", "palette": palette}}
        return {"criteria": {"last": {}}, "domains": {"math": {}}, "benchmarks": {}, "figures": figures}

    check_figures(config({"image": "#112233"}))
    with pytest.raises(ConfigError, match=r"figures\.token_groups\.palette: 'imag' .* 'image'"):
        check_figures(config({"imag": "#112233"}))
    line = lines(panels(token_figure(profile(), {**PAGE, "palette": {"image": "#112233"}}))[-1])["image tokens"]
    assert to_hex(line.get_color()) == "#112233"
