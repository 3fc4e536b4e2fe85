"""Small studies for end-to-end tests: their config, and how the workflow is run on it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.helpers import ROOT

CONFIG: dict[str, Any] = {
    "seed": 1,
    "models": {
        name: {"path": str(ROOT / "workflow" / "resources" / name), "dtype": "float32"}
        for name in ("demo-llava", "demo-idefics3")
    },
    "domains": {
        "math": {"source": "demo", "benchmarks": ["counting", "chart"], "samples": 8},
        "general": {"source": "demo", "benchmarks": ["attributes", "reading"], "samples": 8},
    },
    "criteria": {
        "math_aware": {"kind": "domain", "weights": {"math": 1.0}},
        "random": {"kind": "random", "replicates": 2},
        "last": {"kind": "last"},
    },
    "budgets": [1, 0.5],
    "benchmarks": {
        "chart": {"source": "demo", "group": "math", "samples": 16},
        "attributes": {"source": "demo", "group": "general", "samples": 16},
    },
    "latency": {"questions": 2, "repeats": 2, "new_tokens": 2},
    "statistics": {"resamples": 200},
}

# With what needs losses, windows and gradients, so that each rule runs; of one model, because another one has as many
# jobs again. That of two models is a test of its own (`test_another_model_concerns_that_model_only`).
STUDY: dict[str, Any] = {
    **CONFIG,
    "models": {"demo-llava": CONFIG["models"]["demo-llava"]},
    "criteria": {
        **CONFIG["criteria"],
        "perplexity": {"domains": ["math"]},
        "taylor": {"domains": ["general"]},
        "interlace": {"domains": ["math"]},
    },
}

FIGURES = (
    "similarity",
    "token_groups",
    "blocks",
    "layers",
    "regimes",
    "overlap",
    "domain_effect",
    "stability",
    "pareto",
    "examples",
)


def snakemake(
    directory: Path, config: dict[str, Any], *arguments: str, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the workflow on two cores in a directory of its own."""
    done = subprocess.run(
        command(directory, config, *arguments),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stderr[-4000:]
    return done


def command(directory: Path, config: dict[str, Any], *arguments: str) -> list[str]:
    """The Snakemake call for a config, which is written to the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "study.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    fixed = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory), "--configfile", str(file)]
    return [sys.executable, "-m", "snakemake", *fixed, "--cores", "2", *arguments]


def planned(directory: Path, config: dict[str, Any]) -> dict[str, int]:
    """Jobs per rule that a dry run announces."""
    done = snakemake(directory, config, "--dry-run", "--quiet", "reason")
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.M)}


def computed_answers(directory: Path) -> int:
    """Answers computed by the prediction jobs, as their latest logs state."""
    logs = (directory / "results" / "logs" / "predictions").rglob("*.log")
    return sum(int(count) for log in logs for count in re.findall(r"(\d+) answers computed", log.read_text()))
