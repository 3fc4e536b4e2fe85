"""Studies of a model that was never run, from arrays: what the tests of criteria and of their stability look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from pruning_regimes import tables
from pruning_regimes.config.criteria import complete_criteria, resolved
from pruning_regimes.config.study import sentence
from pruning_regimes.criteria import Samples, Study, layer_list
from pruning_regimes.criteria.study import Losses
from pruning_regimes.tables.contracts import TOKEN_GROUPS

Removed = tuple[int, ...]
N_TOKENS = 2  # of each answer


def samples(
    cosine: ArrayLike,
    *,
    relative_update: ArrayLike | None = None,
    angular_distance: ArrayLike | None = None,
    blocks: ArrayLike | None = None,
    windows: Mapping[int, ArrayLike] | None = None,
) -> Samples:
    """The tables of one domain.

    Args:
        cosine, relative_update, angular_distance: [N, L], the same for all token groups, or [N, L, 4] with NaN where a
            sample has no token of a group; the last two are 1 - cosine if left out.
        blocks: [N, L, L + 1] by start and length; the sum of the layers' angular distances if left out.
        windows: length -> [N, starts]; none if left out.
    """
    metrics = {"cosine": _grouped(cosine)}
    metrics["relative_update"] = 1 - metrics["cosine"] if relative_update is None else _grouped(relative_update)
    metrics["angular_distance"] = 1 - metrics["cosine"] if angular_distance is None else _grouped(angular_distance)
    there = ~np.isnan(metrics["cosine"])
    names = np.array([f"s{i}" for i in range(len(there))])
    sample, layer, group = np.nonzero(there)
    layers = {"sample_id": names[sample], "layer": layer, "token_group": np.array(TOKEN_GROUPS)[group], "n_tokens": 1}
    similarity = pl.DataFrame({**layers, **{name: values[there] for name, values in metrics.items()}})
    return Samples(
        tables.frame("similarity", similarity),
        _blocks(names, metrics["angular_distance"][..., 0], blocks),
        None if windows is None else _windows(names, windows),
    )


def _grouped(values: ArrayLike) -> np.ndarray:
    values = np.asarray(values, float)
    return values if values.ndim == 3 else np.repeat(values[..., None], len(TOKEN_GROUPS), -1)


def _blocks(names: np.ndarray, distances: np.ndarray, blocks: ArrayLike | None) -> pl.DataFrame:
    n_layers = distances.shape[1]
    places = [(s, length) for s in range(n_layers) for length in range(1, n_layers - s + 1)]
    if blocks is None:
        blocks = np.zeros((len(names), n_layers, n_layers + 1))
        for start, length in places:
            blocks[:, start, length] = distances[:, start : start + length].sum(1)
    start, length = np.array(places).T
    angles = np.asarray(blocks, float)[:, start, length]
    named = {"sample_id": np.repeat(names, len(places)), "start": np.tile(start, len(names))}
    rows = {**named, "length": np.tile(length, len(names)), "angular_distance": angles.ravel()}
    return tables.frame("blocks", pl.DataFrame(rows))


def _windows(names: np.ndarray, windows: Mapping[int, ArrayLike]) -> pl.DataFrame:
    rows = [
        {"sample_id": name, "start": start, "length": length, "token_group": group, "cosine": float(value)}
        for length, values in windows.items()
        for name, row in zip(names, values, strict=True)
        for start, value in enumerate(row)
        for group in TOKEN_GROUPS
    ]
    return tables.frame("windows", rows)


def losses(by_set: Mapping[str, Mapping[Removed, Sequence[float]]]) -> Losses:
    """The losses of a criterion: domain -> removed layers -> loss per token of each sample."""
    rows = [
        {"domain": domain, "sample_id": f"s{i}", "removed": list(removed), "nll": loss * N_TOKENS, "n_tokens": N_TOKENS}
        for domain, sets in by_set.items()
        for removed, of_samples in sets.items()
        for i, loss in enumerate(of_samples)
    ]
    return Losses(tables.frame("losses", rows))


def tried(candidates: Iterable[int], n_steps: int, loss: Callable[[Removed], float]) -> list[Removed]:
    """The sets that a greedy search asks for, the dense model first."""
    path, sets = [], [()]
    for _ in range(n_steps):
        step = {layer: tuple(sorted([*path, layer])) for layer in candidates if layer not in path}
        sets += step.values()
        path.append(min(step, key=lambda layer, step=step: (loss(step[layer]), -layer)))
    return sets


def importance(values: Sequence[float]) -> pl.DataFrame:
    """The importance table."""
    return tables.frame("importance", {"layer": range(len(values)), "importance": values})


def study(
    domains: Mapping[str, Samples | ArrayLike],
    *,
    seed: int = 0,
    protected: Iterable[int] = (),
    losses: Losses | None = None,
    importance: pl.DataFrame | None = None,
) -> Study:
    """A study of a model `m`.

    Args:
        domains: domain -> its tables, or the cosines [N, L] that these are made of.
    """
    of = {name: it if isinstance(it, Samples) else samples(it) for name, it in domains.items()}
    n_layers = next(iter(of.values())).layers["layer"].max() + 1
    return Study("m", n_layers, seed, frozenset(protected), of, losses, importance)


def plain(n_layers: int, **others: Any) -> Study:
    """A study for criteria that do not look at its one sample."""
    return study({"math": [[0.5] * n_layers]}, **others)


def completed(criteria: Mapping[str, Any], domains: Iterable[str] = ("math", "general"), **keys: Any) -> dict[str, Any]:
    """The criteria of a config as they are after it was checked."""
    config = {"criteria": {key: dict(entry) for key, entry in criteria.items()}, "domains": dict.fromkeys(domains)}
    complete_criteria({**config, **keys}, sentence)
    return config["criteria"]


def entry(kind: str, **parameters: Any) -> dict[str, Any]:
    """The completed entry of one criterion; that of a parameter `of` stands in it as an entry of its own."""
    of = {"wrapped": parameters["of"]} if "of" in parameters else {}
    named = {"of": "wrapped"} if of else {}
    return resolved(completed({"it": {"kind": kind, **parameters, **named}, **of}), "it")


def order(entry: Mapping[str, Any], of: Study, count: int | None = None, replicate: int = 0) -> list[int]:
    """Layers that a criterion removes, in order, according to the layers table; all candidates if not told how many."""
    count = min(len(of.candidates), of.n_layers - 1) if count is None else count
    table = layer_list(entry, of, [count]).filter(pl.col("replicate") == replicate)
    return table.filter("removed").sort("order")["layer"].to_list()


def shuffled(of: Study, seed: int) -> Study:
    """The same study with the rows of all its tables in another order."""

    def mixed(table: pl.DataFrame | None) -> pl.DataFrame | None:
        return None if table is None else table.sample(fraction=1, shuffle=True, seed=seed)

    return Study(
        of.model,
        of.n_layers,
        of.seed,
        of.protected,
        {name: Samples(mixed(s.layers), mixed(s.blocks), mixed(s.windows)) for name, s in of.samples.items()},
        of.losses and Losses(mixed(of.losses.table)),
        mixed(of.importance),
    )


def random_samples(rng: np.random.Generator, n_samples: int, n_layers: int) -> Samples:
    """A domain of random tables with windows; all values are multiples of 1/64, so that sums are exact."""

    def values(*shape: int) -> np.ndarray:
        return rng.integers(-64, 65, shape) / 64

    windows = {length: values(n_samples, n_layers - length) for length in (2, 3) if length < n_layers}
    distances = {name: abs(values(n_samples, n_layers)) for name in ("relative_update", "angular_distance")}
    blocks = abs(values(n_samples, n_layers, n_layers + 1))
    return samples(values(n_samples, n_layers), **distances, blocks=blocks, windows=windows)


def random_study(seed: int, n_layers: int, protected: Iterable[int] = (), steps: int | None = None) -> Study:
    """A study of two domains of random tables, for every kind of criterion.

    Args:
        steps: if given, the losses are those that a greedy search of so many steps asks for.
    """
    rng = np.random.default_rng(seed)
    sizes = {"math": 2, "general": 3}
    candidates = [layer for layer in range(n_layers) if layer not in set(protected)]
    costs = rng.integers(1, 200, n_layers)
    sets: list[Removed] = [(), *((layer,) for layer in candidates)]
    if steps is not None:
        sets = tried(candidates, steps, lambda removed: sum(costs[layer] for layer in removed))
    lost = {
        domain: {removed: [float(sum(costs[layer] for layer in removed))] * n for removed in sets}
        for domain, n in sizes.items()
    }
    of = {domain: random_samples(rng, n, n_layers) for domain, n in sizes.items()}
    return study(
        of,
        seed=seed,
        protected=protected,
        losses=losses(lost),
        importance=importance(rng.permutation(n_layers).astype(float)),
    )
