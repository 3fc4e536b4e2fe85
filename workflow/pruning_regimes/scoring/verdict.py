"""What a scoring rule takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pruning_regimes.tables.contracts import UNPARSED


@dataclass(frozen=True)
class Question:
    """What a rule may know of a question. answers: any of them is right; choices: option texts, none for open ones."""

    answers: Sequence[str]
    choices: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """extracted: the answer that was read, None if there is none; score: 0 to 1; method: how it was read."""

    extracted: str | None
    score: float
    method: str


NOTHING = Verdict(None, 0.0, UNPARSED)

Rule = Callable[[str, Question], Verdict]


@dataclass(frozen=True)
class AnswerType:
    """The rules for one kind of answer.

    clean: ours. upstream: as the benchmark's or a harness's own scorer has it, its known faults included; the same
    as `clean` where none is known. check: raises DataError for a question that cannot be scored; its first argument
    names the question.
    """

    clean: Rule
    upstream: Rule
    check: Callable[[str, Question], None]
