"""Which GPUs a job may use: Snakemake counts them, but does not say whose is which.

A job takes free devices by locks of the operating system, which are gone with the process, however it ends.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pruning_regimes.jobs.errors import ModelError

VISIBLE = "CUDA_VISIBLE_DEVICES"
# Set by schedulers that give each job devices of its own, under numbers that may be the same for several jobs.
SCHEDULERS = ("SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST", "PBS_JOBID", "LSB_JOBID")
PATIENCE = 0.2  # seconds between looks at a device that is taken
TOLD_EVERY = 300.0  # seconds between lines of the log while waiting


def pool() -> list[str]:
    """The devices that may be used: those that are set to be visible, or else all that the driver lists."""
    stated = os.environ.get(VISIBLE)
    if stated is not None:
        return [device.strip() for device in stated.split(",") if device.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    query = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")
    done = subprocess.run(query, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.split() if done.returncode == 0 else []


def slots() -> Path:
    """The folder of the locks: one per user and machine, so that studies side by side share no device either."""
    return Path(tempfile.gettempdir(), f"pruning-regimes-gpus-{os.getuid()}")


@contextmanager
def leased(n: int) -> Iterator[list[str]]:
    """Hold n devices and make only these visible, for the time of the context; waits until they are free.

    Jobs queue up: the one at the head takes devices as they become free, so that a job of several devices neither waits
    forever behind jobs of one, nor for a job that waits for it. Where a scheduler has placed the job, its devices are
    taken as they are. CUDA must not have been used before.

    Raises: ModelError if there are fewer than n devices.
    """
    devices = pool()
    if n == 0 or any(name in os.environ for name in SCHEDULERS) or not devices:
        yield devices[:n]
        return
    if n > len(devices):
        raise ModelError(
            f"The job asks for {n} GPUs, but {len(devices)} may be used ({', '.join(devices)}); lower "
            "models.<key>.gpus."
        )
    before = os.environ.get(VISIBLE)
    with ExitStack() as held:
        taken = _taken(n, devices, held)
        os.environ[VISIBLE] = ",".join(taken)
        logging.info("Uses GPU %s", ", ".join(taken))
        try:
            yield taken
        finally:
            if before is None:
                del os.environ[VISIBLE]
            else:
                os.environ[VISIBLE] = before


def _taken(n: int, devices: Sequence[str], held: ExitStack) -> list[str]:
    folder = slots()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    taken: list[str] = []
    told = time.monotonic()
    with FileLock(folder / "queue.lock"):
        while True:
            for device in devices:
                if device not in taken and len(taken) < n:
                    try:
                        held.enter_context(FileLock(folder / f"{_name(device)}.lock", blocking=False))
                    except Timeout:
                        continue
                    taken.append(device)
            if len(taken) == n:
                return taken
            if time.monotonic() - told > TOLD_EVERY:
                logging.info("Waits for %d of %d GPUs", n - len(taken), n)
                told = time.monotonic()
            time.sleep(PATIENCE)


def _name(device: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", device)
