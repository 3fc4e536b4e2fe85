"""Paths that a config states: expanded, and what is there instead of one that is not."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pruning_regimes.jobs.errors import ConfigError, brief, nearest


def expanded(name: str, path: str) -> Path:
    """The path with a leading `~` in full.

    Args:
        name: the config key that states it.

    Raises: ConfigError if it names a user whom the machine does not know, if no file system can have it, or if
        Snakemake would take a part of it for a wildcard.
    """
    if "{" in path or "}" in path:
        raise ConfigError(f"{name}: '{brief(path)}' holds a brace, as Snakemake writes wildcards; name it without.")
    try:
        found = Path(path).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError):
            found.stat()
    except RuntimeError as error:
        raise ConfigError(f"{name}: '{path}' names a user that this machine does not know.") from error
    except OSError as error:
        raise ConfigError(f"{name}: '{brief(path)}' cannot be opened: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{name}: '{brief(path)}' holds a character that no path may hold.") from error
    return found


def neighbour(path: Path) -> str:
    """The closest existing sibling of a path that is not there, as the end of a sentence."""
    parent = path.parent
    while not parent.is_dir():
        parent = parent.parent
    siblings = sorted(str(parent / child.name) for child in parent.iterdir() if not child.name.startswith("."))
    siblings = [sibling for sibling in siblings if sibling != str(path)]
    return nearest(path, siblings) if siblings else f"'{parent}' holds nothing else."


def searched_first(folder: str) -> dict[str, str]:
    """The environment of a process that finds the packages of a folder before those of the same name elsewhere."""
    known = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", folder)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([folder, *known])}
