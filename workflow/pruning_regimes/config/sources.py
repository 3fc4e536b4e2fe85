"""Where a config's domains and benchmarks come from: checked, and completed by what is known of public ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pruning_regimes import tables
from pruning_regimes.benchmarks import registry as known
from pruning_regimes.benchmarks.sampling import check_enough
from pruning_regimes.calibration import registry as sets
from pruning_regimes.jobs.errors import ConfigError, DataError, nearest
from pruning_regimes.jobs.paths import expanded, neighbour
from pruning_regimes.tables.contracts import ALL_GROUPS

DEMO_BENCHMARKS = ("counting", "arithmetic", "chart", "attributes", "relations", "reading")
DEMO_SAMPLES, MAX_NEW_TOKENS = 240, 8
# Keys that each source takes, besides those that all do; True if it cannot do without.
DOMAIN_KEYS: dict[str, dict[str, bool]] = {
    "demo": {"benchmarks": True},
    "public": {"datasets": False, "path": False, "revision": False},
    "custom": {"path": True, "schema": True, "columns": False, "images": False},
    "table": {"path": True},
}
BENCHMARK_KEYS: dict[str, dict[str, bool]] = {
    "demo": {"group": True},
    "public": {"benchmark": False, "path": False, "revision": False, "prompt": False, "group": False},
    "custom": {"path": True, "columns": False, "images": False, "answer_type": False, "chance": False, "group": True},
    "table": {"path": True, "group": True},
}
COMMON = {"source", "samples", "max_new_tokens", "scoring"}


def check_sources(config: Mapping[str, Any]) -> None:
    """Check the sources of domains and benchmarks; fill in what is known of public benchmarks, in place.

    Raises: ConfigError naming the key, the value and the nearest valid choice.
    """
    for key, entry in config["domains"].items():
        name = f"domains.{key}"
        _check_keys(name, entry, DOMAIN_KEYS)
        if entry["source"] == "public":
            for dataset in entry.setdefault("datasets", [key]):
                _known(f"{name}.datasets", dataset, sets.names())
        _check_path(name, entry, "calibration")
    for key, entry in config["benchmarks"].items():
        name = f"benchmarks.{key}"
        _check_keys(name, entry, BENCHMARK_KEYS)
        if entry["source"] == "demo":
            if key not in DEMO_BENCHMARKS:
                raise ConfigError(f"{name}: unknown demo benchmark; {nearest(key, DEMO_BENCHMARKS)}")
            entry.setdefault("samples", DEMO_SAMPLES)
        elif entry["source"] == "public":
            _fill_public(name, key, entry)
        if entry["group"] == ALL_GROUPS:
            raise ConfigError(
                f"{name}.group: '{ALL_GROUPS}' is what the mean over groups is called; choose another name."
            )
        entry.setdefault("max_new_tokens", MAX_NEW_TOKENS)
        _check_path(name, entry, "benchmark")


def _check_keys(name: str, entry: Mapping[str, Any], taken: Mapping[str, Mapping[str, bool]]) -> None:
    source = entry["source"]
    for key in entry:
        if key not in COMMON and key not in taken[source]:
            others = " or ".join(other for other in taken if key in taken[other])
            raise ConfigError(
                f"{name}.{key}: source '{source}' takes no '{key}'; leave it out, or set source: {others}."
            )
    for key, needed in taken[source].items():
        if needed and key not in entry:
            raise ConfigError(f"{name}: the key '{key}' is missing; source '{source}' needs it.")


def _known(name: str, value: str, names: list[str]) -> None:
    if value not in names:
        raise ConfigError(f"{name}: nothing is known of '{value}'; {nearest(value, names)}")


def _fill_public(name: str, key: str, entry: dict[str, Any]) -> None:
    named = "benchmark" in entry
    benchmark = entry.setdefault("benchmark", key)
    _known(f"{name}.benchmark" if named else name, benchmark, known.names())
    about = known.entry(benchmark)
    if not about["sources"] and "path" not in entry:
        raise ConfigError(
            f"{name}: the key 'path' is missing; {about['title']} is not on the hub, and needs a local copy with "
            f"{about['upstream']['file']}."
        )
    for field in ("group", "max_new_tokens"):
        entry.setdefault(field, about[field])
    prompt = entry.setdefault("prompt", next(iter(about["prompts"])))
    if prompt not in about["prompts"]:
        raise ConfigError(f"{name}.prompt: '{prompt}' is no prompt of {benchmark}; {nearest(prompt, about['prompts'])}")


def _check_path(name: str, entry: Mapping[str, Any], table: str) -> None:
    if "path" not in entry:
        return
    path = expanded(f"{name}.path", entry["path"])
    if not path.exists():
        raise ConfigError(f"{name}.path: there is no file or directory '{entry['path']}'; {neighbour(path)}")
    if entry["source"] != "table":
        return
    if not path.is_file():
        raise ConfigError(f"{name}.path: '{entry['path']}' is no file; source 'table' needs a Parquet file.")
    try:
        n_rows = tables.n_rows(path, table)
    except DataError as error:
        raise ConfigError(f"{name}.path: {error}") from error
    try:
        check_enough(f"{name}.samples", "samples", entry["path"], n_rows, entry.get("samples"))
    except DataError as error:
        raise ConfigError(str(error)) from error
