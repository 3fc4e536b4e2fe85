"""A study with every kind of criterion, one of a user's own among them: what runs, what it needs, what runs again."""

from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pruning_regimes import api, tables
from pruning_regimes.criteria import registry
from pruning_regimes.tables.contracts import DENSE
from tests.helpers.studies import STUDY, computed_answers, planned, snakemake

OWN = '''"""Criteria of a user."""

from pruning_regimes.criteria import Order, Study, by_score, criterion


@criterion(
    "small_update",
    family="ranking",
    parameters={"domain": {"type": "string", "names": "domains", "description": "Domain that counts."}},
)
def small_update(study: Study, domain: str) -> Order:
    """The layers whose update is the smallest part of their input go first."""
    return by_score(-study.similarity(domain, "relative_update"), study.candidates)
'''
CRITERIA: dict[str, Any] = {
    "math_aware": {},
    "non_math_aware": {},
    "mixed": {},
    "contrast": {"domain": "math", "against": "general"},
    "block_influence": {},
    "perplexity": {"domains": ["math"]},
    "sleb": {},
    "taylor": {"domains": ["general"]},
    "random": {"replicates": 2},
    "contiguous": {},
    "interlace": {},
    "spaced": {"of": "sleb"},
    "apart": {"kind": "spaced", "of": "small_update", "gap": 3},
    "uniform": {},
    "last": {"keep_last": True},
    "first_middle": {"position": "first"},
    "small_update": {"domain": "math"},
}
pytestmark = pytest.mark.slow  # each criterion is tested by itself in tests/criteria, and a study with five of them
MEASURING = {"similarity", "windows", "losses", "importance"}


@pytest.fixture(scope="module")
def study(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A finished study of one model and one benchmark, and its config; its similarities were there already."""
    directory = tmp_path_factory.mktemp("criteria") / "copy"
    subprocess.run(["cp", "-a", str(finished), str(directory)], check=True)
    (directory / "own.py").write_text(OWN)
    config = copy.deepcopy(STUDY)
    del config["benchmarks"]["attributes"]
    config |= {"criteria": copy.deepcopy(CRITERIA), "criteria_path": "own.py", "budgets": [1, 3]}
    config["stability"] = {"resamples": 20}
    snakemake(directory, config)
    return directory, config


def test_every_criterion_has_a_layer_list_for_every_budget(study: tuple[Path, dict[str, Any]]) -> None:
    directory, _ = study
    results = directory / "results"
    variants = tables.read(results / "variants" / "demo-llava.parquet", "variants").filter(pl.col("criterion") != DENSE)
    assert set(variants["criterion"]) == set(CRITERIA)
    assert (variants["removed"].list.len() == variants["n_removed"]).all() and set(variants["n_removed"]) == {1, 3}
    families = tables.provenance(results / "regimes" / "segments.parquet")["families"]
    assert (
        families["random"] == "control" and families["small_update"] == "ranking" and families["apart"] == "structure"
    )
    stability = tables.read(results / "stability" / "demo-llava.parquet", "stability")
    unsampled = {"sleb", "spaced", "taylor", "random", "uniform", "last", "first_middle"}
    assert set(stability["criterion"]) == set(CRITERIA) - unsampled
    losses = tables.read(results / "losses" / "demo-llava" / "perplexity.parquet", "losses")
    assert set(losses["domain"]) == {"math"} and losses["removed"].n_unique() == 13
    assert not (results / "losses" / "demo-llava" / "spaced.parquet").exists()  # it uses those of sleb


def test_the_command_ranks_as_the_workflow_does(
    study: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The user's criterion is registered for this test alone.
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    monkeypatch.setattr(registry, "_USERS", {})
    directory, config = study
    results = directory / "results"
    without = {"perplexity", "sleb", "taylor", "spaced"}  # they need losses or gradients
    some = {key: value for key, value in config["criteria"].items() if key not in without}
    found = api.rank(
        results / "similarity" / "demo-llava",
        some,
        config["budgets"],
        seed=config["seed"],
        criteria_path=directory / "own.py",
    )
    variants = tables.read(results / "variants" / "demo-llava.parquet", "variants")
    expected = variants.filter(pl.col("criterion").is_in(list(some)))
    key = ["criterion", "replicate", "budget"]
    both = found.join(expected, on=key, how="full", suffix="_workflow")
    assert len(both) == len(found) == len(expected) and "interlace" in set(found["criterion"])
    assert all(sorted(ours) == sorted(theirs) for ours, theirs in both.select("removed", "removed_workflow").rows())


def test_trying_another_criterion_measures_nothing_again(study: tuple[Path, dict[str, Any]]) -> None:
    directory, config = study
    config = copy.deepcopy(config)
    config["criteria"]["text"] = {"kind": "domain", "weights": {"math": 1}, "token_group": "text", "combine": "rank"}
    jobs = planned(directory, config)
    assert jobs["ranking"] == 1 and not MEASURING & jobs.keys()


def test_a_larger_budget_goes_on_with_the_greedy_search(study: tuple[Path, dict[str, Any]]) -> None:
    directory, config = study
    jobs = planned(directory, {**config, "budgets": [1, 3, 4]})
    assert jobs["losses"] == 1 and "windows" not in jobs and "importance" not in jobs and "similarity" not in jobs


def test_an_edited_file_of_criteria_concerns_its_criteria_only(study: tuple[Path, dict[str, Any]]) -> None:
    directory, config = study
    file = directory / "own.py"
    file.write_text(OWN.replace("-study.similarity", "+study.similarity"))
    assert planned(directory, config)["ranking"] == 2  # small_update, and apart, which walks it
    before = computed_answers(directory)
    snakemake(directory, config, "results/regimes/retention.parquet")
    layers = tables.read(directory / "results" / "ranking" / "demo-llava" / "small_update.parquet", "layers")
    first = layers.filter(pl.col("order") == 0, pl.col("budget") == "1").row(0, named=True)
    assert first["score"] == layers["score"].max() > 0
    assert computed_answers(directory) != before
    file.write_text("raise RuntimeError('half an edit')")
    done = snakemake(directory, config, check=False)
    assert "criteria_path: 'own.py' fails on line 1 with RuntimeError: half an edit." in done.stderr
    assert "Traceback" not in done.stderr


def test_only_what_a_criterion_needs_is_measured(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    _, config = study
    config = {key: value for key, value in config.items() if key != "criteria_path"}
    few = {**config, "criteria": {"math_aware": {}, "random": {}}}
    assert MEASURING & planned(tmp_path, few).keys() == {"similarity"}
    spaced = {**config, "criteria": {"sleb": {}, "spaced": {"of": "sleb"}, "interlace": {}}}
    jobs = planned(tmp_path, spaced)
    assert (jobs["losses"], jobs["windows"], jobs["ranking"]) == (1, 2, 3)
