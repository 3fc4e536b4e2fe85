"""Questions about the demo images: all that can be asked of a content, with their answers.

Tasks belong to benchmarks, benchmarks to a group (math or general). The auxiliary tasks (`transcribe`, `height`, `row`,
`column`, `relation`) only help the training; no benchmark asks them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

from pruning_regimes.demo.scenes import (
    COLOURS,
    GRID,
    MAX_BAR,
    SHAPES,
    Chart,
    Content,
    Glyphs,
    Objects,
    evaluate,
    sample_chart,
    sample_expression,
    sample_letters,
    sample_objects,
)

# Cells beside the middle of the image, and what they are called: where a thing is, seen from the middle.
SIDES = {1: "above", 3: "left", 5: "right", 7: "below"}
PLURAL = {shape: f"{shape}s" if shape != "cross" else "crosses" for shape in SHAPES}

# benchmark -> (group, tasks, sampler of the content)
BENCHMARKS = {
    "counting": ("math", ("count", "compare"), sample_objects),
    "arithmetic": ("math", ("one_step", "two_step"), sample_expression),
    "chart": ("math", ("sum", "difference", "maximum"), sample_chart),
    "attributes": ("general", ("colour", "shape"), sample_objects),
    "relations": ("general", ("existence", "position"), sample_objects),
    "reading": ("general", ("word", "letter"), sample_letters),
}


@dataclass(frozen=True)
class Question:
    """A question in the demo language; `choices` is the closed set of answers where there is one."""

    task: str
    text: str
    answer: str
    choices: tuple[str, ...] | None = None


def questions(content: Content) -> list[Question]:
    """Every question that has exactly one right answer for this content."""
    if isinstance(content, Objects):
        return _object_questions(content)
    if isinstance(content, Chart):
        return _chart_questions(content)
    return _glyph_questions(content)


def pick(asked: list[Question], task: str, rng: np.random.Generator) -> Question | None:
    """One question of a task, with the answers made equally likely first; None if the content allows none."""
    by_answer: dict[str, list[Question]] = defaultdict(list)
    for question in asked:
        if question.task == task:
            by_answer[question.answer].append(question)
    if not by_answer:
        return None
    answer = sorted(by_answer)[int(rng.integers(len(by_answer)))]
    return by_answer[answer][int(rng.integers(len(by_answer[answer])))]


def _object_questions(content: Objects) -> list[Question]:
    present = content.present
    counts = {c: sum(colour == c for _, colour, _ in present) for c in COLOURS}
    counts |= {s: sum(shape == s for _, _, shape in present) for s in SHAPES}
    numbers = tuple("01234")
    out = [Question("count", f"how many {c} objects ?", str(counts[c]), numbers) for c in COLOURS]
    out += [Question("count", f"how many {PLURAL[s]} ?", str(counts[s]), numbers) for s in SHAPES]
    for names, noun in ((tuple(COLOURS), str), (SHAPES, PLURAL.get)):
        for a, b in permutations(names, 2):
            if counts[a] or counts[b]:
                more = "same" if counts[a] == counts[b] else noun(a if counts[a] > counts[b] else b)
                out.append(Question("compare", f"more {noun(a)} or {noun(b)} ?", more, (noun(a), noun(b), "same")))
    for _, colour, shape in present:
        if counts[shape] == 1:
            out.append(Question("colour", f"what colour is the {shape} ?", colour, tuple(COLOURS)))
        if counts[colour] == 1:
            out.append(Question("shape", f"what shape is the {colour} object ?", shape, SHAPES))
    kinds = [(colour, shape) for _, colour, shape in present]
    for colour in COLOURS:
        for shape in SHAPES:
            there = "yes" if (colour, shape) in kinds else "no"
            # An absent pair is asked for only where its colour or shape is there: the question must be looked up.
            if there == "yes" or counts[colour] or counts[shape]:
                out.append(Question("existence", f"is there a {colour} {shape} ?", there, ("yes", "no")))
    for cell, colour, shape in present:
        if kinds.count((colour, shape)) == 1:
            row, column = divmod(cell, GRID)
            out.append(Question("row", f"row of the {colour} {shape} ?", str(row + 1)))
            out.append(Question("column", f"column of the {colour} {shape} ?", str(column + 1)))
            if cell in SIDES:
                out.append(Question("position", f"where is the {colour} {shape} ?", SIDES[cell], tuple(SIDES.values())))
    for (cell_a, *a), (cell_b, *b) in permutations(present, 2):
        if kinds.count(tuple(a)) > 1 or kinds.count(tuple(b)) > 1:
            continue
        (row_a, column_a), (row_b, column_b) = divmod(cell_a, GRID), divmod(cell_b, GRID)
        if row_a == row_b:
            where = "left" if column_a < column_b else "right"
        elif column_a == column_b:
            where = "above" if row_a < row_b else "below"
        else:
            continue
        text = f"where is the {a[0]} {a[1]} from the {b[0]} {b[1]} ?"
        out.append(Question("relation", text, where, tuple(SIDES.values())))
    out.append(Question("transcribe", "describe", " ".join(f"{c} {s}" for _, c, s in present)))
    return out


def _chart_questions(content: Chart) -> list[Question]:
    bars = list(zip(content.colours, content.heights, strict=True))
    sums, differences, heights = (
        tuple(str(n) for n in numbers) for numbers in (range(2, 2 * MAX_BAR + 1), range(MAX_BAR), range(1, MAX_BAR + 1))
    )
    out = [Question("height", f"height of {colour} ?", str(height)) for colour, height in bars]
    for (a, x), (b, y) in permutations(bars, 2):
        out.append(Question("sum", f"sum of {a} and {b} ?", str(x + y), sums))
    for (a, x), (b, y) in combinations(bars, 2):
        out.append(Question("difference", f"difference of {a} and {b} ?", str(abs(x - y)), differences))
    out.append(Question("maximum", "highest bar ?", str(max(content.heights)), heights))
    out.append(Question("transcribe", "describe", " ".join(f"{c} {h}" for c, h in bars)))
    return out


def _glyph_questions(content: Glyphs) -> list[Question]:
    if content.kind == "expression":
        task = "one_step" if len(content.text) == 3 else "two_step"
        return [
            Question(task, "result ?", str(evaluate(content.text))),
            Question("transcribe", "describe", " ".join(content.text)),
        ]
    return [Question(content.kind, f"which {content.kind} ?", content.text)]
