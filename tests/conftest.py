"""Tiny untrained models, saved and loaded like any other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import settings

from pruning_regimes.checkpoints import verification
from pruning_regimes.demo import models as demo_models
from pruning_regimes.models import loading

# Tests run side by side, one per core.
torch.set_num_threads(1)
# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
# Files that take minutes: begun first, so that none is left at the end while the other cores wait.
LONG = ("test_paper", "test_workflow", "test_criteria_workflow", "test_segments", "test_safety_workflow", "test_readme")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of long files first."""
    order = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(Path(item.path).stem, len(LONG)))


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
