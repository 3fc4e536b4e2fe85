"""A small study whose results are known, to be disturbed and run again."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from tests.helpers import ROOT

# Results that tell time, which is another each time that it is measured.
TIMED = ("latency/*", "regimes/pareto.*", "figures/pareto.*", "tables/cost.*", "tables/summary.*")
Outcome = tuple[str, list[str]]  # what was said, and the results that differ after the study went on
CONFIG: dict[str, Any] = {
    "seed": 1,
    "models": {
        "demo-llava": {"path": str(ROOT / "workflow/resources/demo-llava"), "dtype": "float32", "batch_size": 8}
    },
    "domains": {
        "math": {"source": "demo", "benchmarks": ["counting"], "samples": 192},
        "general": {"source": "demo", "benchmarks": ["reading"], "samples": 192},
    },
    "criteria": {"math_aware": {}, "non_math_aware": {}, "uniform": {}},
    "budgets": [1, 3],
    "benchmarks": {
        "chart": {"source": "demo", "group": "math", "samples": 384},
        "attributes": {"source": "demo", "group": "general", "samples": 384},
    },
    "latency": {"questions": 2, "repeats": 1, "new_tokens": 2},
    "statistics": {"resamples": 200},
    "stability": {"resamples": 20},
}


def config(**changes: Any) -> dict[str, Any]:
    """The study's config, with other values of some top-level keys."""
    return {**copy.deepcopy(CONFIG), **changes}


def command(directory: Path, study: dict[str, Any], *arguments: str) -> list[str]:
    """What runs the workflow in a directory of its own."""
    file = directory / "study.yaml"
    file.write_text(yaml.safe_dump(study, sort_keys=False))
    fixed = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory), "--configfile", str(file)]
    return [sys.executable, "-m", "snakemake", *fixed, "--cores", "2", *arguments]


def run(directory: Path, study: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, whatever that is."""
    return subprocess.run(command(directory, study, *arguments), capture_output=True, text=True, check=False)


def resumed(directory: Path, study: dict[str, Any]) -> bool:
    """Whether the study goes on to its end, as the README tells a user to."""
    run(directory, study, "--unlock")
    return run(directory, study, "--rerun-incomplete").returncode == 0


def finished(directory: Path) -> Path:
    """The undisturbed study.

    Raises: RuntimeError with the end of its output if it fails.
    """
    directory.mkdir(parents=True)
    done = run(directory, config())
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return directory


def copied(undisturbed: Path, directory: Path, *without: str) -> Path:
    """A copy of the study, without the results that some patterns name."""
    subprocess.run(["cp", "-a", str(undisturbed), str(directory)], check=True)
    for pattern in without:
        for path in (directory / "results").glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return directory


def differences(undisturbed: Path, directory: Path) -> list[str]:
    """Tables and figures that are not those of the undisturbed study, or not there."""
    found = []
    for path in sorted((undisturbed / "results").rglob("*")):
        other = directory / path.relative_to(undisturbed)
        if any(path.match(f"results/{pattern}") for pattern in TIMED):
            same = other.is_file()
        elif path.suffix == ".parquet" and not path.name.startswith("."):
            same = other.is_file() and pl.read_parquet(other).equals(pl.read_parquet(path))
        elif path.suffix in (".png", ".pdf", ".md", ".csv"):
            same = other.is_file() and other.read_bytes() == path.read_bytes()
        else:
            continue
        if not same:
            found.append(os.fspath(path.relative_to(undisturbed / "results")))
    return found


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The line of our own that says what is wrong, or the first that Snakemake has."""
    lines = (done.stderr + done.stdout).splitlines()
    own = [line.removeprefix("Error: ").strip() for line in lines if line.startswith("Error: ")]
    if own:
        return own[0]
    said = [i for i, line in enumerate(lines) if "Error" in line or "Exception" in line]
    found = " ".join(lines[said[0] : said[0] + 2]).strip() if said else ""
    return re.sub(r'^WorkflowError in file "[^"]+", line \d+: ', "", found)
