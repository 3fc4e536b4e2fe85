"""The registry of criteria: names, families, parameters and what each needs. A user's file adds more."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any, Literal, get_args

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from pruning_regimes.criteria.choices import Choice, Order, Structure
from pruning_regimes.criteria.study import Study
from pruning_regimes.jobs.errors import ConfigError, nearest
from pruning_regimes.jobs.paths import expanded, neighbour

Family = Literal["ranking", "structure", "control"]
# What a criterion may need besides the similarity tables, which every study has.
NEEDS = ("windows", "leave_one_out", "greedy", "importance")
# Their tables tell of no other draw of the samples: the losses of one search, or sums over all samples.
UNSAMPLED = ("greedy", "importance")
SECTIONS = ("domains", "criteria")
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
            continuity decides; "control" if chance orders them: it takes part in no comparison of families.
        choose: a function of the study and the parameters; returns one choice, or one per replicate.
        parameters: JSON schema of each parameter; one without a default is needed. "names": "domains" or "criteria"
            in it says that its value (its keys, or its items) has to be keys of that section. A criterion that wraps
            another calls the parameter that names it `of`, and gets its config entry; it needs what that one needs.
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
        """One choice per replicate.

        Raises: ConfigError if the function returns something else, or an order that is not one of all candidates.
        """
        found = self.choose(study, **parameters)
        found = found if isinstance(found, list) else [found]
        if not found or not all(isinstance(choice, Order | Structure) for choice in found):
            raise ConfigError(
                f"Criterion of kind '{self.kind}' returned {found}; expected an Order or a Structure, or a list of "
                "these with one per replicate."
            )
        for choice in found:
            if isinstance(choice, Structure) and self.family != "structure":
                raise ConfigError(f"Criterion of kind '{self.kind}' returned a Structure; its family needs an Order.")
            if isinstance(choice, Order) and sorted(choice.layers) != study.candidates:
                raise ConfigError(
                    f"Criterion of kind '{self.kind}' ordered the layers {list(choice.layers)}; an Order has to name "
                    f"each of the layers {study.candidates} once."
                )
            if choice.scores is not None and len(choice.scores) != study.n_layers:
                raise ConfigError(
                    f"Criterion of kind '{self.kind}' gave {len(choice.scores)} scores; the model has {study.n_layers} "
                    "layers, and each needs one."
                )
        return found

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
_USERS: dict[str, Path] = {}  # kind -> the user's file that registers it


def criterion(
    kind: str,
    family: Family,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    needs: str | None = None,
    sampled: bool = True,
) -> Callable[[Callable[..., Choice | list[Choice]]], Callable[..., Choice | list[Choice]]]:
    """Register a criterion: a function of a `Study` and its parameters that returns an `Order` or a `Structure`.

    Arguments are those of `Criterion`; the function's docstring gives the definition and its source.

    Raises: ConfigError if the kind is taken, or something is declared that does not exist or does not fit together.
    """
    name, declared = f"Criterion '{kind}'", parameters or {}
    if family not in get_args(Family):
        raise ConfigError(f"{name}: there is no family '{family}'; {nearest(family, get_args(Family))}")
    if needs is not None and needs not in NEEDS:
        raise ConfigError(f"{name}: there is no table '{needs}' to need; {nearest(needs, NEEDS)}")
    if needs is not None and "of" in declared:
        raise ConfigError(f"{name}: it needs what the criterion that it wraps needs; leave '{needs}' out.")
    for parameter, schema in declared.items():
        _check_parameter(name, parameter, schema)

    def register(function: Callable[..., Choice | list[Choice]]) -> Callable[..., Choice | list[Choice]]:
        if kind in _REGISTRY or kind in PRESETS:
            raise ConfigError(f"{name} is there already; choose another name.")
        try:
            inspect.signature(function).bind(None, **dict.fromkeys(declared))
        except TypeError as error:
            raise ConfigError(f"{name}: its function does not take a study and its parameters: {error}.") from error
        _REGISTRY[kind] = Criterion(kind, family, function, declared, needs, sampled and needs not in UNSAMPLED)
        return function

    return register


def _check_parameter(criterion: str, name: str, schema: Mapping[str, Any]) -> None:
    """Raises: ConfigError if a parameter's declaration is none."""
    where = f"{criterion}: parameter '{name}'"
    if name == "kind":
        raise ConfigError(f"{where} has the name of the key that names the criterion; choose another name.")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ConfigError(f"{where} has no valid JSON schema: {error.message}.") from error
    if "names" in schema and schema["names"] not in SECTIONS:
        raise ConfigError(f"{where} cannot be keys of '{schema['names']}'; {nearest(schema['names'], SECTIONS)}")
    if "names" in schema and schema.get("type") not in ("string", "array", "object"):
        raise ConfigError(f"{where} names {schema['names']}; its type has to be string, array or object.")
    if (name == "of") != (schema.get("names") == "criteria"):
        raise ConfigError(f"{where}: 'of', and no other parameter, names a criterion.")
    if "default" in schema and not Draft202012Validator(schema).is_valid(schema["default"]):
        raise ConfigError(f"{where} has a default that its schema does not allow: {schema['default']!r}.")


def get(kind: str) -> Criterion:
    """A criterion by its kind.

    Raises: ConfigError for an unknown kind, with the nearest known one.
    """
    if kind not in _REGISTRY:
        raise ConfigError(f"unknown criterion '{kind}'; {nearest(kind, kinds())}")
    return _REGISTRY[kind]


def is_users(kind: str) -> bool:
    """Whether a criterion is registered by a user's file."""
    return kind in _USERS


def kinds() -> list[str]:
    """All kinds, presets included."""
    return [*PRESETS, *_REGISTRY]


def load(path: str) -> None:
    """Register the criteria of a user's file, once per process.

    Raises: ConfigError if there is no such file, it cannot be run, or it registers nothing; nothing of it stays
        registered then.
    """
    stated = expanded("criteria_path", path)
    file = stated.resolve()
    if file in _USERS.values():
        return
    if not file.is_file():
        raise ConfigError(f"criteria_path: '{path}' is no file; {neighbour(stated)}")
    before = dict(_REGISTRY)
    loader = SourceFileLoader(f"criteria_of_{file.stem}", str(file))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module  # dataclasses, for one, look their module up
    try:
        loader.exec_module(module)
    except Exception as error:
        del sys.modules[loader.name]
        _REGISTRY.clear()
        _REGISTRY.update(before)
        raise ConfigError(f"criteria_path: '{path}' {_fault(error, file)}.") from error
    found = [kind for kind in _REGISTRY if kind not in before]
    if not found:
        raise ConfigError(f"criteria_path: '{path}' registers no criterion; decorate a function with @criterion(...).")
    _USERS.update(dict.fromkeys(found, file))


def _fault(error: Exception, file: Path) -> str:
    """Why a user's file cannot be run, on one line."""
    said = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, ConfigError):
        return f"is refused: {said}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f"fails{f' on line {lines[-1]}' if lines else ''} with {type(error).__name__}: {said}"
