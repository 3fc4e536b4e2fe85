"""The page of criteria: `python -m pruning_regimes.docs.criteria`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pruning_regimes.criteria import registry

PAGE = """\
# Criteria

Made by `python -m pruning_regimes.docs.criteria` from the criteria's own declarations. A criterion of the family
*ranking* orders the layers one by one, so that its layer sets are nested; in one of the family *structure*, spacing or
continuity decides; a *control* takes part in no comparison. Most need the similarity tables alone, which every study
has: trying another one takes a second. Ties go to the deeper layer unless the definition says otherwise.

{presets}

{kinds}
"""
NEEDS = {
    None: "the similarity tables",
    "windows": "similarity of windows of layers: another pass over the calibration samples",
    "leave_one_out": "the loss of the calibration answers without each single layer: a pass per layer",
    "greedy": "the loss along a greedy search: a pass per layer that is left, at every step",
    "importance": "gradients of the loss of the calibration answers: a forward and backward pass",
}


def page() -> str:
    """The whole page."""
    presets = ["| preset | stands for |", "|---|---|"]
    for name, entry in registry.PRESETS.items():
        presets.append(f"| `{name}` | `{json.dumps(entry)}` |".replace('"', ""))
    kinds = [_section(registry.get(kind)) for kind in registry.kinds() if kind not in registry.PRESETS]
    return PAGE.format(presets="\n".join(presets), kinds="\n\n".join(kinds))


def _section(criterion: registry.Criterion) -> str:
    lines = [f"## `{criterion.kind}`", "", criterion.definition, ""]
    lines.append(f"Family: {criterion.family}. Needs: {NEEDS[criterion.needs]}.")
    if criterion.parameters:
        lines += ["", "| parameter | default | meaning |", "|---|---|---|"]
        for name, schema in criterion.parameters.items():
            lines.append(f"| `{name}` | {_default(schema)} | {_meaning(schema)} |")
    return "\n".join(lines)


def _default(schema: Mapping[str, Any]) -> str:
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else "needed"


def _meaning(schema: Mapping[str, Any]) -> str:
    choices = f" One of {', '.join(schema['enum'])}." if "enum" in schema else ""
    return f"{schema['description']}{choices}"


if __name__ == "__main__":
    print(page(), end="")
