"""Run the benchmark and write its table: `python -m tests.speed`, or `make bench`."""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import torch

from tests.helpers import ROOT
from tests.speed import grid, latency, overhead, statistics, subjects, table, workflow
from tests.speed.subjects import Subject

SAMPLES = {"cpu": 240, "cuda": 16}  # on the CPU those of the demo study
BENCHMARKS = ("counting", "reading")  # one of each group
STUDY_SAMPLES = 48
CHEAP = 6  # times as many repeats of what takes a second


def bench(
    measured: Sequence[Subject], repeats: int, cores: int, study_samples: int, side: int = workflow.SIDE
) -> Iterator[dict[str, object]]:
    """The rows of all measures; those of the workflow only on the CPU."""
    for subject in measured:
        steps: dict[str, Callable[[], list[dict[str, object]]]] = {
            "similarity": lambda subject=subject: overhead.rows(subject, repeats * CHEAP),
            "latency": lambda subject=subject: latency.rows(subject, repeats * CHEAP),
            "grid": lambda subject=subject: grid.rows(subject, repeats),
        }
        for name, step in steps.items():
            yield from _told(f"{subject.name}, {name}", step)
    if all(subject.device.type == "cpu" for subject in measured):
        yield from _told("statistics", lambda: statistics.rows(repeats))
        yield from _told("workflow", lambda: workflow.rows(repeats, cores, study_samples, side))


def _told(what: str, step: Callable[[], list[dict[str, object]]]) -> list[dict[str, object]]:
    begun = time.monotonic()
    found = step()
    logging.info("%s: took %.0f s", what, time.monotonic() - begun)
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.speed", description="Measure the package's speed.")
    parser.add_argument("--device", default="cpu", choices=list(SAMPLES))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--samples", type=int, help="questions per benchmark; 240 on the CPU, 16 on a GPU")
    parser.add_argument("--benchmarks", nargs="+", default=BENCHMARKS, choices=list(subjects.DEMO["benchmarks"]))
    parser.add_argument("--threads", type=int, default=1, help="threads of a model's job, as in the workflow")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="cores for the demo study")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    device = torch.device(options.device)
    samples = options.samples or SAMPLES[device.type]
    with TemporaryDirectory() as directory:
        if device.type == "cuda":
            measured = subjects.large(options.threads, samples, options.benchmarks, Path(directory), device)
        else:
            measured = subjects.demo(options.threads, samples, options.benchmarks)
        name = "bench" if device.type == "cpu" else f"bench-{device.type}"
        rows = []
        for row in bench(measured, options.repeats, options.cores, STUDY_SAMPLES):
            rows.append(row)  # written at once: what is measured stays, however the rest ends
            found = table.write(rows, table.machine(device, options.threads), options.out / name)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, fmt_str_lengths=60, tbl_width_chars=200):
        print(found.drop("machine", "note"))


if __name__ == "__main__":
    main()
