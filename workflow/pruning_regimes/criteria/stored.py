"""Read what criteria may look at from a study's tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pruning_regimes import tables
from pruning_regimes.criteria.study import Losses, Samples, Study
from pruning_regimes.models.budgets import protected_layers


def read_study(
    decoder: str | Path,
    protected: Sequence[int],
    seed: int,
    domains: Sequence[str],
    similarity: Sequence[str],
    blocks: Sequence[str],
    windows: Sequence[str],
    losses: str | None = None,
    importance: str | None = None,
) -> Study:
    """A model's study, from files.

    Args:
        decoder: the decoder table.
        protected: layers that the config protects besides, negative numbers from the end.
        domains: names of the domains.
        similarity, blocks, windows: one file per domain, in their order; windows may be empty.
        losses, importance: the criterion's tables, if it needs one.

    Raises: DataError if a table does not keep its contract; ConfigError if the model has no such protected layer.
    """
    found = tables.read(decoder, "decoder").row(0, named=True)
    kept = protected_layers(found["model"], found["n_layers"], protected).union(found["protected"])
    samples = {
        domain: Samples(
            tables.read(similarity[i], "similarity"),
            tables.read(blocks[i], "blocks"),
            tables.read(windows[i], "windows") if windows else None,
        )
        for i, domain in enumerate(domains)
    }
    return Study(
        found["model"],
        found["n_layers"],
        seed,
        frozenset(kept),
        samples,
        Losses(tables.read(losses, "losses")) if losses else None,
        tables.read(importance, "importance") if importance else None,
    )
