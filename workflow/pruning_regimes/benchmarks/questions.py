"""From a raw row of a known benchmark to a row of the benchmark table."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from string import ascii_uppercase
from typing import Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from pruning_regimes.benchmarks import sources
from pruning_regimes.jobs.errors import DataError

ENVIRONMENT = SandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
# How data sets say that an option is not there.
ABSENT = (None, "", "nan")
# Marks of images within raw questions: with a number, they say where it stands; without, that it comes first.
NUMBERED, BARE = re.compile(r"<image ?(\d+)>"), re.compile(r"<image>\s*")


@lru_cache
def template(text: str) -> jinja2.Template:
    """A compiled prompt or expression."""
    return ENVIRONMENT.from_string(text)


def adapted(about: Mapping[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The row as the benchmark's adapter gives it, if it has one."""
    if "adapter" not in about:
        return row
    return import_module(f"pruning_regimes.benchmarks.adapters.{about['adapter']}").convert(row)


def category(about: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """A question's category; all have the same if the benchmark names no column for it."""
    column = about["columns"].get("category")
    value = sources.field(row, column) if column else None
    return str(value) if value not in ABSENT else "all"


def question(about: Mapping[str, Any], row: Mapping[str, Any], name: str, prompt: str) -> dict[str, Any]:
    """A row of the benchmark table.

    Args:
        about: the benchmark's entry.
        row: a raw row in full, adapted.
        name: its sample_id.
        prompt: the preset.

    Raises: DataError if the row lacks its question or its answer, or the answer is none of the options.
    """
    columns, at = about["columns"], f"{about['title']}, question '{name}'"
    raw = sources.field(row, columns["question"])
    if not isinstance(raw, str):
        raise DataError(f"{at}: the column '{columns['question']}' holds no text.")
    images = list(sources.images(row, columns["images"]))
    raw = _marked(raw, len(images))
    options = [_marked(option, len(images)) for option in _options(row, columns.get("choices"))]
    hint = sources.field(row, columns["hint"]) if "hint" in columns else None
    told = {
        "question": raw,
        "options": options,
        "lettered": "\n".join(f"{letter}. {option}" for letter, option in zip(ascii_uppercase, options, strict=False)),
        "hint": hint if hint not in ABSENT else "",
        "row": row,
    }
    kind = template(about["answer_type"]).render(told)
    given = sources.field(row, columns["answer"])
    if given is None or given == []:
        raise DataError(f"{at}: the column '{columns['answer']}' is empty.")
    answers = _answers(about["answer_is"], given, options, at)
    kept = {path.rpartition(".")[2]: sources.field(row, path) for path in about["keep"]}
    try:
        asked = template(about["prompts"][prompt]).render(told)
    except jinja2.UndefinedError as error:
        raise DataError(f"{at}: its prompt '{prompt}' needs what the data set does not have: {error}.") from error
    return {
        "sample_id": name,
        "question": _marked(asked, len(images)),
        "images": images,
        "choices": options or None,
        "answers": answers,
        "answer_type": kind,
        "category": category(about, row),
        "chance": chance(kind, options, len(answers)),
        "metadata": json.dumps({**kept, "question": raw}, default=str, ensure_ascii=False),
    }


def chance(kind: str, options: Sequence[str], n_right: int = 1) -> float:
    """Expected score of a blind guess: one of the options, of which some are right, of yes and no; 0 for open ones."""
    if kind.startswith("yesno"):
        return 0.5
    return n_right / len(options) if options else 0.0


def _marked(text: str, n_images: int) -> str:
    """The text with marks of images as `<image k>`; marks without an image of that number are left out."""
    marks = NUMBERED.sub(lambda found: f"<image {int(found[1])}>" if 0 < int(found[1]) <= n_images else "", text)
    return BARE.sub("", marks)


def _options(row: Mapping[str, Any], columns: str | Sequence[str] | None) -> list[str]:
    if columns is None:
        return []
    if isinstance(columns, str):
        return [str(option) for option in sources.field(row, columns) or ()]
    found = [sources.field(row, column) for column in columns]
    return [str(option) for option in found if option not in ABSENT]


def _answers(kind: str, given: Any, options: Sequence[str], at: str) -> list[str]:
    if kind == "list":
        return [str(answer) for answer in given]
    if kind == "index":
        number = int(given)
        if not 0 <= number < len(options):
            raise DataError(f"{at}: the answer is option {number}, but there are {len(options)}.")
        return [ascii_uppercase[number]]
    text = str(given).strip()
    if kind == "letter":
        text = text.strip("().: ").upper()
        if options and text not in ascii_uppercase[: len(options)]:
            raise DataError(f"{at}: the answer '{given}' is no letter of its {len(options)} options.")
    return [text]
