"""Errors that a user can act on: one sentence with the key or file, what was expected, and the nearest valid choice."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 12  # choices that a sentence lists at most
LONGEST = 80  # characters of a value that a sentence quotes at most


class StudyError(Exception):
    """Base of all errors that are the input's fault rather than the program's."""

    def __init__(self, sentence: str) -> None:
        # Names come from others: what would break the line, or steer a terminal, is shown as an escape.
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in sentence))


class ConfigError(StudyError):
    """The config does not describe a study that can be run."""


class DataError(StudyError):
    """A table or data set does not keep its contract."""


class ModelError(StudyError):
    """A model cannot be loaded, or its decoder layers cannot be found or removed."""


def brief(value: object) -> str:
    """A value as a sentence quotes it: its beginning, if it is very long."""
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


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
