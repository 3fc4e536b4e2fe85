"""The README's config of one's own model, domain and benchmark: short, and it runs."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from pruning_regimes import tables
from pruning_regimes.demo import datasets
from tests.helpers import ROOT, miniatures
from tests.helpers.studies import STUDY, snakemake

README = (ROOT / "README.md").read_text()
SNIPPETS = {match[1]: match[2] for match in re.finditer(r"\*\*A (\w+)\*\*[^`]*?```yaml\n(.*?)```", README, re.S)}


def snippet(name: str) -> dict[str, Any]:
    return yaml.safe_load(SNIPPETS[name])


def example(file: str) -> dict[str, Any]:
    """The line of a file that the README shows."""
    return json.loads(re.search(rf"where a line of `{file}` is\s+`(.*?)`", README, re.S)[1])


@pytest.fixture
def directory(finished: Path, tmp_path: Path) -> Path:
    """A finished study, and the README's data files."""
    directory = tmp_path / "study"
    subprocess.run(["cp", "-a", str(finished), str(directory)], check=True)
    (directory / "data").mkdir()
    for name, image in zip(("1.png", "2.png"), datasets.benchmark_table("chart", 2, 0)["images"], strict=True):
        (directory / "data" / name).write_bytes(image[0])
    for file, n in (("charts.jsonl", 128), ("questions.jsonl", 20)):
        (directory / "data" / file).write_text(f"{json.dumps(example(file))}\n" * n)
    return directory


@pytest.fixture
def study() -> dict[str, Any]:
    """A smaller study, of which most is there."""
    return {**copy.deepcopy(STUDY), "criteria": {"last": {}}, "budgets": [1]}


def test_each_takes_less_than_15_lines() -> None:
    assert SNIPPETS.keys() == {"model", "domain", "benchmark"}
    assert all(len(text.splitlines()) < 15 for text in SNIPPETS.values())


@pytest.mark.slow
def test_a_model_of_ones_own(study: dict[str, Any], directory: Path) -> None:
    study |= snippet("model")
    done = snakemake(directory, study, "--dry-run")
    assert "Qwen/Qwen2.5-VL-3B-Instruct" in done.stdout + done.stderr
    # The same keys, with a directory for the hub's id and without a GPU.
    study["models"]["mine"] |= {"path": str(ROOT / "workflow" / "resources" / "demo-llava"), "gpus": 0}
    snakemake(directory, study, "results/scores/mine/chart.parquet")
    assert len(tables.read(directory / "results" / "scores" / "mine" / "chart.parquet", "scores")) == 2 * 16


@pytest.mark.slow
def test_a_domain_of_ones_own(study: dict[str, Any], directory: Path) -> None:
    study |= snippet("domain")
    snakemake(directory, study, "--dry-run")
    del study["domains"]["math"]  # is downloaded
    profile = "results/similarity/demo-llava/profile.parquet"
    snakemake(directory, study, profile)
    assert tables.read(directory / profile, "profile")["domain"].unique().to_list() == ["charts"]


@pytest.mark.slow
def test_a_benchmark_of_ones_own(study: dict[str, Any], directory: Path) -> None:
    study |= snippet("benchmark")
    miniatures.write("mathvista", directory / "mathvista", 8)
    study["benchmarks"]["mathvista"] |= {"path": str(directory / "mathvista"), "samples": 8}
    targets = [f"results/scores/demo-llava/{name}.parquet" for name in ("mathvista", "mine")]
    snakemake(directory, study, *targets)
    found = tables.read(directory / targets[1], "scores")
    assert len(found) == 2 * 20 and found["chance"].unique().to_list() == [0.5]
    assert set(found.filter(pl.col("method") == "error")["sample_id"]) == set()
