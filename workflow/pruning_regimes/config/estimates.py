"""What a study will download, and about how long it will take: said before it begins.

The figures are for planning. What they assume stands in the constants; how long a GPU really takes depends on the
images' sizes, on the answers' lengths, and on how much the variants share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pruning_regimes.benchmarks import registry as known
from pruning_regimes.calibration import registry as sets
from pruning_regimes.config.study import is_hub_id
from pruning_regimes.criteria import registry
from pruning_regimes.models.budgets import n_removed

# A parameter count as hub ids have it: the 2B of Qwen3-VL-2B-Instruct.
BILLIONS = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)B(?![\w.])", re.IGNORECASE)
BYTES = 2  # of a parameter, in bfloat16
PROMPT_TOKENS = 1000  # of a question with one image
# A GPU of the H100 class: what it reaches of its bfloat16 peak at prefill, and reads of its memory at decoding.
FLOPS, BANDWIDTH, BATCH = 4e14, 2e12, 32
ANSWER_SHARE = 0.5  # tokens of an answer, of its limit
SHARED = 0.4  # time of a model's variants together, of each alone
LAYERS = 32  # of a model whose config is not read yet
HALF = 0.5  # of the layers that a set shares with those beside it in a search over sets
BACKWARD = 3  # a forward and a backward pass, of a forward pass


def lines(config: Mapping[str, Any]) -> list[str]:
    """What is to download from the hub and about how many GPU hours each model takes, a line each; none if neither.

    Args:
        config: a complete config.
    """
    found = []
    for key, entry in _hub_models(config):
        billions = n_billions(entry["path"])
        size = f"about {billions * BYTES:.0f} GB" if billions else "size unknown"
        found.append(f"models.{key}: {entry['path']} at {entry['revision']}, {size}")
    found += [_said("domains", *item) for item in _domains(config)] + [
        _said("benchmarks", *item) for item in _benchmarks(config)
    ]
    if not found:
        return []
    return ["Downloaded where the hub's cache does not hold it yet:", *found, *_hours(config)]


def n_billions(path: str) -> float | None:
    """Parameters of a model in billions, as its id states them; None if it does not."""
    stated = BILLIONS.search(path.rpartition("/")[2].replace("_", "-"))
    return float(stated[1]) if stated else None


def gpu_hours(billions: float, n_variants: int, questions: Mapping[str, tuple[int, int]]) -> float:
    """About how many GPU hours all variants of a model take to answer benchmarks.

    Args:
        billions: parameters.
        questions: benchmark -> (questions, limit of new tokens).
    """
    parameters, seconds = billions * 1e9, 0.0
    for n_questions, max_new_tokens in questions.values():
        prefill = 2 * parameters * PROMPT_TOKENS / FLOPS
        decode = ANSWER_SHARE * max_new_tokens * parameters * BYTES / BANDWIDTH / BATCH
        seconds += n_questions * (prefill * SHARED + decode)
    return seconds * n_variants / 3600


def calibration_passes(criteria: Mapping[str, Mapping[str, Any]], budgets: Sequence[float]) -> float:
    """About how many forward passes each calibration sample takes: similarity, and what criteria need besides.

    Args:
        criteria: complete entries.
    """
    needs = [registry.get(entry["kind"]).needs for entry in criteria.values()]
    n_steps = max(n_removed(budget, LAYERS) for budget in budgets)
    passes = {
        "leave_one_out": HALF * LAYERS,
        "greedy": HALF * sum(LAYERS - step for step in range(n_steps)),
        "importance": BACKWARD,
    }
    return 1 + ("windows" in needs) + sum(passes.get(need, 0) for need in needs)


def calibration_hours(billions: float, n_samples: int, passes: float) -> float:
    """About how many GPU hours a model takes for its calibration samples."""
    return n_samples * passes * 2 * billions * 1e9 * PROMPT_TOKENS / FLOPS / 3600


def _hub_models(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, entry in config["models"].items():
        if is_hub_id(entry["path"]) and not Path(entry["path"]).exists():
            yield key, entry


def _said(section: str, key: str, about: Mapping[str, Any], revision: str | None) -> str:
    source = about["sources"][0]
    config = "" if source.get("config", "default") == "default" else f"{source['config']}, "
    where = f"{source['id']} ({config}{source['split']}) at {revision or source['revision']}"
    return f"{section}.{key}: {where}, about {about['size_mb']} MB, {about['licence']}"


def _domains(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str | None]]:
    for key, entry in config["domains"].items():
        if entry["source"] == "public" and "path" not in entry:
            for dataset in entry["datasets"]:
                yield key, sets.entry(dataset), entry.get("revision")


def _benchmarks(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str | None]]:
    for key, entry in config["benchmarks"].items():
        if entry["source"] == "public" and "path" not in entry and known.entry(entry["benchmark"])["sources"]:
            yield key, known.entry(entry["benchmark"]), entry.get("revision")


def _hours(config: Mapping[str, Any]) -> list[str]:
    counted = {}
    for key, entry in config["benchmarks"].items():
        # How many questions the user's own files hold is not known before they are read.
        rows = known.entry(entry["benchmark"])["rows"] if entry["source"] == "public" else 0
        counted[key] = (entry.get("samples", rows), entry["max_new_tokens"])
    replicates = sum(entry.get("replicates", 1) for entry in config["criteria"].values())
    n_variants = 1 + replicates * len(config["budgets"])
    n_samples = sum(entry["samples"] for entry in config["domains"].values())
    passes = calibration_passes(config["criteria"], config["budgets"])
    found = []
    for key, entry in _hub_models(config):
        billions = n_billions(entry["path"])
        if billions:
            answers = gpu_hours(billions, n_variants, counted)
            calibration = calibration_hours(billions, n_samples, passes)
            what = f"{sum(n for n, _ in counted.values())} questions x {n_variants} variants"
            found.append(
                f"models.{key}: about {max(answers, 0.1):.1f} GPU hours (H100) for {what}, and "
                f"{max(calibration, 0.1):.1f} for {n_samples} calibration samples x {passes:.0f} passes"
            )
    return found
