"""Errors that a user can act on: one sentence with the key or file, what was expected, and the nearest valid choice."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 12  # choices that a sentence lists at most


class StudyError(Exception):
    """Base of all errors that are the input's fault rather than the program's."""


class ConfigError(StudyError):
    """The config does not describe a study that can be run."""


class DataError(StudyError):
    """A table or data set does not keep its contract."""


class ModelError(StudyError):
    """A model cannot be loaded, or its decoder layers cannot be found or removed."""


def nearest(value: object, choices: Iterable[object]) -> str:
    """The end of an error sentence: the closest of the choices if one is close, all of them otherwise."""
    names = [str(choice) for choice in choices]
    close = get_close_matches(str(value), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    if not names:
        return "there is nothing to choose from."
    more = ", ..." if len(names) > SHOWN else ""
    return f"choose one of {', '.join(names[:SHOWN])}{more}."
