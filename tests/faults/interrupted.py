"""Jobs that are killed at random moments, and the study that goes on."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from faults.study import command, config, copied, differences, resumed

# Stage -> its script, what of the finished study is missing so that it runs, and about how long its job takes.
STAGES = {
    "similarity": (
        "similarity",
        ("similarity/demo-llava/*", "ranking", "stability", "variants", "predictions", "scores"),
        7,
    ),
    "evaluation": ("predictions", ("predictions", "scores", "regimes", "tables", "figures"), 7),
    "figure": ("figure_regimes", ("figures/regimes.*",), 2.5),
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
    script, missing, seconds = STAGES[stage]
    copied(undisturbed, directory, *missing)
    study = command(directory, config())
    process = subprocess.Popen(study, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    job, after, hit = None, rng.uniform(0, seconds), False
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
