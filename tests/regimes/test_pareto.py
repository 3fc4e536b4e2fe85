"""What retention costs: joined, averaged over replicates, and what is on the Pareto frontier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes import regimes
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.report import sentences, summary
from pruning_regimes.tables import frame
from pruning_regimes.tables.contracts import DENSE, PHASES

# (criterion, budget) -> retention of the group x; what is retained of y is half of that.
KEPT: dict[tuple[str, str], float | None] = {
    (DENSE, "0"): 1.0,
    ("best", "1"): 0.9,
    ("worse", "1"): 0.8,
    ("lucky", "1"): 1.2,
    ("best", "2"): 0.7,
    ("worse", "2"): 0.7,
    ("lucky", "2"): 0.1,
}
REPLICATES = {"lucky": 2}
N_LAYERS = 10


def variants() -> pl.DataFrame:
    """A variants table; every cell has variants of its own."""
    rows = [
        {"criterion": criterion, "replicate": replicate, "budget": budget, "n_removed": int(budget), "removed": [],
         "kept": [], "variant_id": f"{criterion}{budget}{replicate}"}
        for criterion, budget in KEPT
        for replicate in range(REPLICATES.get(criterion, 1))
    ]  # fmt: skip
    return frame("variants", rows)


def latency(seconds: Mapping[str, float], peak: int | None = None) -> pl.DataFrame:
    """A latency table: budget -> seconds of an answer; the second of two replicates takes half a second more."""
    factors = dict(zip(PHASES, (0.25, 0.05, 1.0), strict=True))
    rows = []
    for row in variants().iter_rows(named=True):
        whole = seconds[row["budget"]] + 0.5 * row["replicate"]
        sizes = {"weight_bytes": 1000 - 100 * row["n_removed"], "peak_bytes": peak, "device": "D", "threads": 1}
        for phase, factor in factors.items():
            times = {
                "seconds": whole * factor,
                "seconds_low": whole * factor - 0.01,
                "seconds_high": whole * factor + 0.1,
            }
            shares = dict.fromkeys(("relative", "relative_low", "relative_high"), whole / seconds["0"])
            named = {name: row[name] for name in ("variant_id", "n_removed")} | {"cost_class": 0, "phase": phase}
            rows.append({**named, **times, **shares, **sizes, "tokens": 16.0, "tokens_per_second": 1.0})
    return frame("latency", rows)


def retention(kept: Mapping[tuple[str, str], float | None] = KEPT) -> pl.DataFrame:
    """A retention table of two groups with a benchmark each, and of another model."""
    rows = []
    for model, group, benchmark in (("m", "x", None), ("m", "y", None), ("m", "x", "quiz"), ("other", "x", None)):
        for (criterion, budget), value in kept.items():
            value = value if value is None or group == "x" else value / 2
            values = dict.fromkeys(("retention", "retention_low", "retention_high"), value)
            numbers = dict.fromkeys(
                ("unparsed_rate", "chance", "dense_accuracy", "accuracy", "accuracy_low", "accuracy_high"), 0.5
            )
            counts = {
                "n_removed": int(budget),
                "n_layers": N_LAYERS,
                "n_replicates": 1,
                "n_questions": 9,
                "n_failed": 0,
            }
            named = {"model": model, "group": group, "benchmark": benchmark, "criterion": criterion, "budget": budget}
            rows.append({**named, **counts, **numbers, **values, "collapsed": None if value is None else False})
    return frame("retention", pl.DataFrame(rows, infer_schema_length=None))


def found(kept: Mapping[tuple[str, str], float | None] = KEPT, **seconds: float) -> pl.DataFrame:
    """The pareto table, of answers of 4, 3 and 2 seconds if not told otherwise."""
    times = {"0": 4.0, "1": 3.0, "2": 2.0} | {name.removeprefix("budget_"): value for name, value in seconds.items()}
    return regimes.pareto("m", retention(kept), variants(), latency(times), ["lucky"])


def frontier(table: pl.DataFrame, group: str = "x") -> set[tuple[str, str]]:
    """What is on the frontier of a group."""
    return set(table.filter("on_frontier", pl.col("group") == group).select("criterion", "budget").rows())


def test_a_cell_has_the_cost_of_its_variants_and_the_retention_of_each_group() -> None:
    table = found()
    assert set(table["model"]) == {"m"} and len(table) == 2 * len(KEPT)
    row = table.filter(pl.col("group") == "y", pl.col("criterion") == "worse", pl.col("budget") == "1").row(
        0, named=True
    )
    assert (row["seconds"], row["seconds_low"], row["seconds_high"], row["relative"]) == (3.0, 2.99, 3.1, 0.75)
    assert (row["prefill_seconds"], row["decode_seconds"], row["tokens"]) == (0.75, pytest.approx(0.15), 16)
    assert (row["weight_bytes"], row["peak_bytes"], row["retention"], row["control"]) == (900, None, 0.4, False)
    lucky = table.filter(pl.col("group") == "x", pl.col("criterion") == "lucky", pl.col("budget") == "2").row(
        0, named=True
    )
    assert (lucky["seconds"], lucky["relative"], lucky["control"]) == (2.25, 2.25 / 4, True)


def test_the_frontier_is_what_no_other_beats_and_controls_are_left_out_of_it() -> None:
    # Of two that are alike both are on it.
    assert frontier(found()) == {(DENSE, "0"), ("best", "1"), ("best", "2"), ("worse", "2")}
    # Retaining more in less time beats the dense model.
    better = found({**KEPT, ("best", "1"): 1.01})
    assert frontier(better) == frontier(better, "y") == {("best", "1"), ("best", "2"), ("worse", "2")}
    # As much in less time, too; a difference of rounding is none.
    assert (DENSE, "0") not in frontier(found({**KEPT, ("best", "1"): 1.0}))
    assert ("worse", "2") in frontier(found({**KEPT, ("worse", "2"): 0.7 - 1e-12}))
    # A budget that is not faster gives way.
    assert frontier(found(budget_1=4.5)) == {(DENSE, "0"), ("best", "2"), ("worse", "2")}


def test_without_retention_nothing_is_on_the_frontier() -> None:
    table = found(dict.fromkeys(KEPT))
    assert not table["on_frontier"].any() and table["retention"].is_null().all() and len(table) == 2 * len(KEPT)


def test_a_variant_that_was_not_measured_is_refused() -> None:
    measured = latency({"0": 4, "1": 3, "2": 2}).filter(pl.col("variant_id") != "worse20")
    with pytest.raises(DataError, match="variant worse20 was not measured"):
        regimes.pareto("m", retention(), variants(), measured, [])


@given(
    st.lists(st.sampled_from([-0.5, 0.0, 0.25, 0.5, 1.0, 1.1]), min_size=len(KEPT), max_size=len(KEPT)),
    st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=3, max_size=3),
)
def test_the_frontier_is_that_of_the_definition(kept: list[float], seconds: list[float]) -> None:
    table = found(
        dict(zip(KEPT, kept, strict=True)), **{f"budget_{budget}": s for budget, s in enumerate(seconds)}
    ).filter(pl.col("group") == "x")
    rows = [row for row in table.iter_rows(named=True) if not row["control"]]

    def beaten(row: dict[str, Any]) -> bool:
        return any(
            other["seconds"] <= row["seconds"]
            and other["retention"] >= row["retention"]
            and (other["seconds"], other["retention"]) != (row["seconds"], row["retention"])
            for other in rows
        )

    assert frontier(table) == {(row["criterion"], row["budget"]) for row in rows if not beaten(row)} != set()


def test_the_costs_are_a_row_per_criterion_and_budget_with_all_groups_beside() -> None:
    times = {"0": 4.0, "1": 3.0, "2": 2.0}
    table = regimes.pareto("m", retention(), variants(), latency(times, peak=3_000_000_000), ["lucky"])
    costs = summary.cost(table)
    assert costs.select("criterion", "budget").rows() == list(KEPT)
    row = costs.filter(pl.col("criterion") == "best", pl.col("budget") == "2").row(0, named=True)
    assert (row["seconds"], row["speed_up"], row["weights_gb"], row["peak_gb"]) == (2.0, 2.0, pytest.approx(8e-7), 3.0)
    assert (row["retention_x"], row["retention_y"], row["on_frontier_x"], row["device"]) == (0.7, 0.35, True, "D")
    assert summary.cost(found())["peak_gb"].is_null().all()


@pytest.mark.parametrize("group", ["model", "criterion", "budget", "device"])
def test_a_group_may_be_named_as_a_column_of_the_costs(group: str) -> None:
    renamed = found().with_columns(pl.col("group").replace("x", group))
    costs = summary.cost(renamed)
    assert costs[f"retention_{group}"].to_list() == summary.cost(found())["retention_x"].to_list()


def test_replicates_of_the_same_time_have_that_time() -> None:
    parts = [variants().with_columns(replicate=pl.lit(i, pl.Int32)) for i in range(3)]
    three = pl.concat(parts).unique(("criterion", "budget", "replicate"), maintain_order=True)
    times = {"0": 0.31, "1": 0.1, "2": 0.147}
    timed = latency(times).with_columns(
        pl.when(pl.col("variant_id").str.starts_with("lucky")).then(0.1).otherwise("seconds").alias("seconds")
    )
    table = regimes.pareto("m", retention(), three, timed, ["lucky"])
    assert set(table.filter(pl.col("criterion") == "lucky")["seconds"]) == {0.1}
    assert (0.1 + 0.1 + 0.1) / 3 != 0.1


def test_the_sentences_tell_time_and_weights_of_each_budget() -> None:
    said = list(sentences.cost(found().filter(pl.col("criterion") != "lucky")))
    assert said[0].startswith("A question with an answer of 16 tokens takes the dense model 4 s, one at a time (D); ")
    assert said[1].endswith("takes without 1 layer 0.75 and 0.90; without 2 layers 0.50 and 0.80.")
    # Replicates of one budget that take different times.
    assert "without 2 layers 0.50 to 0.56 and 0.80." in list(sentences.cost(found()))[1]
