"""No device is ever shared, none is lost, and what a scheduler or the user has set is respected."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pruning_regimes.jobs import devices
from pruning_regimes.jobs.errors import ModelError

# A job: what it holds, it locks once more in another way, which fails if somebody else holds it.
JOB = """
import fcntl, os, sys, time
folder, n, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
names = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
# Opened first, so that the system closes them first when the job is killed.
checks = {name: os.open(f"{folder}/{name}", os.O_RDWR | os.O_CREAT) for name in names}
from pruning_regimes.jobs.devices import leased
with leased(n) as taken:
    assert len(set(taken)) == n and os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(taken)
    for name in taken:
        fcntl.lockf(checks[name], fcntl.LOCK_EX | fcntl.LOCK_NB)
    time.sleep(seconds)
    for name in taken:
        fcntl.lockf(checks[name], fcntl.LOCK_UN)
"""


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of this test's own, and no scheduler around it."""
    monkeypatch.setattr(devices.tempfile, "tempdir", str(tmp_path))
    for name in devices.SCHEDULERS:
        monkeypatch.delenv(name, raising=False)


def start(folder: Path, n: int, seconds: float, visible: str = "a,b,c") -> subprocess.Popen[bytes]:
    """A job that holds n devices for some seconds."""
    environment = {**os.environ, "TMPDIR": str(folder), "CUDA_VISIBLE_DEVICES": visible}
    command = [sys.executable, "-c", JOB, str(folder), str(n), str(seconds)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def test_fifty_jobs_on_three_devices_share_none_and_lose_none_though_some_are_killed(tmp_path: Path) -> None:
    rng = random.Random(0)
    jobs = [start(tmp_path, rng.choice([1, 1, 1, 2, 3]), rng.uniform(0, 0.2)) for _ in range(50)]
    killed = rng.sample(jobs, 15)
    for job in killed:
        time.sleep(rng.uniform(0, 0.3))
        job.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
    for job in jobs:
        _, said = job.communicate(timeout=120)
        assert job.returncode == 0 or (job in killed and b"Error" not in said), said.decode()
    assert sum(job.returncode == 0 for job in jobs) >= 35
    begun = time.monotonic()
    assert start(tmp_path, 3, 0).wait(timeout=60) == 0
    assert time.monotonic() - begun < 20


def test_a_job_of_several_devices_is_not_overtaken_forever(tmp_path: Path) -> None:
    first = start(tmp_path, 1, 1.5)
    time.sleep(0.7)
    large = start(tmp_path, 3, 0)
    time.sleep(0.7)
    others = [start(tmp_path, 1, 0.5) for _ in range(6)]
    assert large.wait(timeout=60) == 0
    assert first.poll() == 0 and any(other.poll() is None for other in others)
    assert [other.wait(timeout=60) for other in others] == [0] * 6


def test_the_devices_that_are_set_to_be_visible_are_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    for stated, found in {"3, 1": ["3", "1"], "GPU-8f,MIG-2/1/0": ["GPU-8f", "MIG-2/1/0"], "": [], "-1": []}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", stated)
        assert devices.pool() == found
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f,MIG-2/1/0")
    with devices.leased(2) as taken:
        assert taken == ["GPU-8f", "MIG-2/1/0"]


def test_otherwise_the_driver_lists_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.pool() == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 0\necho 1\n")
    tool.chmod(0o755)
    assert devices.pool() == ["0", "1"]
    with devices.leased(1) as taken:
        assert taken == ["0"] and devices.pool() == ["0"]  # what is started within stays within
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    tool.write_text("#!/bin/sh\necho 'driver not loaded'\nexit 9\n")
    assert devices.pool() == []


def test_the_environment_is_as_before_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "a,b")
    with pytest.raises(ZeroDivisionError), devices.leased(1) as taken:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == taken[0] == "a"
        raise ZeroDivisionError
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "a,b"
    with devices.leased(2) as taken:
        assert taken == ["a", "b"]


@pytest.mark.parametrize("scheduler", devices.SCHEDULERS)
def test_a_schedulers_devices_are_taken_as_they_are(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # the same number in every job, and not the same device
    monkeypatch.setenv(scheduler, "7")
    with devices.leased(1) as taken:
        assert taken == ["0"] and os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert not list(tmp_path.rglob("*.lock"))


def test_more_devices_than_there_are_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "a,b")
    said = r"asks for 3 GPUs, but 2 may be used \(a, b\); lower models\.<key>\.gpus"
    with pytest.raises(ModelError, match=said), devices.leased(3):
        pass


def test_a_job_on_the_cpu_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "a")
    holder = start(tmp_path, 1, 1, visible="a")
    with devices.leased(0) as taken:
        assert taken == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "a"
    holder.kill()
    holder.wait()
