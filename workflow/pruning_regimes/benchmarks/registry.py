"""What is known of public benchmarks: one YAML file each in `entries/`, which holds their ids, licences and prompts."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from pruning_regimes.errors import ConfigError, nearest

ENTRIES = Path(__file__).with_name("entries")
# What an entry may leave out.
DEFAULTS: dict[str, Any] = {"sources": (), "metrics": (), "keep": (), "size_mb": 0}


def names() -> list[str]:
    """The known benchmarks, by the names that a config uses."""
    return sorted(file.stem for file in ENTRIES.glob("*.yaml"))


@lru_cache
def entry(name: str) -> dict[str, Any]:
    """What is known of a benchmark.

    Raises: ConfigError if nothing is.
    """
    file = ENTRIES / f"{name}.yaml"
    if name not in names():
        raise ConfigError(f"Nothing is known of the benchmark '{name}'; {nearest(name, names())}")
    return DEFAULTS | yaml.safe_load(file.read_text(encoding="utf-8"))
