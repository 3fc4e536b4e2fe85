"""The config: checked before any job starts, each mistake in one sentence; and what it means for a given model."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from pruning_regimes.config.criteria import complete_criteria
from pruning_regimes.config.figures import check_figures
from pruning_regimes.config.sources import check_sources
from pruning_regimes.jobs.errors import ConfigError, brief, nearest
from pruning_regimes.jobs.paths import expanded, neighbour
from pruning_regimes.models import hub
from pruning_regimes.models.budgets import budget_name, check_depth, protected_layers
from pruning_regimes.models.layer_config import receivers

SCHEMA = Path(__file__).with_name("config.schema.yaml")
COMMIT = re.compile(r"[0-9a-f]{40}")
# Pattern of names, as the schema has it; Python's "$" alone would allow a line end after the name.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$(?!\n)"
RULE = "may hold only letters, digits, '_' and '-', and starts with a letter or digit."
# Names become parts of file names, which hold 255 bytes; on clusters a job's log has three of them in one.
LONGEST_NAME = 64
NAMED = ("models", "domains", "criteria", "benchmarks")
# Names that the study itself uses.
TAKEN = {"dense": "the unpruned model", "profile": "the summary of all domains"}


def complete(config: dict[str, Any], whole: bool = True) -> None:
    """Check a config against the schema, fill in defaults in place, then check what a schema cannot say.

    Args:
        whole: whether it is that of a study; if not, sections may be left out and are empty then.

    Raises: ConfigError naming the key, the value and the nearest valid choice.
    """
    schema = _schema() if whole else {**_schema(), "required": []}
    _check_scalars(config)
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda e: (len(e.absolute_path), e.message))
    if errors:
        raise ConfigError(sentence(errors[0]))
    for section in NAMED:
        config.setdefault(section, {})
    config.setdefault("budgets", [])
    _check_cases(config)
    _fill(config, schema, schema)
    complete_criteria(config, sentence)
    check_sources(config)
    _fill(config, schema, schema)  # in order again
    for key, entry in config["models"].items():
        _check_model(f"models.{key}", entry)
    _check_amounts(config["budgets"])
    if config["budgets"]:
        _check_depths(config)
    check_figures(config)


@cache
def _schema() -> dict[str, Any]:
    """The schema, which takes longer to read than a config to check."""
    return yaml.safe_load(SCHEMA.read_text())


def refuse_repeated_keys(file: str | Path) -> None:
    """Check that no mapping of a YAML file has a key twice; YAML itself would silently keep the last.

    Raises: ConfigError naming the key and its lines.
    """

    def walk(node: yaml.Node | None, path: str) -> None:
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                walk(item, path)
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, below in node.value:
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise ConfigError(
                        f"{file}: the key '{path}{key.value}' stands on line {lines[key.value]} and again on line "
                        f"{line}; keep one of them."
                    )
                lines[key.value] = line
                walk(below, f"{path}{key.value}.")

    walk(yaml.compose(Path(file).read_text()), "")


def stated_depth(stated: Mapping[str, Any]) -> int | None:
    """Number of decoder layers that a model's config.json states, None if it states none."""
    for part in (stated.get("text_config"), stated.get("llm_config"), stated):
        if isinstance(part, Mapping) and isinstance(part.get("num_hidden_layers"), int):
            return part["num_hidden_layers"]
    return None


def is_hub_id(path: str) -> bool:
    """Whether a model's path has the form of a hub id (`name` or `owner/name`) rather than that of a directory.

    `models/llava` is taken for a directory where there is a directory `models`.
    """
    owner, slash, name = path.partition("/")
    return (
        "/" not in name and not path.startswith((".", "/", "~")) and not (slash and (not name or Path(owner).is_dir()))
    )


def _check_scalars(value: Any, where: str = "") -> None:
    """What JSON, and so its schema, does not know: keys that are no text, numbers that are not finite."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"{where}{key}: a key must be text; write it in quotes.")
            _check_scalars(below, f"{where}{key}.")
    elif isinstance(value, list):
        for below in value:
            _check_scalars(below, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where.rstrip('.')}: {value} is no number that can be computed with.")


def _check_cases(config: Mapping[str, Any]) -> None:
    """Refuse names of one section that are the same file on a file system that takes no notice of case."""
    for section in NAMED:
        known: dict[str, str] = {}
        for key in config[section]:
            other = known.setdefault(key.lower(), key)
            if other != key:
                raise ConfigError(
                    f"{section}: '{other}' and '{key}' differ only in upper and lower case, which some file systems do "
                    "not tell apart; rename one."
                )


def _fill(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    if not isinstance(value, dict):
        return
    for key, below in schema.get("properties", {}).items():
        if key not in value and "default" in below:
            value[key] = json.loads(json.dumps(below["default"]))
        if below.get("type") == "integer" and isinstance(value.get(key), float):
            value[key] = int(value[key])  # 240.0 is an integer to the schema
        if key in value:
            _fill(value[key], below, root)
    others = schema.get("additionalProperties")
    if isinstance(others, Mapping):
        for key in value.keys() - schema.get("properties", {}).keys():
            _fill(value[key], others, root)
    # The schema's order, however the user wrote it: a job must not run again because two keys changed places.
    ordered = [key for key in schema.get("properties", {}) if key in value]
    ordered += [key for key in value if key not in ordered]
    entries = {key: value[key] for key in ordered}
    value.clear()
    value.update(entries)


def sentence(error: ValidationError) -> str:
    """What is wrong with a config, in one sentence."""
    where = ".".join(str(part) for part in error.absolute_path)
    at = f"{where}: " if where else ""
    value = error.instance
    if error.validator == "additionalProperties":
        allowed = error.schema.get("properties", {})
        unknown = next(key for key in value if key not in allowed)
        key = f"{where}.{brief(unknown)}" if where else brief(unknown)
        return f"{key}: unknown key in the config; {nearest(unknown, allowed)}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in value)
        return f"{at}the key '{missing}' is missing; it is: {_description(error, missing)}"
    if error.validator == "enum":
        return f"{at}'{brief(value)}' is not a valid choice; {nearest(value, error.validator_value)}"
    if error.validator == "type":
        return f"{at}expected {_article(error.validator_value)}, found {brief(json.dumps(value, default=str))}."
    if error.validator == "maxLength":
        return f"{at}the name '{brief(value)}' has {len(value)} characters, but {error.validator_value} are the most."
    if "propertyNames" in error.absolute_schema_path:
        if value in TAKEN:
            return f"{at}the key '{value}' is taken by {TAKEN[value]}; choose another name."
        return f"{at}the key '{brief(value)}' {RULE}"
    if error.validator == "pattern" and where.endswith("url") and "@" in value:
        return f"{at}an address with a password would be in logs; put a key into the variable that key_variable names."
    if error.validator == "pattern" and where.endswith("url"):
        return f"{at}'{value}' is no address; expected one that begins with http:// or https://."
    if error.validator == "pattern" and error.validator_value == NAME:
        return f"{at}'{brief(value)}' {RULE}"
    if error.validator == "uniqueItems":
        twice = next(item for index, item in enumerate(value) if item in value[:index])
        return f"{at}'{twice}' stands there twice; keep it once."
    if error.validator in ("minProperties", "minItems"):
        return f"{at}at least one entry is needed."
    limits = {
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "more than",
        "exclusiveMaximum": "less than",
    }
    if error.validator in limits:
        return f"{at}{value} is out of range; it must be {limits[error.validator]} {error.validator_value}."
    return f"{at}{error.message}."


def _description(error: ValidationError, key: str) -> str:
    return error.schema.get("properties", {}).get(key, {}).get("description", "needed").strip()


def _article(kind: str | list[str]) -> str:
    if isinstance(kind, list):
        return " or ".join(map(_article, kind))
    names = {
        "object": "a mapping of keys to values",
        "array": "a list",
        "integer": "a whole number",
        "boolean": "true or false",
        "string": "text",
        "null": "null",
    }
    return names.get(kind, f"a {kind}")


def _check_model(name: str, entry: Mapping[str, Any]) -> None:
    stated = entry["path"]
    path = expanded(f"{name}.path", stated)
    if not path.exists() and is_hub_id(stated):
        if entry["trust_remote_code"] and not COMMIT.fullmatch(entry["revision"]):
            raise ConfigError(
                f"{name}.revision: '{entry['revision']}' is no commit; trust_remote_code needs the 40 digits of the "
                "commit whose code you read."
            )
    elif not (path / "config.json").is_file():
        raise ConfigError(f"{name}.path: '{stated}' is no model directory (it has no config.json); {neighbour(path)}")


def _check_amounts(budgets: Sequence[int | float]) -> None:
    for index, budget in enumerate(budgets):
        if isinstance(budget, float) and not 0 < budget < 1:
            raise ConfigError(f"budgets: {budget} is neither a whole number of layers nor a fraction between 0 and 1.")
        if len(budget_name(budget)) > LONGEST_NAME:
            raise ConfigError(f"budgets: {brief(budget)} has more digits than a file name holds.")
        if budget in budgets[:index]:
            raise ConfigError(f"budgets: {budget} stands there twice; keep it once.")


def _check_depths(config: Mapping[str, Any]) -> None:
    """Check the budgets against the depths of the models whose config is there."""
    for key, entry in config["models"].items():
        try:
            stated = hub.stated_config(entry["path"], entry["revision"]) or {}
        except ValueError as error:
            raise ConfigError(f"models.{key}.path: {entry['path']}/config.json cannot be read: {error}.") from error
        depth = stated_depth(stated)
        if depth is not None:
            named = protected_layers(key, depth, entry.get("protected", []))
            try:
                kept = named | receivers(stated)
            except (TypeError, ValueError, AttributeError) as error:
                raise ConfigError(f"models.{key}.path: {entry['path']}/config.json is damaged: {error}.") from error
            check_depth(key, depth, config["budgets"], kept)
