"""What the statistics cost at the size of a large study: time and memory of one job, its tables included."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from pruning_regimes import tables
from pruning_regimes.models.identity import variant_id
from pruning_regimes.tables.contracts import DENSE, DENSE_BUDGET
from tests.helpers import ROOT
from tests.speed.table import row

MODELS, BENCHMARKS, QUESTIONS, N_LAYERS = 2, 12, 1000, 32
BUDGETS = (1, 2, 4, 6, 8, 10, 13, 16)
# Ten of one layer set each, one of three replicates, one control.
CRITERIA = {**{f"ranking{i}": 1 for i in range(6)}, "draws": 3, **{f"structure{i}": 1 for i in range(4)}, "random": 3}
STATISTICS = {"resamples": 2000, "confidence": 0.95, "margin": 0.05, "keep": 0.9}
# The job's own work in a process of its own, which tells the most memory that it held.
JOB = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
import regimes as script
options = json.loads(sys.stdin.read())
begun = time.perf_counter()
script.main(**options)
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def rows(repeats: int, questions: int = QUESTIONS) -> list[dict[str, object]]:
    """Seconds and memory of the job that makes all tables of `regimes`."""
    with TemporaryDirectory() as directory:
        options = study(Path(directory), questions)
        found = [measure(options) for _ in range(repeats)]
    sizes = f"{len(CRITERIA)} criteria, {len(BUDGETS)} budgets, {BENCHMARKS} benchmarks of {questions}"
    subject = f"{MODELS} models, {sizes}"
    times, memory = zip(*found, strict=True)
    return [
        row("statistics: time", subject, times, None, note="2000 resamples and permutations; at most 60 s"),
        row("statistics: memory", subject, memory, None, unit="GB", note="of the whole process; at most 2 GB"),
    ]


def measure(options: dict[str, Any]) -> tuple[float, float]:
    """Seconds and gigabytes of one run."""
    command = [sys.executable, "-c", JOB, str(ROOT / "scripts")]
    done = subprocess.run(command, input=json.dumps(options), capture_output=True, text=True, check=True)
    seconds, kilobytes = map(float, done.stdout.split())
    return seconds, kilobytes * 1024 / 1e9


def study(directory: Path, questions: int) -> dict[str, Any]:
    """Variants and scores of a made-up study; returns the options of the job."""
    rng, models = np.random.default_rng(0), [f"model{number}" for number in range(MODELS)]
    groups = {f"benchmark{number}": ("math", "general")[number % 2] for number in range(BENCHMARKS)}
    variants, scores = [], []
    for model in models:
        table = _variants(model, rng)
        variants.append(str(directory / f"{model}.parquet"))
        tables.write(table, "variants", variants[-1], {})
        distinct = table.unique("variant_id", maintain_order=True)
        rates = 0.9 - 0.6 * distinct["n_removed"].to_numpy() / N_LAYERS + 0.05 * rng.standard_normal(len(distinct))
        for benchmark in groups:
            difficulty = rng.standard_normal(questions) * 0.15
            right = rng.random((len(distinct), questions)) < rates[:, None] + difficulty
            scores.append(str(directory / f"{model}.{benchmark}.parquet"))
            tables.write(_scores(distinct["variant_id"], right), "scores", scores[-1], {})
    kinds = {name: "structure" if "structure" in name else "ranking" for name in CRITERIA}
    return {
        "models": models,
        "groups": groups,
        "families": {**kinds, "random": "control"},
        "own": {"ranking0": ["math", ""], "ranking1": ["general", ""]},
        "variants": variants,
        "scores": scores,
        "statistics": STATISTICS,
        "seed": 0,
        "outputs": {
            name: str(directory / f"out.{name}.parquet")
            for name in ("retention", "sensitivity", "advantage", "domain_effect", "segments", "recommendation")
        },
    }


def _variants(model: str, rng: np.random.Generator) -> pl.DataFrame:
    cells = [(DENSE, 0, DENSE_BUDGET, frozenset())]
    for criterion, replicates in CRITERIA.items():
        for replicate in range(replicates):
            order = rng.permutation(N_LAYERS).tolist()
            cells += [(criterion, replicate, str(budget), frozenset(order[:budget])) for budget in BUDGETS]
    rows = []
    for criterion, replicate, budget, removed in cells:
        kept = [layer for layer in range(N_LAYERS) if layer not in removed]
        names = {"criterion": criterion, "replicate": replicate, "budget": budget, "n_removed": len(removed)}
        rows.append({**names, "removed": sorted(removed), "kept": kept, "variant_id": variant_id(model, "", kept)})
    return tables.frame("variants", rows)


def _scores(variants: pl.Series, right: np.ndarray) -> pl.DataFrame:
    n_variants, n_questions = right.shape
    names = pl.Series([f"question{number:05}" for number in range(n_questions)])
    at = np.tile(np.arange(n_questions), n_variants)
    return pl.DataFrame(
        {
            "variant_id": variants.gather(np.repeat(np.arange(n_variants), n_questions)),
            "sample_id": names.gather(at),
            "cluster": names.gather(at),  # that none share an image takes the longest
            "category": "all",
            "chance": 0.25,
            "extracted": "a",
            "method": "letter",
            "score": right.ravel().astype(float),
        }
    ).with_columns(error=pl.lit(None, pl.String))
