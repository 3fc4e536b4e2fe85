"""A variants table from layer sets."""

from __future__ import annotations

import polars as pl

from pruning_regimes.models.identity import variant_id
from pruning_regimes.tables import frame
from pruning_regimes.tables.contracts import DENSE


def variants(n_layers: int, *removed: list[int]) -> pl.DataFrame:
    """A variants table: the dense model, and one without each of some layer sets."""
    rows = []
    for number, gone in enumerate([[], *removed]):
        kept = [layer for layer in range(n_layers) if layer not in gone]
        named = {"criterion": f"c{number}" if gone else DENSE, "replicate": 0, "budget": str(len(gone))}
        sets = {"n_removed": len(gone), "removed": gone, "kept": kept, "variant_id": variant_id("m", "r", kept)}
        rows.append(named | sets)
    return frame("variants", rows)
