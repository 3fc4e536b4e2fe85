"""What every rule in clean mode is given of a response: its final answer, where it marks one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pruning_regimes.scoring.final import echoes, final_plain, refuses, stated, without_reasoning
from pruning_regimes.scoring.text import bounded
from pruning_regimes.scoring.verdict import NOTHING, Question, Rule, Verdict

BY_OPTION = "option text"  # "It cannot be determined" may be one of the options


def reading(rule: Rule) -> Rule:
    """The rule, given the final answer of a response, or what a reader sees of it."""
    return _reading(rule, final_plain)


def reading_whole(rule: Rule) -> Rule:
    """The same for a rule that compares the whole text: given what follows "the answer is" and its kin alone."""
    return _reading(rule, stated)


def reading_all(rule: Rule) -> Rule:
    """The rule, given all that a reader sees of a response."""
    return _reading(rule, lambda text: (text, None))


def _reading(rule: Rule, find: Callable[[str], tuple[str, str | None]]) -> Rule:
    def read(response: str, question: Question) -> Verdict:
        # The reasoning goes first: it may be longer than what is read.
        seen = bounded(without_reasoning(response))
        text, method = find(seen)
        verdict = rule(text, question)
        if method is not None and verdict.method == "whole":
            verdict = replace(verdict, method=method)
        # What refuses or repeats the question answers nothing, whatever numbers and words stand in it.
        silent = refuses(seen) and verdict.method != BY_OPTION
        asked = echoes(seen, str(question.metadata.get("question", "")))
        return NOTHING if silent or asked else verdict

    return read
