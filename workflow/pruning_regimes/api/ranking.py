"""Layer lists of criteria, from a folder of similarity tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from pruning_regimes.config.criteria import complete_criteria, resolved
from pruning_regimes.config.study import complete, sentence
from pruning_regimes.criteria import layer_list, registry
from pruning_regimes.criteria.stored import read_study
from pruning_regimes.jobs.errors import ConfigError
from pruning_regimes.measurement import similarity_tables

WINDOWS = "windows"
# What a criterion needs besides the similarity tables, in words.
NEEDS = {
    WINDOWS: "the similarity of windows of layers",
    "leave_one_out": "the losses without each layer",
    "greedy": "the losses along a search",
    "importance": "the gradients of the loss",
}
SCHEMA = {
    "criterion": pl.String,
    "replicate": pl.Int32,
    "budget": pl.String,
    "n_removed": pl.Int32,
    "removed": pl.List(pl.Int32),
}


def rank(
    folder: str | Path,
    criteria: Sequence[str] | Mapping[str, Mapping[str, Any]],
    budgets: Sequence[int | float],
    *,
    protected: Sequence[int] = (),
    seed: int = 0,
    criteria_path: str | Path | None = None,
) -> pl.DataFrame:
    """The layers that criteria remove at some budgets.

    Args:
        folder: similarity tables of one model: what `similarity` wrote, or `results/similarity/{model}` of a study,
            whose windows of layers are used if they are there.
        criteria: kinds (`mixed`), with their parameters if any (`contrast:domain=math,against=general`); or a mapping
            from names to entries, as the config's `criteria`.
        budgets: how many layers: a count, or a fraction of them.
        protected: layers that must stay, besides those that cannot be removed; negative numbers count from the end.
        seed: of random criteria.
        criteria_path: a Python file of yours that registers more criteria.

    Returns: a row per criterion, replicate and budget: n_removed, and removed, the layers, the first to go first.

    Raises: ConfigError if a criterion or budget is not as the config would have it, or needs more than the tables;
        DataError if the folder has no tables.
    """
    folder = Path(folder).expanduser()
    domains = similarity_tables.domains(folder)
    stated = (
        {key: dict(entry) for key, entry in criteria.items()} if isinstance(criteria, Mapping) else _parsed(criteria)
    )
    entries = _with_wrapped(stated)
    study = {"criteria": entries, "domains": domains}
    complete_criteria(study if criteria_path is None else {**study, "criteria_path": str(criteria_path)}, sentence)
    complete({"budgets": list(budgets)}, whole=False)
    windows = list(map(str, similarity_tables.windows(folder, domains)))
    if WINDOWS not in {_need(key, resolved(entries, key), bool(windows)) for key in stated}:
        windows = []
    layers, blocks = zip(*(map(str, similarity_tables.paths(folder, domain)) for domain in domains), strict=True)
    decoder = similarity_tables.decoder_file(folder)
    of = read_study(decoder, protected, seed, domains, layers, blocks, windows)
    rows = []
    for key in stated:
        found = layer_list(resolved(entries, key), of, budgets)
        for (replicate, budget), part in found.group_by("replicate", "budget", maintain_order=True):
            removed = part.filter("removed").sort("order")["layer"].to_list()
            rows.append((key, replicate, budget, len(removed), removed))
    return pl.DataFrame(rows, SCHEMA, orient="row")


def _parsed(criteria: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Criteria that are written as `kind` or `kind:parameter=value,...`, by what is written."""
    entries = {}
    for text in criteria:
        kind, colon, parameters = text.partition(":")
        # A mapping of YAML, in which values may be lists and mappings themselves: domain:weights={math=1,general=2}
        spelled = re.sub(r"\s*=\s*", ": ", parameters)
        try:
            found = yaml.safe_load(f"{{{spelled}}}")
        except yaml.YAMLError:
            found = None
        if not isinstance(found, dict) or None in found.values() or (colon and not found):
            raise ConfigError(f"criteria.{text}: '{parameters}' are no parameters; expected parameter=value,...")
        entries[text] = {"kind": kind, **found}
    return entries


def _with_wrapped(stated: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same, with criteria that others wrap by the name of their kind."""
    wrapped = {entry["of"] for entry in stated.values() if isinstance(entry.get("of"), str)}
    return {**{kind: {} for kind in sorted(wrapped - stated.keys()) if kind in registry.kinds()}, **stated}


def _need(key: str, entry: Mapping[str, Any], has_windows: bool) -> str | None:
    """What a criterion needs besides similarities, which only tables of windows may be.

    Raises: ConfigError if it is something else, or if there are none.
    """
    need = registry.get(entry.get("of", entry)["kind"]).needs
    if need is not None and not (need == WINDOWS and has_windows):
        raise ConfigError(
            f"criteria.{key}: it needs {NEEDS[need]} too, which only the workflow measures; run it with this "
            "criterion, or name one that needs similarities alone."
        )
    return need
