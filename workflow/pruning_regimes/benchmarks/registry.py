"""What is known of public benchmarks: one YAML file each in `entries/`, which holds their ids, licences and prompts."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from pruning_regimes.jobs.errors import ConfigError, nearest

ENTRIES = Path(__file__).with_name("entries")
# What an entry may leave out.
DEFAULTS: dict[str, Any] = {"sources": (), "metrics": (), "keep": (), "size_mb": 0}


def names() -> list[str]:
    """The known benchmarks, by the names that a config uses."""
    return sorted(file.stem for file in ENTRIES.glob("*.yaml"))


def digest(name: str) -> str:
    """Short hash of what is known of a benchmark: its entry, and the adapter that this names."""
    known = (ENTRIES / f"{name}.yaml").read_bytes()
    if "adapter" in entry(name):
        known += (ENTRIES.parent / "adapters" / f"{entry(name)['adapter']}.py").read_bytes()
    return hashlib.sha256(known).hexdigest()[:12]


@lru_cache
def entry(name: str) -> dict[str, Any]:
    """What is known of a benchmark.

    Raises: ConfigError if nothing is.
    """
    file = ENTRIES / f"{name}.yaml"
    if name not in names():
        raise ConfigError(f"Nothing is known of the benchmark '{name}'; {nearest(name, names())}")
    return DEFAULTS | yaml.safe_load(file.read_text(encoding="utf-8"))
