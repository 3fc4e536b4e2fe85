"""Random streams of the demo, disjoint by purpose: what is trained on is never what is measured."""

from __future__ import annotations

import numpy as np

PURPOSES = ("train-tower", "train", "benchmark", "calibration", "validation")


def generator(purpose: str, *key: int) -> np.random.Generator:
    """A generator of its own for each purpose and key (seed, step, benchmark number, ...)."""
    return np.random.default_rng([PURPOSES.index(purpose), *key])
