"""What the losses table says of layer sets: their mean losses, and the greedy search over them. Loads no model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import fsum, inf

import polars as pl

from pruning_regimes.jobs.errors import DataError

Removed = tuple[int, ...]


def mean_losses(table: pl.DataFrame, domains: Sequence[str]) -> dict[Removed, float]:
    """Mean loss per answer token without each set of layers; every domain weighs the same, and so do its samples.

    The sums are exact before they are rounded, so that equal rows give equal means in whatever order they come.

    Args:
        table: the losses table.
        domains: those that count.

    Returns: removed layers, ascending -> loss in nats; the sets that have losses in all of the domains.

    Raises: DataError if a domain has no losses.
    """
    losses: dict[str, dict[Removed, list[float]]] = {domain: defaultdict(list) for domain in domains}
    for domain, removed, nll, n_tokens in table.select("domain", "removed", "nll", "n_tokens").iter_rows():
        if domain in losses:
            losses[domain][tuple(removed)].append(nll / n_tokens)
    missing = [domain for domain in domains if not losses[domain]]
    if missing:
        raise DataError(f"Table 'losses' has no rows of the domain '{missing[0]}'.")
    means = [{removed: fsum(values) / len(values) for removed, values in by_set.items()} for by_set in losses.values()]
    complete = [removed for removed in means[0] if all(removed in others for others in means)]
    return {removed: fsum(by_set[removed] for by_set in means) / len(means) for removed in complete}


def greedy_path(means: Mapping[Removed, float], candidates: Sequence[int], n_steps: int) -> list[int]:
    """The search of SLEB (2402.09025) over known losses: remove the layer without which the loss is smallest; repeat.

    Args:
        means: as `mean_losses` gives them.
        candidates: layers that may be removed.
        n_steps: how many to remove.

    Returns: the layers in the order of their removal; of equal losses, that of the deepest layer counts as smallest.

    Raises: DataError if a set that the search needs has no loss, or no layer is left that can be removed.
    """
    path: list[int] = []
    while len(path) < n_steps:
        sets = {layer: tuple(sorted([*path, layer])) for layer in candidates if layer not in path}
        missing = [removed for removed in sets.values() if removed not in means]
        if missing:
            raise DataError(f"Table 'losses' has no rows without layers {list(missing[0])}, which the search needs.")
        best = min(sets, key=lambda layer: (means[sets[layer]], -layer), default=None)
        if best is None or means[sets[best]] == inf:
            raise DataError(f"Table 'losses' has no layer that can be removed besides {path}, but {n_steps} are to be.")
        path.append(best)
    return path
