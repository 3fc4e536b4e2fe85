"""Run the benchmark and write its table: `python -m tests.speed`, or `make bench`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

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
    measured: Iterable[Subject], repeats: int, cores: int, study_samples: int | None, side: int = workflow.SIDE
) -> Iterator[dict[str, object]]:
    """The rows of all measures.

    Args:
        measured: a subject goes before the next one is made, so that large ones need not fit into memory together.
        study_samples: of the demo study; None leaves the statistics and the workflow out.
    """
    for subject in measured:
        steps: dict[str, Callable[[], list[dict[str, object]]]] = {
            "similarity": lambda subject=subject: overhead.rows(subject, repeats * CHEAP),
            "latency": lambda subject=subject: latency.rows(subject, repeats * CHEAP),
            "grid": lambda subject=subject: grid.rows(subject, repeats),
        }
        for name, step in steps.items():
            yield from _told(f"{subject.name}, {name}", step)
        del subject, steps, step
    if study_samples is not None:
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
    parser.add_argument(
        "--shapes", nargs="+", choices=list(subjects.SHAPES),
        help="random models of these sizes in bfloat16; 2b 4b 7b on a GPU; on the CPU the demo models if not given",
    )  # fmt: skip
    parser.add_argument("--benchmarks", nargs="+", default=BENCHMARKS, choices=list(subjects.DEMO["benchmarks"]))
    parser.add_argument("--threads", type=int, default=1, help="threads of a model's job, as in the workflow")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="cores for the demo study")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("Nothing was measured: torch sees no CUDA device.")
    samples = options.samples or SAMPLES[device.type]
    shapes = options.shapes or (subjects.LARGE if device.type == "cuda" else ())
    if shapes:
        measured = subjects.shaped(shapes, options.threads, samples, options.benchmarks, device)
    else:
        measured = subjects.demo(options.threads, samples, options.benchmarks)
    name = f"bench-{device.type}" if shapes else "bench"
    rows = []
    for row in bench(measured, options.repeats, options.cores, None if shapes else STUDY_SAMPLES):
        rows.append(row)  # written at once: what is measured stays, however the rest ends
        found = table.write(rows, table.machine(device, options.threads), options.out / name)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, fmt_str_lengths=60, tbl_width_chars=200):
        print(found.drop("machine", "note"))


if __name__ == "__main__":
    main()
