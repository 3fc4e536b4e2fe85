"""The page of known benchmarks and calibration sets: `python -m pruning_regimes.docs.benchmarks`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pruning_regimes.benchmarks import registry
from pruning_regimes.calibration import registry as sets

PAGE = """\
# Known benchmarks and calibration sets

Made by `python -m pruning_regimes.docs.benchmarks` from `workflow/pruning_regimes/benchmarks/entries/` and
`workflow/pruning_regimes/calibration/sets.yaml`, where all ids, revisions and prompts are. Read a data set's licence
before you use it. `upstream` among the sources means that a local copy of the benchmark's own files is taken too.

## Benchmarks

{benchmarks}

## Calibration sets

{sets}
"""


def page() -> str:
    """The whole page."""
    benchmarks = [
        (
            f"`{name}`",
            entry["title"],
            entry["group"],
            str(entry["rows"]),
            _sources(entry),
            ", ".join(entry["prompts"]),
            ", ".join(entry["metrics"]) or "accuracy",
            str(entry["size_mb"]),
            entry["licence"],
            entry["citation"],
        )
        for name, entry in ((name, registry.entry(name)) for name in registry.names())
    ]
    head = ("name", "benchmark", "group", "questions", "sources", "prompts", "metrics", "MB", "licence", "citation")
    found = [
        (f"`{name}`", entry["title"], entry["schema"], _sources(entry), str(entry["size_mb"]), entry["licence"])
        for name, entry in ((name, sets.entry(name)) for name in sets.names())
    ]
    return PAGE.format(
        benchmarks=_table(head, benchmarks),
        sets=_table(("name", "set", "schema", "source", "MB (first shard)", "licence"), found),
    )


def _sources(entry: Mapping[str, Any]) -> str:
    named = [f"{source['id']} ({source['split']})" for source in entry["sources"]]
    return ", ".join(dict.fromkeys(named + (["upstream"] if "upstream" in entry else [])))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


if __name__ == "__main__":
    print(page(), end="")
