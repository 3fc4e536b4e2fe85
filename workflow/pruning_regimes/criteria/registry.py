"""The registry of criteria: names, families, parameters and what each needs. A user's file adds more."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pruning_regimes.criteria.choices import Choice
from pruning_regimes.criteria.study import Study
from pruning_regimes.errors import ConfigError, nearest

Family = Literal["ranking", "structure", "control"]
# What a criterion may need besides the similarity tables, which every study has.
NEEDS = ("windows", "leave_one_out", "greedy", "importance")
USERS = "criteria_of_"  # what names of modules of users' files begin with
# Kinds that are another kind with some of its parameters.
PRESETS: dict[str, dict[str, Any]] = {
    "math_aware": {"kind": "domain", "weights": {"math": 1.0}},
    "non_math_aware": {"kind": "domain", "weights": {"general": 1.0}},
    "mixed": {"kind": "domain", "weights": {"math": 0.5, "general": 0.5}},
}


@dataclass(frozen=True)
class Criterion:
    """A registered criterion.

    Attributes:
        kind: its name in the config.
        family: "ranking" if it orders layers one by one, so that layer sets are nested; "structure" if their spacing or
            continuity decides; "control" if chance does: a control takes part in no comparison of families.
        choose: a function of the study and the parameters; returns one choice, or one per replicate.
        parameters: JSON schema of each parameter; one without a default is needed. "names": "domains" or "criteria"
            in it says that its value (its keys, or its items) has to be keys of that section.
        needs: one of `NEEDS`, or None if the similarity tables are enough.
        sampled: whether the choice depends on calibration samples in a way that stored tables can tell.
    """

    kind: str
    family: Family
    choose: Callable[..., Choice | list[Choice]]
    parameters: Mapping[str, Mapping[str, Any]]
    needs: str | None
    sampled: bool

    def choices(self, study: Study, parameters: Mapping[str, Any]) -> list[Choice]:
        """One choice per replicate."""
        found = self.choose(study, **parameters)
        return found if isinstance(found, list) else [found]

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema of a config entry of this kind."""
        return {
            "type": "object",
            "additionalProperties": False,
            "required": ["kind", *(name for name, schema in self.parameters.items() if "default" not in schema)],
            "properties": {"kind": {"type": "string"}, **self.parameters},
        }

    @property
    def definition(self) -> str:
        """Its docstring, on one line."""
        return " ".join((inspect.getdoc(self.choose) or "").split())


_REGISTRY: dict[str, Criterion] = {}


def criterion(
    kind: str,
    family: Family,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    needs: str | None = None,
    sampled: bool = True,
) -> Callable[[Callable[..., Choice | list[Choice]]], Callable[..., Choice | list[Choice]]]:
    """Register a criterion: a function of a `Study` and its parameters that returns an `Order` or a `Structure`.

    Arguments are those of `Criterion`; the function's docstring gives the definition and its source.

    Raises: ConfigError if the kind is taken, or something is declared that does not exist.
    """
    if family not in get_args(Family):
        raise ConfigError(f"Criterion '{kind}': there is no family '{family}'; {nearest(family, get_args(Family))}")
    if needs is not None and needs not in NEEDS:
        raise ConfigError(f"Criterion '{kind}': there is no table '{needs}' to need; {nearest(needs, NEEDS)}")

    def register(function: Callable[..., Choice | list[Choice]]) -> Callable[..., Choice | list[Choice]]:
        if kind in _REGISTRY or kind in PRESETS:
            raise ConfigError(f"Criterion '{kind}' is there already; choose another name.")
        _REGISTRY[kind] = Criterion(kind, family, function, parameters or {}, needs, sampled)
        return function

    return register


def get(kind: str) -> Criterion:
    """A criterion by its kind.

    Raises: ConfigError for an unknown kind, with the nearest known one.
    """
    if kind not in _REGISTRY:
        raise ConfigError(f"unknown criterion '{kind}'; {nearest(kind, kinds())}")
    return _REGISTRY[kind]


def is_users(kind: str) -> bool:
    """Whether a criterion is registered by a user's file."""
    return get(kind).choose.__module__.startswith(USERS)


def kinds() -> list[str]:
    """All kinds, presets included."""
    return [*PRESETS, *_REGISTRY]


def load(path: str) -> None:
    """Register the criteria of a user's file, once per process.

    Raises: ConfigError if there is no such file, it cannot be run, or it registers nothing.
    """
    file = Path(path).expanduser().resolve()
    module = f"{USERS}{file.stem}"
    if getattr(sys.modules.get(module), "__file__", None) == str(file):
        return
    if not file.is_file():
        raise ConfigError(f"criteria_path: '{path}' is no file; expected a Python file that registers criteria.")
    before = set(_REGISTRY)
    spec = importlib.util.spec_from_file_location(module, file)
    loaded = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(loaded)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"criteria_path: '{path}' fails with {type(error).__name__}: {error}.") from error
    if set(_REGISTRY) == before:
        raise ConfigError(f"criteria_path: '{path}' registers no criterion; decorate a function with @criterion(...).")
    sys.modules[module] = loaded
