"""Jobs that are killed at random moments, and the study that goes on."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psutil

from tests.faults.study import command, config, copied, differences, resumed

LATER = ("predictions", "scores", "regimes", "tables", "figures")
# Stage -> its script, and what of the finished study is missing so that it runs.
STAGES = {
    "similarity": (
        "similarity",
        ("similarity/demo-llava/*", "ranking", "stability", "variants", *LATER),
    ),
    "evaluation": ("predictions", LATER),
    "figure": ("figure_regimes", ("figures/regimes.*",)),
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM)


@dataclass(frozen=True)
class Interruption:
    """What came of one killed job.

    Attributes:
        stage: whose job it was.
        signal: what it was killed by.
        after: seconds after it began.
        hit: whether it was killed before it had ended.
        differing: results that are not those of the undisturbed study, after the study went on to its end.
    """

    stage: str
    signal: str
    after: float
    hit: bool
    differing: list[str]


def interrupt(undisturbed: Path, directory: Path, seed: int) -> Interruption:
    """Run a part of the study, kill one job of it, and let the study go on."""
    rng = random.Random(seed)
    stage, blow = list(STAGES)[seed % len(STAGES)], SIGNALS[seed // len(STAGES) % len(SIGNALS)]
    script, missing = STAGES[stage]
    copied(undisturbed, directory, *missing)
    study = command(directory, config())
    process = subprocess.Popen(study, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    job, after, hit = None, rng.uniform(0, _seconds(undisturbed, stage)), False
    while job is None and process.poll() is None:
        job = _job(process.pid, script)
        time.sleep(0.02)
    time.sleep(after)
    if job is not None and job.is_running():
        job.send_signal(blow)
        hit = True
    process.wait()
    went_on = resumed(directory, config())
    differing = differences(undisturbed, directory) if went_on else ["the study did not go on"]
    return Interruption(stage, blow.name, after, hit, differing)


def _seconds(undisturbed: Path, stage: str) -> float:
    """How long the stage's job took in the undisturbed study; figures are drawn in about 1.5 s and not timed."""
    folder = {"similarity": "similarity", "evaluation": "predictions"}.get(stage)
    if folder is None:
        return 1.5
    files = (undisturbed / "results" / "timings" / folder).rglob("*.tsv")
    return min(pl.read_csv(file, separator="\t")["s"][0] for file in files)


def _job(pid: int, script: str) -> psutil.Process | None:
    """The process below Snakemake's that runs a script."""
    pattern = re.compile(rf"\.snakemake/scripts/\w+\.{script}\.py$")
    try:
        for child in psutil.Process(pid).children(recursive=True):
            command_line = child.cmdline()
            if any(pattern.search(part) for part in command_line) and "python" in command_line[0]:
                return child
    except psutil.Error:
        return None
    return None
