"""Questions of a known benchmark, as its entry describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from pruning_regimes.benchmarks import questions, registry, sampling, sources
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.tables import frame


def load(benchmark: str, entry: Mapping[str, Any], seed: int) -> pl.DataFrame:
    """The questions of a config entry with `source: public`, in the order of the data set.

    Raises: DataError if the data set is not there, or a row is not as the entry says.
    """
    about = registry.entry(entry.get("benchmark", benchmark))
    columns, path, revision = about["columns"], entry.get("path"), entry.get("revision")
    rows = sources.rows(about, path, revision, columns["images"])
    light = rows.light()
    wanted = [position for position, row in enumerate(light) if _is_wanted(about.get("where", {}), row)]
    if not wanted:
        raise DataError(f"benchmarks.{benchmark}: {about['title']} has no questions there.")
    sampling.check_enough(
        f"benchmarks.{benchmark}.samples", "questions", about["title"], len(wanted), entry.get("samples")
    )
    adapted = [questions.adapted(about, light[position]) for position in wanted]
    names = [_name(columns, row, position) for row, position in zip(adapted, wanted, strict=True)]
    units = [
        sources.field(row, about["unit"]) if "unit" in about else name for row, name in zip(adapted, names, strict=True)
    ]
    chosen = sampling.stratified([questions.category(about, row) for row in adapted], units, entry.get("samples"), seed)
    if not chosen:
        raise DataError(
            f"benchmarks.{benchmark}.samples: {entry['samples']} is too few for {about['title']}, of which all "
            f"questions with the same '{about['unit']}' are drawn together."
        )
    full = rows.take([wanted[at] for at in chosen])
    if "join" in about:
        full = _joined(about, path, revision, full)
    prompt = entry.get("prompt", next(iter(about["prompts"])))
    found = [
        questions.question(about, questions.adapted(about, row), names[at], prompt)
        for at, row in zip(chosen, full, strict=True)
    ]
    return frame("benchmark", found)


def _is_wanted(where: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether each named field has the value that is asked for, or one of them."""
    for name, values in where.items():
        if str(sources.field(row, name)) not in map(str, values if isinstance(values, list) else [values]):
            return False
    return True


def _name(columns: Mapping[str, Any], row: Mapping[str, Any], position: int) -> str:
    """A question's id; its row number where the data set has none."""
    return str(sources.field(row, columns["sample_id"])) if "sample_id" in columns else f"{position:06d}"


def _joined(
    about: Mapping[str, Any], path: str | None, revision: str | None, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows with the columns of the partner in the benchmark's other table."""
    join = about["join"]
    other = sources.rows(about, path, revision, join["columns"], "join")
    places = {row[join["key"]]: position for position, row in enumerate(other.light())}
    missing = next((row[join["by"]] for row in rows if row[join["by"]] not in places), None)
    if missing is not None:
        raise DataError(f"{about['title']}: the table '{join['config']}' has no row '{missing}'.")
    needed = sorted({places[row[join["by"]]] for row in rows})
    partners = dict(zip(needed, other.take(needed), strict=True))
    return [{**row, **{name: partners[places[row[join["by"]]]][name] for name in join["columns"]}} for row in rows]
