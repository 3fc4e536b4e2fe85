"""A model as the decoder table has it: each job that runs the model works on that commit and that decoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pruning_regimes import tables
from pruning_regimes.models.loading import pinned


class Recorded(NamedTuple):
    """A model's config entry, and what was found of the model.

    Attributes:
        entry: the config entry, with the commit and the place of the decoder that were found.
        row: the model's row of the decoder table.
    """

    entry: dict[str, Any]
    row: dict[str, Any]


def recorded(entry: Mapping[str, Any], decoder: str | Path) -> Recorded:
    """The model of a config entry as its decoder table has it.

    Args:
        decoder: the decoder table.
    """
    row = tables.read(decoder, "decoder").row(0, named=True)
    return Recorded(pinned(entry, row), row)
