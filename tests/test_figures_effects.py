"""The figures of the domain effect and of the stability over calibration samples."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import polars as pl
import pytest
from figure_tables import BUDGETS, DEPTHS, SAMPLES, STYLE, effects, legend_labels, lines, panels, stabilities
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from pruning_regimes.figures import domain_effect, stability, style

MATH, GENERAL = (style.DOMAINS[name][0] for name in ("math", "general"))
SERIES = {"effect_a": MATH, "effect_b": GENERAL, "effect": style.INK}


def markers(ax: Axes, colour: str) -> list[Line2D]:
    """A series' markers from left to right."""
    found = [line for line in ax.get_lines() if line.get_marker() not in ("None", "") and line.get_color() == colour]
    return sorted(found, key=lambda line: line.get_xdata()[0])


def hollow(marker: Line2D) -> bool:
    return to_hex(marker.get_markerfacecolor()) == "#ffffff"


def test_domain_effect_has_a_panel_per_model_and_pair() -> None:
    second = effects().with_columns(criterion_b=pl.lit("text_aware"), group_b=pl.lit("text"))
    figure = domain_effect.figure(pl.concat([effects(), second]), STYLE)
    assert [ax.get_title() for ax in panels(figure)] == [
        "math-aware (math)\nagainst non-math-aware (general)",
        "math-aware (math)\nagainst text-aware (text)",
        "",
        "",
    ]
    assert [ax.get_ylabel() for ax in panels(figure)] == ["shallow", "", "deep", ""]
    assert figure.get_supylabel() == "retention kept more by the domain's own criterion"
    assert {ax.get_ylim() for ax in panels(figure)} == {panels(figure)[0].get_ylim()}
    expected = ["on math benchmarks", "on general benchmarks", "on text benchmarks", domain_effect.SUM.label]
    assert sorted(legend_labels(figure)) == sorted([*expected, "both remove the same layers"])


@pytest.mark.parametrize("series", SERIES)
def test_domain_effect_draws_each_series_with_its_limits(series: str) -> None:
    for (model, depth), ax in zip(DEPTHS.items(), panels(domain_effect.figure(effects(), STYLE)), strict=True):
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
    for ax in panels(domain_effect.figure(effects(), STYLE)):
        for colour in SERIES.values():
            assert [hollow(marker) for marker in markers(ax, colour)] == [True, False, False]
            assert markers(ax, colour)[0].get_ydata()[0] == 0
        sizes = [markers(ax, colour)[1].get_markersize() for colour in SERIES.values()]
        assert sizes[0] == sizes[1] < sizes[2]
    differing = domain_effect.figure(effects().filter(~pl.col("same_layers")), STYLE)
    assert "both remove the same layers" not in legend_labels(differing)


def test_domain_effect_has_the_mean_behind_a_rule_on_the_right() -> None:
    for ax in panels(domain_effect.figure(effects(), STYLE)):
        labels = dict(zip(ax.get_xticks(), (label.get_text() for label in ax.get_xticklabels()), strict=True))
        assert labels[62.5] == "mean" and labels[50].endswith("(50%)")
        (rule,) = [line for line in ax.get_lines() if list(line.get_ydata()) == [0, 1]]
        assert 50 < rule.get_xdata()[0] < markers(ax, MATH)[-1].get_xdata()[0]
        assert markers(ax, style.INK)[-1].get_xdata()[0] < ax.get_xlim()[1]


def test_domain_effect_writes_the_mean_where_labels_have_no_room() -> None:
    (ax, _) = panels(domain_effect.figure(effects(), {**STYLE, "width": 1.8}))
    assert "mean" in [label.get_text() for label in ax.get_xticklabels()]
    assert len(ax.get_xticks(minor=True))


def test_domain_effect_says_which_panel_has_no_retention() -> None:
    second = effects().with_columns(criterion_b=pl.lit("text_aware"), group_b=pl.lit("text"))
    figure = domain_effect.figure(pl.concat([effects(), second.filter(pl.col("model") == "deep")]), STYLE)
    said = [[text.get_text() for text in ax.texts] for ax in panels(figure)]
    assert said == [[], [domain_effect.ABSENT], [], []]


def test_stability_has_a_panel_per_model_and_budget() -> None:
    figure = stability.figure(stabilities(), STYLE)
    assert [ax.get_title() for ax in panels(figure)] == ["1 removed", "3 removed", "1 removed", "4 removed"]
    assert [ax.get_ylabel() for ax in panels(figure)] == ["shallow", "", "deep", ""]
    assert legend_labels(figure) == ["math-aware", "home-made", "random layers"]
    for index, ax in enumerate(panels(figure)):
        assert list(lines(ax)) == ["math-aware", "home-made"]
        assert list(lines(ax)["math-aware"].get_xdata()) == list(SAMPLES)
        assert list(lines(ax)["home-made"].get_ydata()) == pytest.approx([0.4 + 0.02 * n for n in SAMPLES])
        assert lines(ax)["math-aware"].get_color() == style.CRITERIA["math_aware"][0]
        (chance,) = [line for line in ax.get_lines() if list(line.get_xdata()) == [0, 1]]
        assert chance.get_ydata()[0] == [0.125, 0.333][index % len(BUDGETS)]
        low, high = ax.get_ylim()
        assert low < 0 and high > 1


def test_stability_has_plain_numbers_on_a_logarithmic_axis() -> None:
    ax = panels(stability.figure(stabilities(), {**STYLE, "width": 12.0}))[0]
    assert ax.get_xscale() == "log" and ax.xaxis.get_transform().base == 2
    assert [label.get_text() for label in ax.get_xticklabels()] == ["4", "8", "16", "20"]
    crowded = panels(stability.figure(stabilities(), {**STYLE, "width": 3.5}))[0]
    assert [label.get_text() for label in crowded.get_xticklabels()] == ["4", "8", "16"]
    assert list(crowded.get_xticks(minor=True)) == [20]
    assert [label.get_text() for label in crowded.get_xticklabels(minor=True)] == [""]


@pytest.mark.parametrize(
    ("module", "table", "reason"),
    [
        (domain_effect, effects, "no two criteria that look at one domain each, or retention is undefined"),
        (stability, stabilities, "no criterion of this study depends on calibration samples"),
    ],
    ids=["domain_effect", "stability"],
)
@pytest.mark.parametrize("width", [3.0, 9.0])
def test_an_empty_table_gives_one_sentence(
    module: ModuleType, table: Callable[[], pl.DataFrame], reason: str, width: float
) -> None:
    figure = module.figure(table().clear(), {**STYLE, "width": width})
    style.save(figure, [])
    (text,) = figure.texts
    assert reason in " ".join(text.get_text().split()) and not figure.axes
    box = text.get_window_extent()
    assert box.x0 > 0 and box.x1 < figure.bbox.x1
