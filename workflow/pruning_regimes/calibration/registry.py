"""What is known of public calibration sets: `sets.yaml` has their ids, schemas and licences."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from pruning_regimes.jobs.errors import ConfigError, nearest


@lru_cache
def _all() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(Path(__file__).with_name("sets.yaml").read_text(encoding="utf-8"))


def names() -> list[str]:
    """The known sets, by the names that a config uses."""
    return sorted(_all())


def entry(name: str) -> dict[str, Any]:
    """What is known of a set.

    Raises: ConfigError if nothing is.
    """
    if name not in _all():
        raise ConfigError(f"Nothing is known of the calibration set '{name}'; {nearest(name, names())}")
    return _all()[name]
