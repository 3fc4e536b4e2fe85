"""What a caller says of a model and of calibration samples, as the config entries that everything else takes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pruning_regimes.calibration import registry
from pruning_regimes.config.study import LONGEST_NAME, complete
from pruning_regimes.jobs.errors import ConfigError, nearest
from pruning_regimes.jobs.paths import expanded, neighbour

# A file, a saved data set, the name of a known calibration set, or a domain's config entry.
Samples = str | Path | Mapping[str, Any]


def model(path: str | Path, **options: Any) -> tuple[str, dict[str, Any]]:
    """Key and config entry of a model.

    Args:
        path: a directory, or a hub id.
        options: keys of the entry; those that are None are left to their defaults.

    Raises: ConfigError if there is no such model, or an option is not as the config would have it.
    """
    stated = str(path)
    named = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(stated).expanduser().resolve().name).strip("-_")
    key = named[:LONGEST_NAME] or "model"
    study = {"models": {key: {"path": stated, **{name: value for name, value in options.items() if value is not None}}}}
    complete(study, whole=False)
    return key, study["models"][key]


def domains(named: Mapping[str, Samples], samples: int | None = None) -> dict[str, dict[str, Any]]:
    """Config entries of some domains.

    Args:
        named: domain -> where its samples are.
        samples: how many of each; if not given, 128, or all of a file that holds fewer. An entry of a config may state
            its own.

    Raises: ConfigError or DataError if samples are nowhere, or a name is none that a domain may have.
    """
    if samples is not None and samples < 1:
        raise ConfigError(f"samples: {samples} is out of range; it must be at least 1.")
    entries = {domain: _domain(domain, stated, samples) for domain, stated in named.items()}
    study = {"domains": entries}
    complete(study, whole=False)
    return study["domains"]


def _domain(domain: str, stated: Samples, samples: int | None) -> dict[str, Any]:
    wanted = {} if samples is None else {"samples": samples}
    if isinstance(stated, Mapping):
        return {**wanted, **stated}
    at = f"domains.{domain}.path"
    path = expanded(at, str(stated))
    if path.exists():
        from pruning_regimes.calibration import files  # slow to import

        return files.entry(domain, path, samples)
    if str(stated) in registry.names():
        return {"source": "public", "datasets": [str(stated)], **wanted}
    sets = nearest(stated, registry.names())
    there = sets if sets.startswith("did you mean") else neighbour(path)
    raise ConfigError(f"{at}: '{stated}' is neither a file nor a known calibration set; {there}")


def threads(wanted: int | None) -> int:
    """CPU threads to compute with: as many as wanted, or one per core that the process may use."""
    return wanted or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
