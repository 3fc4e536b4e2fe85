"""A config's criteria: checked against what each kind declares, and completed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from pruning_regimes.criteria import registry
from pruning_regimes.jobs.errors import ConfigError, nearest


def complete_criteria(config: Mapping[str, Any], sentence: Callable[[ValidationError], str]) -> None:
    """Check the criteria and fill in presets and defaults, in place.

    Args:
        sentence: what is wrong, of an error of the schema.

    Raises: ConfigError naming the key, the value and the nearest valid choice.
    """
    if "criteria_path" in config:
        registry.load(config["criteria_path"])
    entries, implied = config["criteria"], {}
    for key, entry in entries.items():
        implied[key] = _fill_preset(key, entry)
    for key, entry in entries.items():
        _complete(key, entry, config, implied[key], sentence)
    for key, entry in entries.items():
        if "of" in entry:
            _check_wrapped(key, entry["of"], entries)


def resolved(entries: Mapping[str, Mapping[str, Any]], key: str) -> dict[str, Any]:
    """A criterion's entry, with the entry of the criterion that it wraps in place of its key."""
    entry = entries[key]
    return {**entry, "of": dict(entries[entry["of"]])} if "of" in entry else dict(entry)


def own_domains(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Criterion -> the one domain that it looks at, and what else it is made of, of those of kind `domain` that do."""
    own = {}
    for key, entry in entries.items():
        if entry["kind"] == "domain" and len(entry["weights"]) == 1 and min(entry["weights"].values()) > 0:
            made = {name: value for name, value in entry.items() if name != "weights"}
            own[key] = [*entry["weights"], json.dumps(made, sort_keys=True)]
    return own


def _fill_preset(key: str, entry: dict[str, Any]) -> dict[str, str]:
    """Find the kind of an entry, in place; fill in the parameters of a preset.

    Returns: parameter that a preset has given -> the preset.
    """
    stated = "kind" in entry
    kind = entry.setdefault("kind", key)
    if kind not in registry.kinds():
        choices = nearest(kind, registry.kinds())
        if stated:
            raise ConfigError(f"criteria.{key}.kind: unknown criterion '{kind}'; {choices}")
        raise ConfigError(f"criteria.{key}: unknown criterion '{key}', and the key 'kind' names no other; {choices}")
    preset = deepcopy(registry.PRESETS.get(kind, {}))
    entry["kind"] = preset.pop("kind", kind)
    given = preset.keys() - entry.keys()
    entry.update({name: preset[name] for name in given})
    return dict.fromkeys(given, kind)


def _complete(
    key: str,
    entry: dict[str, Any],
    config: Mapping[str, Any],
    implied: Mapping[str, str],
    sentence: Callable[[ValidationError], str],
) -> None:
    known = registry.get(entry["kind"])
    nested = {"properties": {"criteria": {"properties": {key: known.schema}}}}
    errors = sorted(
        Draft202012Validator(nested).iter_errors({"criteria": {key: entry}}),
        key=lambda error: (len(error.absolute_path), error.message),
    )
    if errors:
        raise ConfigError(sentence(errors[0]))
    completed = {"kind": entry["kind"]}
    for name, schema in known.parameters.items():
        value = deepcopy(entry.get(name, schema.get("default")))
        completed[name] = int(value) if schema.get("type") == "integer" else value
        if "names" in schema:
            for word in _names(completed[name]):
                if word not in config[schema["names"]]:
                    source = f", which '{implied[name]}' implies," if name in implied else ""
                    choices = nearest(word, config[schema["names"]])
                    raise ConfigError(
                        f"criteria.{key}.{name}: '{word}'{source} is none of the {schema['names']}; {choices}"
                    )
    # In the declared order, whatever the user's: a job must not run again because two keys changed places.
    entry.clear()
    entry.update(completed)
    if entry["kind"] == "domain" and not any(entry["weights"].values()):
        raise ConfigError(f"criteria.{key}.weights: all weights are 0; at least one domain must count.")


def _check_wrapped(key: str, wrapped: str, entries: Mapping[str, Mapping[str, Any]]) -> None:
    structure = {name for name, entry in entries.items() if registry.get(entry["kind"]).family == "structure"}
    fit = [name for name, entry in entries.items() if name not in structure and "of" not in entry]
    if wrapped not in fit:
        why = "is a criterion by structure" if wrapped in structure else "wraps another criterion itself"
        raise ConfigError(
            f"criteria.{key}.of: '{wrapped}' {why}; expected one that orders layers one by one; {nearest(wrapped, fit)}"
        )


def _names(value: Any) -> Iterable[str]:
    return [value] if isinstance(value, str) else value
