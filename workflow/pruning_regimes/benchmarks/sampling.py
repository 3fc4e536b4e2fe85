"""Which rows of a benchmark are asked: by category in proportion, the same for the same seed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from pruning_regimes.jobs.errors import DataError


def check_enough(key: str, what: str, name: str, there: int, wanted: int | None) -> None:
    """Check that a source holds what is asked of it.

    Args:
        key: the config key that asks.
        what: questions or samples.
        name: of the source.
        wanted: None for all.

    Raises: DataError if more is asked for than there is.
    """
    if wanted is not None and there < wanted:
        raise DataError(f"{key}: {wanted} {what} are asked for, but {name} holds {there}; ask for at most {there}.")


def stratified(
    categories: Sequence[Hashable], units: Sequence[Hashable], n_samples: int | None, seed: int
) -> list[int]:
    """Positions of about `n_samples` rows, ascending.

    Categories keep their shares (largest remainders). Rows of one unit stay together, so that pairs stay pairs: units
    are drawn until the next one would be too much, which may leave a few rows fewer.

    Args:
        categories: of each row; a unit counts for the category of its first row.
        units: of each row; rows of the same unit are drawn together.
        n_samples: None for all.
        seed: of the draw.
    """
    if n_samples is None or n_samples >= len(categories):
        return list(range(len(categories)))
    members: dict[Hashable, list[int]] = {}
    for position, unit in enumerate(units):
        members.setdefault(unit, []).append(position)
    strata: dict[Hashable, list[list[int]]] = {}
    for rows in members.values():
        strata.setdefault(categories[rows[0]], []).append(rows)
    rng, sizes = np.random.default_rng(seed), {name: sum(map(len, rows)) for name, rows in strata.items()}
    wanted = _shares(sizes, n_samples)
    chosen: list[int] = []
    room = 0  # what a category leaves, since its next unit is too large, goes to the next category
    for name, groups in strata.items():
        room += wanted[name]
        for at in rng.permutation(len(groups)):
            if len(groups[at]) <= room:
                chosen += groups[at]
                room -= len(groups[at])
    return sorted(chosen)


def _shares(sizes: dict[Hashable, int], n_samples: int) -> dict[Hashable, int]:
    """How many of `n_samples` each stratum gets: in proportion to its size, largest remainders first."""
    total = sum(sizes.values())
    exact = {name: n_samples * size / total for name, size in sizes.items()}
    found = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: found[name] - exact[name])
    for name in by_remainder[: n_samples - sum(found.values())]:
        found[name] += 1
    return found
