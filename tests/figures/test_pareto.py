"""The Pareto figure: what stands where, what is faint, and what is left out where it does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pruning_regimes.figures import pareto, style
from tests.helpers.figure_tables import CRITERIA, DEPTHS, STYLE, Study, legend_labels, panels, paretos, shown_ticks

LARGE = {**STYLE, "width": 9.0, "height": 6.5}
MANY = Study({"demo": 12}, list(style.CRITERIA)[:13], {str(count): count for count in range(1, 9)})


def drawn(table: pl.DataFrame | None = None, **others: Any) -> Figure:
    """The figure of the small table."""
    return pareto.figure(paretos() if table is None else table, {**LARGE, **others}, 0.95)


def with_data(figure: Figure) -> list[Axes]:
    """Its panels, without the axes that hold names."""
    return [ax for ax in panels(figure) if ax.lines]


def markers(ax: Axes, look: style.Look) -> list[tuple[float, float, float]]:
    """Place, opacity of the markers of a look."""
    return [
        (x, y, line.get_alpha())
        for line in ax.get_lines()
        if line.get_marker() == look.marker and to_hex(line.get_color()).upper() == look.colour
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


def step(ax: Axes) -> list[tuple[float, float]]:
    """Corners of the frontier."""
    (line,) = [line for line in ax.get_lines() if line.get_drawstyle() == "steps-post"]
    return list(zip(line.get_xdata(), line.get_ydata(), strict=True))


def upper(ax: Axes) -> dict[float, str]:
    """Labels of the upper axis, where there are any."""
    (axis,) = ax.child_axes
    return dict(zip(axis.get_xticks(), [label.get_text() for label in axis.get_xticklabels()], strict=True))


def test_every_cell_has_a_marker_at_its_time_and_retention() -> None:
    figure, table = drawn(), paretos()
    looks = style.looks(CRITERIA, style.CRITERIA, LARGE)
    places = [(model, group) for model in DEPTHS for group in ("math", "general")]
    for (model, group), ax in zip(places, with_data(figure), strict=True):
        rows = table.filter(pl.col("model") == model, pl.col("group") == group)
        for criterion, look in looks.items():
            own = rows.filter(pl.col("criterion") == criterion)
            found = sorted(markers(ax, look))
            assert [(x, y) for x, y, _ in found] == sorted(own.select("seconds", "retention").rows())
            assert {alpha for *_, alpha in found} == {pareto.FAINT if criterion == "random" else 1}
        dense = rows.filter(pl.col("criterion") == "dense").row(0, named=True)
        assert (dense["seconds"], dense["retention"]) in [
            (line.get_xdata()[0], line.get_ydata()[0]) for line in ax.get_lines() if line.get_color() == style.INK
        ]
        spans = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
        edges = rows.select("seconds_low", "seconds_high").unique().sort("seconds_low")
        assert sorted(span.get_x() for span in spans) == pytest.approx(edges["seconds_low"].to_list())
        assert sorted(span.get_x() + span.get_width() for span in spans) == pytest.approx(
            edges["seconds_high"].to_list()
        )
        low, high = ax.get_ylim()
        assert low < rows["retention_low"].min() and rows["retention_high"].max() < high


def test_the_frontier_steps_through_what_the_table_says_and_ends_at_the_edge() -> None:
    table = paretos()
    for (model, group), ax in zip(
        [(model, group) for model in DEPTHS for group in ("math", "general")], with_data(drawn()), strict=True
    ):
        best = table.filter("on_frontier", pl.col("model") == model, pl.col("group") == group).sort("seconds")
        corners = list(best.select("seconds", "retention").unique(maintain_order=True).iter_rows())
        assert step(ax) == [*corners, (ax.get_xlim()[1], corners[-1][1])]
        edged = [line.get_xdata()[0] for line in ax.get_lines() if line.get_markeredgecolor() == style.INK and
                 line.get_color() != style.INK]  # fmt: skip
        assert sorted(edged) == best.filter(pl.col("criterion") != "dense")["seconds"].to_list()


def test_above_stand_layers_removed_and_weights_and_the_peak_if_there_is_one() -> None:
    table = paretos()
    for model, ax in zip(DEPTHS, with_data(drawn())[::2], strict=True):
        own = table.filter(pl.col("model") == model).unique("seconds")
        assert set(upper(ax)) == set(own["seconds"])
        assert upper(ax)[own["seconds"].max()] == "0\n9.00"
        assert {text.get_text() for text in ax.texts} == {"removed\nweights, GB", "A processor, 1 thread"}
    small = table.with_columns(pl.col("weight_bytes") // 1000, peak_bytes=pl.col("weight_bytes") // 1000 + 2_000_000)
    ax = with_data(drawn(small))[0]
    assert upper(ax)[small.filter(model="shallow")["seconds"].max()] == "0\n9.00\n(11.00)"
    assert {text.get_text() for text in ax.texts} == {"removed\nweights, MB\n(peak)", "A processor"}


def test_labels_that_would_collide_are_left_out_but_the_dense_models_is_not() -> None:
    (ax, _) = with_data(drawn(paretos(MANY), width=5.0))
    found = upper(ax)
    assert 3 <= len([text for text in found.values() if text]) < 9
    assert found[max(found)].startswith("0\n")


def test_criteria_that_are_not_shown_still_make_the_frontier() -> None:
    ax, whole = with_data(drawn(criteria=["random"]))[0], with_data(drawn())[0]
    assert step(ax) == step(whole) and ax.get_xlim() == whole.get_xlim()
    looks = style.looks(CRITERIA, style.CRITERIA, LARGE)
    assert markers(ax, looks["random"]) and not markers(ax, looks["math_aware"])
    frontier = "Pareto frontier of all criteria"
    assert legend_labels(drawn(criteria=["random"])) == ["random", "dense", frontier, "quartiles of the time"]


def test_the_frontier_of_what_is_not_shown_is_within_the_panel() -> None:
    table = paretos().with_columns(retention=pl.when("on_frontier").then(1.6).otherwise("retention"))
    for ax in with_data(drawn(table, criteria=["random"])):
        assert max(y for _, y in step(ax)) == 1.6 <= ax.get_ylim()[1]


def test_an_interval_that_rounding_puts_beside_its_estimate_is_drawn() -> None:
    kept = pl.col("retention")
    table = paretos().with_columns(retention_high=kept - 1e-16, retention_low=kept + 1e-16)
    assert (table["retention_high"] < table["retention"]).any()
    assert len(with_data(drawn(table))) == 4


def test_undefined_retention_says_so() -> None:
    figure = drawn(paretos(undefined=("shallow", "general")))
    said = [any("undefined" in text.get_text() for text in ax.texts) for ax in with_data(figure)]
    assert said == [False, True, False, False]
    nothing = paretos().with_columns(
        on_frontier=False, **dict.fromkeys(("retention", "retention_low", "retention_high"), pl.lit(None, pl.Float64))
    )
    assert all(any("undefined" in text.get_text() for text in ax.texts) for ax in with_data(drawn(nothing)))


def test_axes_are_named_with_units_and_the_length_of_the_answer() -> None:
    panels_ = with_data(drawn())
    assert [ax.get_ylabel() for ax in panels_[::2]] == ["retention\n(95% interval)"] * 2
    assert [ax.get_xlabel() for ax in panels_[2:]] == ["seconds per question\n(answer of 16 tokens)"] * 2
    assert [ax.get_title() for ax in panels_[:2]] == ["math benchmarks", "general benchmarks"]


@pytest.mark.parametrize("study", [None, MANY], ids=["three criteria", "thirteen criteria"])
def test_nothing_is_cut_and_no_labels_overlap(study: Study | None, tmp_path: Path) -> None:
    figure = pareto.figure(paretos(study) if study else paretos(), {"width": "page"}, 0.95)
    style.save(figure, [tmp_path / "figure.png"])
    renderer = FigureCanvasAgg(figure).get_renderer()
    width, height = figure.bbox.size
    for part in [*figure.axes, *figure.legends]:
        box = part.get_tightbbox(renderer)
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
    for ax in with_data(figure):
        labels = [label.get_window_extent(renderer) for axes in (ax, *ax.child_axes) for label in shown_ticks(axes)]
        labels.append(ax.title.get_window_extent(renderer))
        for index, box in enumerate(labels):
            assert not box.count_overlaps(labels[index + 1 :])
