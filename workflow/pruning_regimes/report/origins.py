"""Where a study's numbers come from: models, data, settings and versions, from the provenance of its tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from pruning_regimes.tables import portable

Provenance = Mapping[str, Any]
MADE_BY = ("package_version", "git_commit", "python", "libraries")


def markdown(
    models: Mapping[str, Provenance],
    domains: Mapping[str, Provenance],
    benchmarks: Mapping[str, Provenance],
    answers: Sequence[Provenance],
    retention: Provenance,
    study: Mapping[str, Any],
) -> str:
    """The provenance of a study.

    Args:
        models, domains, benchmarks: key -> provenance of its decoder, calibration and benchmark table.
        answers: provenance of the predictions tables.
        retention: provenance of the retention table.
        study: the config with its defaults, as far as it decides the results.
    """
    every = [*models.values(), *domains.values(), *benchmarks.values(), *answers, retention]
    parts = ["# Provenance", "", *_versions(every), ""]
    parts += ["## Models", "", *_table("model", {key: one["model"] for key, one in models.items()}), ""]
    for title, word, some in (("Domains", "domain", domains), ("Benchmarks", "benchmark", benchmarks)):
        parts += [f"## {title}", "", *_table(word, {key: one["config"] for key, one in some.items()}), ""]
    parts += ["## Statistics", "", *_table("table", {"retention": _settings(retention)}), ""]
    config = yaml.safe_dump(portable(study), sort_keys=False, allow_unicode=True, width=100)
    parts += [
        "## Config",
        "",
        "With its defaults, as far as it decides the results:",
        "",
        "```yaml",
        config + "```",
        "",
    ]
    return "\n".join(parts)


def _versions(every: Iterable[Provenance]) -> Iterator[str]:
    """What made the tables; one line per combination of versions, since tables that are there are kept."""
    made: dict[str, list[str]] = {}
    for one in every:
        made.setdefault(json.dumps({key: one.get(key) for key in MADE_BY}, sort_keys=True), []).append(one["date"])
    for stated, days in made.items():
        by = json.loads(stated)
        libraries = ", ".join(f"{name} {version}" for name, version in by["libraries"].items())
        commit = f" (commit {by['git_commit'][:12]})" if by["git_commit"] else ""
        span = min(days) if min(days) == max(days) else f"{min(days)} to {max(days)}"
        tables = "1 table" if len(days) == 1 else f"{len(days)} tables"
        package = f"pruning-regimes {by['package_version']}{commit}"
        yield f"- {tables} of {span}: {package}, Python {by['python']}, {libraries}."


def _settings(retention: Provenance) -> dict[str, Any]:
    return {key: retention[key] for key in ("seed", "resamples", "confidence", "margin", "keep")}


def _table(word: str, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A row per key, a column per setting that any of them states."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    yield f"| {' | '.join([word, *columns])} |"
    yield f"|{'---|' * (len(columns) + 1)}"
    for key, row in rows.items():
        yield f"| {' | '.join([key, *(_shown(row.get(name)) for name in columns)])} |"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text.replace("|", r"\|").replace("\n", " ")
