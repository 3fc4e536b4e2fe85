"""What tests share: tiny untrained models, saved and loaded like any other, and one finished study."""

from __future__ import annotations

import os

# Before numpy comes. Tests run side by side, one per core; small matrices on more threads than cores take ten times
# as long, because the threads wait for each other.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from pruning_regimes.checkpoints import verification
from pruning_regimes.demo import models as demo_models
from pruning_regimes.models import loading
from tests.helpers.studies import STUDY, snakemake

torch.set_num_threads(1)
# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
# Files that take long: begun first, so that none is left at the end while the other cores wait.
LONG = (
    "workflow/test_paper.py",
    "workflow/test_study.py",
    "safety/test_secrets.py",
    "workflow/test_criteria.py",
    "models/test_families.py",
    "regimes/test_comparisons.py",
    "regimes/test_segments.py",
    "workflow/test_readme.py",
    "checkpoints/test_checkpoints.py",
    "workflow/test_judge.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of long files first."""
    order = {Path(__file__).parent / name: place for place, name in enumerate(LONG)}
    assert all(file.is_file() for file in order), "LONG names a file that is not there"
    items.sort(key=lambda item: order.get(item.path, len(LONG)))


def entry(path: Path) -> dict[str, Any]:
    """A model's config entry."""
    return {"path": str(path), "revision": "main", "dtype": "float32", "gpus": 0}


@pytest.fixture(scope="session", params=demo_models.FAMILIES)
def model_directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory of each demo family, with random weights."""
    directory = tmp_path_factory.mktemp(request.param)
    model, processor = demo_models.build(request.param, seed=3)
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def loaded(model_directory: Path) -> loading.Loaded:
    """That model, loaded."""
    return loading.load(entry(model_directory), threads=1)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are checked here; the tests of checkpoints check them in fresh processes, which takes longer."""

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        verification._main(*command[-3:])
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(verification, "subprocess", SimpleNamespace(run=run))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of a finished study of `STUDY`, one for all workers; tests that change something take `study`."""
    base = tmp_path_factory.getbasetemp()
    directory = (base if worker_id == "master" else base.parent) / "finished"
    with FileLock(f"{directory}.lock"):
        done = directory.with_suffix(".done")
        if not done.exists():
            snakemake(directory, STUDY)
            done.touch()
    return directory


@pytest.fixture(scope="module")
def study(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished study for the tests of one file."""
    directory = tmp_path_factory.mktemp("study") / "copy"
    subprocess.run(["cp", "-a", str(finished), str(directory)], check=True)
    return directory
