"""What Snakemake costs: planning a large study, and running the demo study beside its model calls."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import yaml

from pruning_regimes import tables
from pruning_regimes.demo import datasets
from tests.helpers import ROOT
from tests.speed.measure import in_turn, seconds
from tests.speed.subjects import DEMO
from tests.speed.table import row

CPU = torch.device("cpu")
SIDE = 10  # models, criteria, budgets and benchmarks: 10,000 cells
TOTAL = re.compile(r"^total +(\d+)$", re.M)
PROGRESS = re.compile(r"(?:answers|samples): (\d+)/\1, ([\d.e+-]+)/s, took")


def rows(repeats: int, cores: int, samples: int, side: int = SIDE) -> list[dict[str, object]]:
    """Both measures.

    Args:
        cores: what the demo study may use.
        samples: of each domain and benchmark of the demo study.
        side: models, criteria, budgets and benchmarks each of the large study.
    """
    return [plan(repeats, side), plan(repeats, side, budgets_per_job=1), run(cores, samples)]


def plan(repeats: int, side: int, budgets_per_job: int | None = None) -> dict[str, object]:
    """Time of a dry run of a study of side^4 cells, beside one of a single cell.

    Args:
        budgets_per_job: 1 makes for the most jobs; the package's default if None.
    """
    evaluation = {"budgets_per_job": budgets_per_job} if budgets_per_job else {}
    jobs = 0

    def dry_run(directory: str, side: int) -> None:
        nonlocal jobs
        config = {**grid_config(Path(directory), side), "evaluation": evaluation}
        told = snakemake(Path(directory), config, "--dry-run", "--quiet", "reason")
        jobs = max(jobs, int(TOTAL.search(told)[1]))

    with TemporaryDirectory() as large, TemporaryDirectory() as single:
        ways = {
            "ours": lambda: dry_run(large, side),
            "plain": lambda: dry_run(single, 1),
        }
        found = in_turn(ways, repeats, CPU, warm=False)
    note = f"snakemake -n, {jobs} jobs; plain is a study of one cell"
    shared = f", {budgets_per_job} budget per job" if budgets_per_job else ""
    return row(f"workflow: planning {side**4} cells{shared}", "workflow", found["ours"], found["plain"], note=note)


def run(cores: int, samples: int) -> dict[str, object]:
    """Wall time of the demo study over what its jobs spend in model calls, divided over the cores.

    A job's model calls are its loop over batches: preparing inputs, the model, keeping answers; not Python's start,
    imports, or loading the model. Each job has one thread.
    """
    config = copy.deepcopy(DEMO)
    for entry in config["models"].values():
        entry["path"] = str(ROOT / entry["path"])
    for entry in (*config["domains"].values(), *config["benchmarks"].values()):
        entry["samples"] = samples
    with TemporaryDirectory() as directory:
        wall = seconds(lambda: snakemake(Path(directory), config, cores=cores), CPU)
        logs = Path(directory, "results", "logs")
        calls = model_calls([*(logs / "predictions").rglob("*.log"), *(logs / "similarity").rglob("*.log")])
    note = f"demo study of {samples} samples; plain is the time in model calls / {cores} cores"
    return row("workflow: wall time of the demo study", "workflow", [wall], [calls / cores], bound=1, note=note)


def model_calls(logs: list[Path]) -> float:
    """Seconds that jobs spent in their loops over batches, from the last line of progress in their logs."""
    return sum(int(done) / float(rate) for log in logs for done, rate in PROGRESS.findall(log.read_text()))


def grid_config(directory: Path, side: int) -> dict[str, Any]:
    """A study of `side` models, criteria, budgets and benchmarks each; its questions stand in a table."""
    questions = directory / "questions.parquet"
    tables.write(datasets.benchmark_table("counting", 2, 0), "benchmark", questions, {})
    path = str(ROOT / next(iter(DEMO["models"].values()))["path"])
    weights = [{"math": 1.0 + number, "general": 1.0} for number in range(side)]
    benchmark = {"source": "table", "path": str(questions), "group": "math", "samples": 2}
    return {
        "seed": 0,
        "models": {f"model{number}": {"path": path, "dtype": "float32"} for number in range(side)},
        "domains": DEMO["domains"],
        "criteria": {f"criterion{number}": {"kind": "domain", "weights": weights[number]} for number in range(side)},
        "budgets": list(range(1, side + 1)),
        "benchmarks": {f"benchmark{number}": benchmark for number in range(side)},
    }


def snakemake(directory: Path, config: dict[str, Any], *arguments: str, cores: int = 1) -> str:
    """Run the workflow in a directory of its own; returns what it says.

    Raises: RuntimeError with the end of its output if it fails.
    """
    file = directory / "study.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    fixed = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory), "--configfile", str(file)]
    command = [sys.executable, "-m", "snakemake", *fixed, "--cores", str(cores), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"snakemake failed: {done.stderr[-2000:]}")
    return done.stdout + done.stderr
