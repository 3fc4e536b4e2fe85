"""The benchmark runs from end to end at a tiny size, on the code path of each device, and its table keeps its form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch

from tests.speed import grid, latency, overhead, table, workflow
from tests.speed.measure import in_turn, peak_bytes
from tests.speed.subjects import Subject, shaped

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def subject() -> Subject:
    """An untrained model like those of a GPU, but tiny."""
    (made,) = shaped(["tiny"], 1, 3, ["counting"], CPU)
    return replace(made, batch_size=2, max_new_tokens=2)


def test_the_table_of_a_model_is_complete(subject: Subject, tmp_path: Path) -> None:
    rows = [*overhead.rows(subject, 1), *latency.rows(subject, 2), *grid.rows(subject, 1)]
    table.write(rows, table.machine(CPU, 1), tmp_path / "bench")
    found = pl.read_parquet(tmp_path / "bench.parquet")
    assert dict(found.schema) == table.COLUMNS
    assert found.select("ours", "plain", "ratio", "spread").null_count().row(0) == (0, 0, 0, 0)
    assert found["measure"].str.extract(r"^(\w+)").unique(maintain_order=True).to_list() == [
        "similarity", "output_hidden_states", "latency", "grid", "prefill",
    ]  # fmt: skip
    text = (tmp_path / "bench.md").read_text()
    assert text.count("\n| ") == 2 + len(found) and str(Path.cwd()) not in text


def test_replay_computes_what_its_bound_counts(subject: Subject) -> None:
    row = grid.prefill(subject, 1)[0]
    assert 0 < row["bound"] < 2 and row["target"] == pytest.approx(1.15 * row["bound"])


def test_memory_is_counted_at_its_peak() -> None:
    module = torch.nn.Identity()

    def work() -> None:
        before = torch.zeros(10_000)
        del before
        first = torch.zeros(2000)
        second = module(first) + 1
        del first, second

    assert peak_bytes(work, CPU, module) == pytest.approx(16_000, abs=256)


def test_ways_take_turns() -> None:
    calls: list[str] = []
    found = in_turn({name: lambda name=name: calls.append(name) for name in "ab"}, 2, CPU)
    assert "".join(calls) == "ababba" and list(map(len, found.values())) == [2, 2]


def test_planning_a_large_study_is_timed_and_model_calls_are_read_from_logs(tmp_path: Path) -> None:
    row = workflow.plan(1, 2)
    assert row["measure"] == "workflow: planning 16 cells" and row["ours"] > 0 and " jobs" in row["note"]
    log = tmp_path / "job.log"
    log.write_text("INFO answers: 5/20, 2/s, 0:00:07 left\nINFO answers: 20/20, 2/s, took 0:00:10\n")
    assert workflow.model_calls([log]) == 10
