"""The figures of the domain effect and of the stability over calibration samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pruning_regimes.figures import domain_effect, stability, style
from tests.helpers.figure_tables import (
    BUDGETS,
    DEPTHS,
    SAMPLES,
    STUDIES,
    STYLE,
    effects,
    headings,
    legend_labels,
    lines,
    panels,
    retention,
    stabilities,
)

MATH, GENERAL = (style.DOMAINS[name][0] for name in ("math", "general"))
SERIES = {"effect_a": MATH, "effect_b": GENERAL, "effect": style.INK}


def effect_figure(table: pl.DataFrame | None = None, look: Mapping[str, Any] = STYLE) -> Figure:
    text = retention().filter(pl.col("group") == "general").with_columns(group=pl.lit("text"), n_questions=7)
    return domain_effect.figure(effects() if table is None else table, pl.concat([retention(), text]), look, 0.9)


def stability_figure(table: pl.DataFrame | None = None, look: Mapping[str, Any] = STYLE) -> Figure:
    return stability.figure(stabilities() if table is None else table, look, 200, 0.9)


def markers(ax: Axes, colour: str) -> list[Line2D]:
    """A series' markers from left to right."""
    found = [line for line in ax.get_lines() if line.get_marker() not in ("None", "") and line.get_color() == colour]
    return sorted(found, key=lambda line: line.get_xdata()[0])


def hollow(marker: Line2D) -> bool:
    return to_hex(marker.get_markerfacecolor()) == "#ffffff"


def test_domain_effect_has_a_panel_per_model_and_pair() -> None:
    second = effects().with_columns(criterion_b=pl.lit("text_aware"), group_b=pl.lit("text"))
    figure = effect_figure(pl.concat([effects(), second]))
    pairs = ["math-aware (math)\nagainst non-math-aware (general)", "math-aware (math)\nagainst text-aware (text)"]
    assert [ax.get_title() for ax in panels(figure)] == 2 * pairs
    assert headings(figure) == ["shallow", "deep"]
    said = "retention kept more by the domain's own criterion (90%\xa0interval)"
    assert figure.get_supylabel().replace("\n", " ") == said
    assert {ax.get_ylim() for ax in panels(figure)} == {panels(figure)[0].get_ylim()}
    groups = {"math": 10, "general": 10, "text": 7}
    expected = [f"on {group} benchmarks (n = {count})" for group, count in groups.items()] + [domain_effect.SUM.label]
    assert sorted(legend_labels(figure)) == sorted([*expected, "both remove the same layers"])


def test_domain_effect_of_one_pair_has_the_models_side_by_side() -> None:
    figure = effect_figure()
    assert not headings(figure)
    assert [ax.get_title().split("\n")[0] for ax in panels(figure)] == list(DEPTHS)
    assert [ax.get_subplotspec().rowspan.start for ax in panels(figure)] == [0, 0]


@pytest.mark.parametrize("series", SERIES)
def test_domain_effect_draws_each_series_with_its_limits(series: str) -> None:
    for (model, depth), ax in zip(DEPTHS.items(), panels(effect_figure()), strict=True):
        rows = effects().filter(pl.col("model") == model)
        found = markers(ax, SERIES[series])
        assert [line.get_ydata()[0] for line in found] == pytest.approx(rows[series].to_list())
        bars = [artist for artist in ax.collections if isinstance(artist, LineCollection)]
        own = [bar.get_segments()[0] for bar in bars if to_hex(bar.get_color()[0]).upper() == SERIES[series].upper()]
        ends = sorted((float(low[0]), float(low[1]), float(high[1])) for low, high in own)
        limits = zip(found, rows[f"{series}_low"], rows[f"{series}_high"], strict=True)
        assert ends == [pytest.approx((line.get_xdata()[0], low, high)) for line, low, high in limits]
        # The middle series stands on the ticks, the others left and right of it.
        ticks = [100 / depth, 50, 50 * (1 + domain_effect.GAP)]
        asides = [line.get_xdata()[0] - tick for line, tick in zip(found, ticks, strict=True)]
        assert asides == pytest.approx([asides[0]] * 3)
        assert (asides[0] > 1, asides[0] < -1) == (series == "effect", series == "effect_a")


def test_domain_effect_marks_the_same_layers_hollow_and_the_sum_larger() -> None:
    for ax in panels(effect_figure()):
        for colour in SERIES.values():
            assert [hollow(marker) for marker in markers(ax, colour)] == [True, False, False]
            assert markers(ax, colour)[0].get_ydata()[0] == 0
        sizes = [markers(ax, colour)[1].get_markersize() for colour in SERIES.values()]
        assert sizes[0] == sizes[1] < sizes[2]
    differing = effect_figure(effects().filter(~pl.col("same_layers")))
    assert "both remove the same layers" not in legend_labels(differing)


def test_domain_effect_has_the_mean_behind_a_rule_on_the_right() -> None:
    for ax in panels(effect_figure()):
        labels = dict(zip(ax.get_xticks(), (label.get_text() for label in ax.get_xticklabels()), strict=True))
        assert labels[62.5] == "mean" and labels[50].endswith("(50%)")
        (rule,) = [line for line in ax.get_lines() if list(line.get_ydata()) == [0, 1]]
        assert 50 < rule.get_xdata()[0] < markers(ax, MATH)[-1].get_xdata()[0]
        assert markers(ax, style.INK)[-1].get_xdata()[0] < ax.get_xlim()[1]


def test_domain_effect_writes_the_mean_where_labels_have_no_room() -> None:
    (ax, _) = panels(effect_figure(look={**STYLE, "width": 1.8}))
    assert "mean" in [label.get_text() for label in ax.get_xticklabels()]
    assert len(ax.get_xticks(minor=True))


def test_domain_effect_says_which_panel_has_no_retention() -> None:
    second = effects().with_columns(criterion_b=pl.lit("text_aware"), group_b=pl.lit("text"))
    figure = effect_figure(pl.concat([effects(), second.filter(pl.col("model") == "deep")]))
    said = [[text.get_text() for text in ax.texts] for ax in panels(figure)]
    assert said == [[], [domain_effect.ABSENT], [], []]


def test_stability_has_a_panel_per_model_and_budget() -> None:
    figure = stability_figure()
    assert [ax.get_title() for ax in panels(figure)] == ["1 removed", "3 removed", "1 removed", "4 removed"]
    assert headings(figure) == ["shallow", "deep"]
    assert legend_labels(figure) == ["math-aware", "home-made", "random layers"]
    for index, ax in enumerate(panels(figure)):
        assert list(lines(ax)) == ["math-aware", "home-made"]
        # Side by side, around the number of samples.
        places = [lines(ax)[name].get_xdata() for name in lines(ax)]
        assert [float(a * b) ** 0.5 for a, b in zip(*places, strict=True)] == pytest.approx(list(SAMPLES))
        assert list(lines(ax)["home-made"].get_ydata()) == pytest.approx([0.4 + 0.02 * n for n in SAMPLES])
        assert lines(ax)["math-aware"].get_color() == style.CRITERIA["math_aware"][0]
        (chance,) = [line for line in ax.get_lines() if list(line.get_xdata()) == [0, 1]]
        assert chance.get_ydata()[0] == [0.125, 0.333][index % len(BUDGETS)]
        low, high = ax.get_ylim()
        assert low < 0 and high > 1


def test_stability_has_limits_where_criteria_are_few_and_says_what_is_drawn() -> None:
    figure = stability_figure()
    for ax in panels(figure):
        bars = [[end for _, end in bar] for bar in ax.collections[0].get_segments()]
        assert bars == [pytest.approx([0.3 + 0.02 * n, 0.6 + 0.02 * n]) for n in SAMPLES]
    assert "(mean and 90%\xa0interval of 200 draws)" in figure.get_supylabel().replace("\n", " ")
    many = stability_figure(stabilities(STUDIES["one model, thirteen criteria"]))
    assert not any(ax.collections for ax in panels(many))
    assert "(mean of 200 draws)" in many.get_supylabel().replace("\n", " ")


def test_stability_has_plain_numbers_on_a_logarithmic_axis() -> None:
    ax = panels(stability_figure(look={**STYLE, "width": 12.0}))[0]
    assert ax.get_xscale() == "log" and ax.xaxis.get_transform().base == 2
    assert sorted(ax.get_xticks()) == list(SAMPLES)
    # All samples come first where labels have no room.
    crowded = panels(stability_figure(look={**STYLE, "width": 1.7}))[0]
    shown = dict(zip(crowded.get_xticks(), (label.get_text() for label in crowded.get_xticklabels()), strict=True))
    assert shown == {20: "20", 4: "4", 8: "8"}
    assert list(crowded.get_xticks(minor=True)) == [16]
    assert [label.get_text() for label in crowded.get_xticklabels(minor=True)] == [""]


@pytest.mark.parametrize(
    ("drawn", "table", "reason"),
    [
        (effect_figure, effects, "no two criteria that look at one domain each, or retention is undefined"),
        (stability_figure, stabilities, "no criterion of this study depends on calibration samples"),
    ],
    ids=["domain_effect", "stability"],
)
@pytest.mark.parametrize("width", [3.0, 9.0])
def test_an_empty_table_gives_one_sentence(
    drawn: Callable[..., Figure], table: Callable[[], pl.DataFrame], reason: str, width: float
) -> None:
    figure = drawn(table().clear(), {**STYLE, "width": width})
    style.save(figure, [])
    (text,) = figure.texts
    assert reason in " ".join(text.get_text().split()) and not figure.axes
    box = text.get_window_extent()
    assert box.x0 > 0 and box.x1 < figure.bbox.x1
