"""The shipped studies: what they announce, and the paper's whole flow on a tiny model and miniature benchmarks."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from pruning_regimes import tables
from pruning_regimes.benchmarks import registry
from pruning_regimes.config import estimates
from pruning_regimes.demo import models as demo_models
from tests.helpers import ROOT, miniatures
from tests.helpers.studies import planned, snakemake

N = 12
# Of either group; several images, groups of questions, upstream's own files. All are in benchmarks/test_known.py.
SOME = ("mathvista", "wemath", "geoqa", "chartqa", "mmmu", "mme", "textvqa")
STUDIES = ("paper", "smoke", "beyond")


def shipped(study: str) -> dict[str, Any]:
    """A study of the folder config/."""
    return yaml.safe_load((ROOT / "config" / f"{study}.yaml").read_text())


@pytest.mark.parametrize("study", STUDIES)
def test_a_dry_run_needs_no_network_and_tells_what_is_to_come(study: str, tmp_path: Path) -> None:
    file = ROOT / "config" / f"{study}.yaml"
    fixed = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path), "--configfile", str(file)]
    done = subprocess.run([sys.executable, "-m", "snakemake", "--dry-run", *fixed], capture_output=True, text=True)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told[-2000:]
    config = shipped(study)
    for key, entry in config["models"].items():
        assert f"models.{key}: {entry['path']} at main, about " in told
        assert f"models.{key}: about " in told.split(f"models.{key}: {entry['path']}")[1]
    for key in config["benchmarks"]:
        source = registry.entry(key)["sources"][0]
        assert f"benchmarks.{key}: {source['id']} (" in told
    assert "demo-llava" not in told


def test_the_small_study_is_the_papers_with_few_samples() -> None:
    paper, smoke = shipped("paper"), shipped("smoke")
    for study in (paper, smoke):
        for entry in [*study["domains"].values(), *study["benchmarks"].values()]:
            assert entry.pop("samples") <= (20 if study is smoke else 2**31)
        for entry in study["models"].values():
            del entry["batch_size"]
    assert paper == smoke


@pytest.mark.parametrize(
    ("path", "billions"),
    [
        ("Qwen/Qwen3-VL-2B-Instruct", 2),
        ("llava-hf/llava-1.5-7b-hf", 7),
        ("HuggingFaceTB/SmolVLM-0.5B", 0.5),
        ("google/paligemma2", None),
    ],
)
def test_the_size_of_a_model_is_read_from_its_id(path: str, billions: float | None) -> None:
    assert estimates.n_billions(path) == billions


def test_another_entry_or_adapter_has_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(registry.ENTRIES.parent, tmp_path / "benchmarks")
    monkeypatch.setattr(registry, "ENTRIES", tmp_path / "benchmarks" / "entries")
    before = registry.digest("mmmu"), registry.digest("pope")
    for file in ("adapters/mmmu.py", "entries/pope.yaml"):
        path = tmp_path / "benchmarks" / file
        path.write_text(path.read_text() + "# changed")
    assert registry.digest("mmmu") != before[0] and registry.digest("pope") != before[1]
    assert registry.digest("mme") == registry.digest("mme")


def test_calibration_takes_what_its_criteria_need() -> None:
    alone, layers = {"math_aware": {"kind": "domain"}}, estimates.LAYERS
    assert estimates.calibration_passes(alone, [0.25]) == 1
    assert estimates.calibration_passes({**alone, "a": {"kind": "interlace"}, "b": {"kind": "interlace"}}, [0.25]) == 2
    one_round = estimates.calibration_passes({"sleb": {"kind": "sleb"}}, [1])
    assert one_round == estimates.calibration_passes({"p": {"kind": "perplexity"}}, [1]) == 1 + layers / 2
    assert estimates.calibration_passes({"sleb": {"kind": "sleb"}}, [1, 0.25]) > 5 * one_round
    assert estimates.calibration_hours(4, 100, 10) == pytest.approx(4 * estimates.calibration_hours(2, 50, 10))


def test_gpu_hours_grow_with_variants_and_questions() -> None:
    one = estimates.gpu_hours(2, 10, {"a": (100, 16)})
    assert 0 < one < estimates.gpu_hours(2, 10, {"a": (100, 512)})
    assert estimates.gpu_hours(2, 20, {"a": (100, 16)}) == pytest.approx(2 * one)
    assert estimates.gpu_hours(2, 10, {"a": (100, 16), "b": (100, 16)}) == pytest.approx(2 * one)


@pytest.mark.slow
def test_the_papers_flow_on_miniature_benchmarks(tmp_path: Path) -> None:
    model, processor = demo_models.build("idefics3", seed=3)
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    config = copy.deepcopy(shipped("paper"))
    config["models"] = {"tiny": {"path": "model", "dtype": "float32"}}
    config["budgets"] = [1, 0.4]
    # One of each need; all of them run in test_criteria.
    some = ("math_aware", "sleb", "taylor", "interlace", "random")
    config["criteria"] = {key: config["criteria"][key] for key in some}
    for domain in config["domains"].values():
        domain |= {"samples": 6, "path": "sets"}
        for name in domain["datasets"]:
            miniatures.write_set(name, tmp_path / "sets" / name, 8)
    config["benchmarks"] = {}
    for name in SOME:
        miniatures.write(name, tmp_path / name, N)
        config["benchmarks"][name] = {"source": "public", "path": name, "max_new_tokens": 4}
    config["statistics"] = {"resamples": 200}
    config["latency"] = {"questions": 1, "repeats": 1, "new_tokens": 2}
    # The miniatures of calibration sets and benchmarks show the same pictures.
    refused = snakemake(tmp_path, config, "results/tables/contamination.csv", check=False)
    assert "Calibration and evaluation share data: " in refused.stderr
    snakemake(tmp_path, config | {"contamination": "warn"})
    results = tmp_path / "results"
    metrics = pl.read_csv(results / "tables" / "metrics.csv", infer_schema_length=None)
    for name in SOME:
        scores = tables.read(results / "scores" / "tiny" / f"{name}.parquet", "scores")
        assert scores["error"].null_count() == len(scores), name
        of_benchmark = set(metrics.filter(pl.col("benchmark") == name)["metric"])
        assert {"accuracy", "unparsed_rate", "constant_answer", "shuffled_answer"} <= of_benchmark
    assert (results / "figures" / "regimes.png").is_file()
    # What is known of a benchmark is part of what its questions are made from.
    config["benchmarks"]["textvqa"]["prompt"] = "lmms-eval"
    again = planned(tmp_path, config | {"contamination": "warn"})
    assert (again["benchmark"], again["predictions"]) == (1, 1)
