"""Write the demo's benchmarks and calibration domains in the study's standard tables."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from PIL import Image

from pruning_regimes.demo.questions import BENCHMARKS, Question, pick, questions
from pruning_regimes.demo.scenes import draw
from pruning_regimes.demo.seeds import generator
from pruning_regimes.tables import frame


@dataclass(frozen=True)
class Sample:
    """One image and one question about it."""

    image: bytes
    question: Question


def samples(benchmark: str, rng: np.random.Generator) -> Iterator[Sample]:
    """Endless samples of a benchmark: its tasks in turn, the answers of closed questions in turn as well."""
    _, tasks, sample_content = BENCHMARKS[benchmark]
    asked = 0
    turns = {task: 0 for task in tasks}
    while True:
        task = tasks[asked % len(tasks)]
        while True:
            content = sample_content(rng)
            question = pick(questions(content), task, rng)
            if question is None:
                continue
            if question.choices is None or question.answer == question.choices[turns[task] % len(question.choices)]:
                break
        asked += 1
        turns[task] += 1
        yield Sample(_png(draw(content, rng)), question)


def benchmark_table(benchmark: str, n_samples: int, seed: int) -> pl.DataFrame:
    """`n_samples` questions of a demo benchmark, each about an image of its own, as the benchmark table.

    Chance is 0 for open answers (results of arithmetic, words, letters), the best guess at which is seldom right.
    """
    source = samples(benchmark, generator("benchmark", seed, list(BENCHMARKS).index(benchmark)))
    rows = []
    for index in range(n_samples):
        sample = next(source)
        question = sample.question
        rows.append(
            {
                "sample_id": f"{benchmark}-{index:05d}",
                "question": question.text,
                "images": [sample.image],
                "choices": list(question.choices) if question.choices else None,
                "answers": [question.answer],
                "answer_type": "integer" if question.answer.isdigit() else "exact",
                "category": question.task,
                "chance": 1 / len(question.choices) if question.choices else 0.0,
                "metadata": json.dumps({"generator": "demo", "seed": seed}),
            }
        )
    return frame("benchmark", rows)


def calibration_table(benchmarks: Sequence[str], n_samples: int, seed: int) -> pl.DataFrame:
    """`n_samples` questions drawn from demo benchmarks in turn, as the calibration table; no benchmark holds them."""
    keys = [list(BENCHMARKS).index(benchmark) for benchmark in benchmarks]
    sources = [
        samples(benchmark, generator("calibration", seed, key)) for benchmark, key in zip(benchmarks, keys, strict=True)
    ]
    rows = []
    for index in range(n_samples):
        sample = next(sources[index % len(sources)])
        benchmark = benchmarks[index % len(sources)]
        rows.append(
            {
                "sample_id": f"{benchmark}-{index:05d}",
                "question": sample.question.text,
                "images": [sample.image],
                "answer": sample.question.answer,
                "source": f"demo/{benchmark}",
            }
        )
    return frame("calibration", rows)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
