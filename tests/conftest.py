"""Tiny untrained models, saved and loaded like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pruning_regimes import models
from pruning_regimes.demo import models as demo_models

# Tests run side by side, one per core.
torch.set_num_threads(1)


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
def loaded(model_directory: Path) -> models.Loaded:
    """That model, loaded."""
    return models.load(entry(model_directory), threads=1)
