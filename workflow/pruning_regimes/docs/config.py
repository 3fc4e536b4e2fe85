"""The config reference as Markdown, made from the schema: `python -m pruning_regimes.docs.config SCHEMA`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml


def rows(schema: Mapping[str, Any], root: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str, str]]:
    """(key, default, meaning) of every key, depth first; `<key>` stands for a name of the user's choice."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    for key, below in schema.get("properties", {}).items():
        resolved = root["$defs"][below["$ref"].rsplit("/", 1)[-1]] if "$ref" in below else below
        default = "needed" if key in schema.get("required", ()) else _shown(resolved.get("default"))
        meaning = " ".join(resolved.get("description", "").split())
        if "enum" in resolved:
            meaning += f" One of {', '.join(str(choice) for choice in resolved['enum'])}."
        yield f"{path}{key}", default, meaning
        yield from rows(below, root, f"{path}{key}.")
    others = schema.get("additionalProperties")
    if isinstance(others, Mapping) and "$ref" in others:
        yield from rows(others, root, f"{path}<key>.")


def table(schema_file: str | Path) -> str:
    """The reference as one Markdown table."""
    schema = yaml.safe_load(Path(schema_file).read_text())
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [f"| `{key}` | {default} | {meaning} |" for key, default, meaning in rows(schema, schema)]
    return "\n".join(lines)


def _shown(default: Any) -> str:
    if default is None or default == {}:
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


if __name__ == "__main__":
    print(table(sys.argv[1]))
