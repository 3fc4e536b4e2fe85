"""A small study on a real SLURM of one machine (`make test-slurm`): who goes where, and what a cancelled job loses."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from pruning_regimes import tables
from tests.helpers import ROOT
from tests.helpers.studies import CONFIG, FIGURES, snakemake

MISSING = [
    *(f"{program} is not installed (tests/slurm/install.sh)" for program in ("slurmd", "munged")
      if shutil.which(program) is None),
    *(["the extra 'cluster' is not installed"] if find_spec("snakemake_executor_plugin_slurm") is None else []),
    *(["only root may start SLURM"] if os.getuid() else []),
]  # fmt: skip
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"No SLURM here: {'; '.join(MISSING)}")

# What the profile leaves to a real cluster: its accounting, and patience.
HURRY = (
    "--slurm-status-command=squeue --slurm-init-seconds-before-status-checks=2 --seconds-between-status-checks=3 "
    "--latency-wait=10"
).split()
MODEL = "demo-llava"
ANSWERS = 64 * 8  # of a benchmark: questions x variants
LIGHT = {"contamination", "stability", "latency", "scores", "regimes"}


def config(gpus: int = 0) -> dict[str, Any]:
    """A study of one model, whose answers take long enough for one job to be cancelled meanwhile."""
    study = copy.deepcopy(CONFIG)
    study["models"] = {MODEL: {**CONFIG["models"][MODEL], "gpus": gpus, "batch_size": 4}}
    for benchmark in study["benchmarks"].values():
        benchmark["samples"] = 64
    return study


def submission(directory: Path, study: dict[str, Any], *arguments: str) -> list[str]:
    """The Snakemake call with the profile for SLURM."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "study.yaml"
    file.write_text(yaml.safe_dump(study, sort_keys=False))
    fixed = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory), "--configfile", str(file)]
    profile = ["--profile", str(ROOT / "workflow" / "profiles" / "slurm"), *HURRY]
    return [sys.executable, "-m", "snakemake", *fixed, *profile, *arguments]


def jobs() -> list[dict[str, str]]:
    """The jobs that SLURM knows, each with what it says of it."""
    done = subprocess.run(["scontrol", "-d", "-o", "show", "jobs"], capture_output=True, text=True, check=False)
    return [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in done.stdout.splitlines() if "JobId=" in line]


def rule(job: dict[str, str]) -> str:
    """The rule, or the group of rules, that a job runs."""
    return job["Comment"].removeprefix("rule_").split("_")[0]


@dataclass
class Run:
    """A study that went through SLURM.

    Attributes:
        jobs: all jobs, as they ended.
        cancelled: the job that was cancelled, in the state it was in then.
        pieces: files with answers that it had written.
        devices: device -> the jobs that had it while they ran.
        shared: times that two running jobs had the same device.
        at_once: the most devices in use at the same time.
    """

    directory: Path
    output: str = ""
    jobs: list[dict[str, str]] = field(default_factory=list)
    cancelled: dict[str, str] = field(default_factory=dict)
    pieces: int = 0
    devices: dict[str, set[str]] = field(default_factory=dict)
    shared: int = 0
    at_once: int = 0

    def watch(self) -> None:
        """Look at who has which device, and cancel the job that answers 'chart' when it has answered something."""
        self.jobs = jobs()
        running = [job for job in self.jobs if job["JobState"] == "RUNNING" and "IDX:" in job.get("GRES", "")]
        held = [(re.search(r"IDX:([\d,-]+)", job["GRES"])[1], job["JobId"]) for job in running]
        for device, job_id in held:
            self.devices.setdefault(device, set()).add(job_id)
        self.at_once = max(self.at_once, len({device for device, _ in held}))
        self.shared += len(held) - len({device for device, _ in held})
        answered = list((self.directory / "results" / "predictions" / MODEL / "chart").glob(".0.answered/*.parquet"))
        if answered and not self.cancelled:
            [self.cancelled] = [
                job for job in running if job["Comment"].endswith("predictions_wildcards_demo-llava_chart")
            ]
            self.pieces = len(answered)
            print(subprocess.check_output(["squeue", "--format=%i %T %P %b %N %k"], text=True))
            subprocess.run(["scancel", self.cancelled["JobId"]], check=True)


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    """A running SLURM."""
    script = str(Path(__file__).with_name("cluster.sh"))
    # Not below pytest's own folder: munge wants its socket where all may go.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        print(subprocess.check_output([script, "start", folder], text=True))
        try:
            yield
        finally:
            subprocess.run([script, "stop", folder], check=True)


@pytest.fixture(scope="module")
def run(slurm: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A study of which one job was cancelled half way."""
    found = Run(tmp_path_factory.mktemp("study"))
    # A device for each job, while the model runs on the CPU: the devices are no real ones.
    devices = ["--set-resources", "similarity:gres=gpu:1", "predictions:gres=gpu:1"]
    with (found.directory / "snakemake.log").open("w") as log:
        process = subprocess.Popen(submission(found.directory, config(), *devices), stdout=log, stderr=log)
        deadline = time.monotonic() + 600
        while process.poll() is None:
            found.watch()
            if time.monotonic() > deadline:
                process.terminate()
            time.sleep(0.2)
    found.jobs, found.output = jobs(), (found.directory / "snakemake.log").read_text()
    assert process.returncode == 0, found.output[-4000:]
    for job in found.jobs:
        print(
            *(job.get(key, "") for key in ("JobId", "JobState", "Partition", "TresPerNode", "MinMemoryNode", "Comment"))
        )
    return found


def test_a_study_through_slurm_ends_with_its_figures(run: Run) -> None:
    for figure in FIGURES:
        assert (run.directory / "results" / "figures" / f"{figure}.png").is_file()
    assert MODEL in (run.directory / "results" / "tables" / "summary.md").read_text()


def test_jobs_that_run_a_model_have_devices_of_their_own(run: Run) -> None:
    assert set(run.devices) == {"0", "1"} and run.at_once == 2 and run.shared == 0
    on_devices = {job_id for job_ids in run.devices.values() for job_id in job_ids}
    assert on_devices == {job["JobId"] for job in run.jobs if rule(job) in ("similarity", "predictions")}
    assert {job["Partition"] for job in run.jobs if job["JobId"] in on_devices} == {"gpu"}


def test_other_jobs_are_few_and_ask_for_no_device(run: Run) -> None:
    others = [job for job in run.jobs if rule(job) not in ("similarity", "predictions")]
    assert sorted(map(rule, others)) == sorted(LIGHT)  # the scores of both benchmarks are one job
    assert {job["Partition"] for job in others} == {"cpu"}
    assert not any("gres" in value for job in others for value in job.values())


def test_a_cancelled_job_is_tried_again_with_more_and_goes_on_where_it_was(run: Run) -> None:
    first, second = [job for job in run.jobs if job["Comment"] == run.cancelled["Comment"]]
    assert (first["JobId"], first["JobState"]) == (run.cancelled["JobId"], "CANCELLED")
    assert second["JobState"] == "COMPLETED"
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("8000M", "16000M")
    assert (first["TimeLimit"], second["TimeLimit"]) == ("04:00:00", "08:00:00")
    log = (run.directory / "results" / "logs" / "predictions" / MODEL / "chart" / "0.log").read_text()
    assert 0 < int(re.search(r"(\d+) answers computed", log)[1]) < ANSWERS
    assert run.pieces > 0


def test_the_answers_are_those_of_a_local_run(run: Run, tmp_path: Path) -> None:
    wanted = [f"results/predictions/{MODEL}/{benchmark}/1.parquet" for benchmark in CONFIG["benchmarks"]]
    snakemake(tmp_path, config(), *wanted)
    files = sorted((tmp_path / "results" / "predictions").glob("*/*/[0-9]*.parquet"))
    assert len(files) == 6  # 2 benchmarks x (the dense model and 2 budgets)
    for file in files:
        there = tables.read(run.directory / file.relative_to(tmp_path), "predictions")
        assert there.equals(tables.read(file, "predictions"))


def test_what_a_models_entry_says_of_gpus_is_what_its_jobs_ask_for(slurm: None, tmp_path: Path) -> None:
    known = {job["JobId"] for job in jobs()}
    target = f"results/similarity/{MODEL}/math.parquet"
    done = subprocess.run(
        submission(tmp_path, config(gpus=1), "--retries=0", target), capture_output=True, text=True, check=False
    )
    [job] = [job for job in jobs() if job["JobId"] not in known]
    assert (job["TresPerJob"], job["Partition"]) == ("gres:gpu:1", "gpu")
    # SLURM's device is no real one, which the job says, and which ends it.
    assert done.returncode != 0 and job["JobState"] == "FAILED"
    log = (tmp_path / "results" / "logs" / "similarity" / MODEL / "math.log").read_text()
    assert "asks for a GPU, but torch sees no CUDA device" in log
