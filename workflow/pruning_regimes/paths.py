"""Paths that a config states: expanded, and what is there instead of one that is not."""

from __future__ import annotations

from pathlib import Path

from pruning_regimes.errors import ConfigError, nearest


def expanded(name: str, path: str) -> Path:
    """The path with a leading `~` in full.

    Args:
        name: the config key that states it.

    Raises: ConfigError if it names a user whom the machine does not know.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{name}: '{path}' names a user that this machine does not know.") from error


def neighbour(path: Path) -> str:
    """The closest existing sibling of a path that is not there, as the end of a sentence."""
    parent = path.parent
    while not parent.is_dir():
        parent = parent.parent
    siblings = sorted(str(parent / child.name) for child in parent.iterdir() if not child.name.startswith("."))
    siblings = [sibling for sibling in siblings if sibling != str(path)]
    return nearest(path, siblings) if siblings else f"'{parent}' holds nothing else."
