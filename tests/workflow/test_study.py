"""End-to-end runs of the workflow on the demo models: results, reruns, interruption, errors."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from pruning_regimes import tables
from pruning_regimes.tables import contracts
from tests.helpers import ROOT
from tests.helpers.hub_server import COMMIT, serving
from tests.helpers.studies import CONFIG, FIGURES, STUDY, command, computed_answers, planned, snakemake


def test_a_study_ends_with_figures_and_tables_that_keep_their_contracts(study: Path) -> None:
    results = study / "results"
    for figure in FIGURES:
        assert (results / "figures" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
        assert (results / "figures" / f"{figure}.pdf").read_bytes().startswith(b"%PDF")
    retention = tables.read(results / "regimes" / "retention.parquet", "retention")
    cells = retention.filter(pl.col("benchmark").is_null(), pl.col("criterion") != contracts.DENSE)
    # 2 groups x 6 criteria x 2 budgets
    assert len(cells) == 24
    assert set(cells.filter(pl.col("budget") == "0.5")["n_removed"]) == {6}
    for model in STUDY["models"]:
        assert model in (results / "tables" / "summary.md").read_text()
        similarity = tables.read(results / "similarity" / model / "math.parquet", "similarity")
        assert similarity["sample_id"].n_unique() == 8
        latency = tables.read(results / "latency" / f"{model}.parquet", "latency")
        variants = tables.read(results / "variants" / f"{model}.parquet", "variants")
        assert set(latency["variant_id"]) == set(variants["variant_id"])
        assert set(latency.select("cost_class", "n_removed").rows()) == set(
            enumerate(sorted(set(variants["n_removed"])))
        )
    costs = pl.read_csv(results / "tables" / "cost.csv")
    assert len(costs) == 1 + 6 * 2 and (costs["speed_up"] > 0).all()
    assert not tables.read(results / "regimes" / "pareto.parquet", "pareto").filter("on_frontier", "control").height
    provenance = tables.provenance(results / "predictions" / "demo-llava" / "chart" / "1.parquet")
    assert provenance["package_version"] and provenance["libraries"]["torch"]


def test_each_rule_has_run(study: Path) -> None:
    text = "".join(file.read_text() for file in (ROOT / "workflow" / "rules").glob("*.smk"))
    declared = set(re.findall(r"^ *rule (\w+):$", text, re.M)) - {"everything"}
    logs = "".join(file.read_text() for file in (study / ".snakemake" / "log").glob("*.log"))
    ran = {re.sub(r"_\d+$", "", name) for name in re.findall(r"^(?:local)?rule (\w+):$", logs, re.M)}
    # An export and a judge have to be asked for: below, and in test_judge.
    assert declared - ran <= {"checkpoint", "judgements"}


@pytest.mark.slow
def test_another_model_concerns_that_model_only(study: Path, tmp_path: Path) -> None:
    directory = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(study), str(directory)], check=True)
    config = {**STUDY, "models": CONFIG["models"]}
    jobs = planned(directory, config)
    once = ("decoder", "predictions", "latency", "variants", "importance")
    assert {name: jobs[name] for name in once} == {**dict.fromkeys(once, 1), "predictions": 2}
    assert jobs["similarity"] == 2 and "calibration" not in jobs and "benchmark" not in jobs
    config["criteria"] = CONFIG["criteria"]
    snakemake(directory, config)
    results = directory / "results"
    retention = tables.read(results / "regimes" / "retention.parquet", "retention")
    cells = retention.filter(pl.col("benchmark").is_null(), pl.col("criterion") != contracts.DENSE)
    # 2 models x 2 groups x 3 criteria x 2 budgets
    assert len(cells) == 24
    assert set(cells.filter(pl.col("budget") == "0.5")["n_removed"]) == {6, 7}
    costs = pl.read_csv(results / "tables" / "cost.csv")
    assert len(costs) == 2 * (1 + 3 * 2) and (costs["speed_up"] > 0).all()
    for model in CONFIG["models"]:
        assert model in (results / "tables" / "summary.md").read_text()
        similarity = tables.read(results / "similarity" / model / "math.parquet", "similarity")
        assert similarity["sample_id"].n_unique() == 8
        variants = tables.read(results / "variants" / f"{model}.parquet", "variants")
        scores = tables.read(results / "scores" / model / "chart.parquet", "scores")
        assert set(scores["variant_id"]) == set(variants["variant_id"])
        assert len(scores) == 16 * variants["variant_id"].n_unique()
    assert planned(directory, config) == {}


@pytest.mark.slow
def test_protected_layers_stay(study: Path, tmp_path: Path) -> None:
    directory = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(study), str(directory)], check=True)
    config = copy.deepcopy(STUDY)
    config["models"]["demo-llava"]["protected"] = [0, -1]
    snakemake(directory, config, "results/variants/demo-llava.parquet")
    found = tables.read(directory / "results" / "models" / "demo-llava.parquet", "decoder").row(0, named=True)
    assert (found["n_layers"], found["hidden_size"], found["protected"]) == (12, 128, [])
    assert found["decoder_path"] == "model.language_model.layers" and found["layer_classes"] == ["LlamaDecoderLayer"]
    variants = tables.read(directory / "results" / "variants" / "demo-llava.parquet", "variants")
    assert not variants["removed"].explode().is_in([0, 11]).any()
    assert variants.filter(pl.col("criterion") == "last", pl.col("budget") == "1")["removed"].to_list() == [[10]]


def test_a_checkpoint_of_a_finished_study_is_checked_and_tells_its_retention(study: Path) -> None:
    target = "results/checkpoints/demo-llava/math_aware/0.5"
    snakemake(study, STUDY, target)
    assert json.loads((study / target / "verification.json").read_text())["logits_bit_identical"] == 8
    card = (study / target / "README.md").read_text()
    retention = tables.read(study / "results" / "regimes" / "retention.parquet", "retention")
    cell = (pl.col("model") == "demo-llava", pl.col("criterion") == "math_aware", pl.col("budget") == "0.5")
    row = retention.filter(*cell, pl.col("benchmark") == "chart").row(0, named=True)
    assert f"| math | chart | 16 | {row['dense_accuracy']:.3f} | {row['accuracy']:.3f} |" in card
    assert "95% interval" in card
    done = snakemake(study, STUDY, target, "--dry-run")
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.slow
def test_a_model_of_the_hub_is_pinned_to_the_commit_of_its_branch(tmp_path: Path) -> None:
    config = copy.deepcopy(STUDY)
    config["models"] = {"hub-model": {"path": "owner/model", "dtype": "float32"}}
    config["criteria"] = {"math_aware": STUDY["criteria"]["math_aware"]}
    del config["domains"]["general"], config["benchmarks"]["attributes"]
    with serving(ROOT / "workflow" / "resources" / "demo-llava") as hub:
        environment = hub.environment(tmp_path / "home")
        config["budgets"] = [1, 12]
        done = snakemake(tmp_path, config, check=False, **environment)
        assert "budgets: 12 removes 12 of the 12 decoder layers of models.hub-model" in done.stderr
        assert not (tmp_path / "results").exists() and hub.downloaded == ["config.json"]
        config["budgets"] = [1]
        snakemake(tmp_path, config, "results/variants/hub-model.parquet", **environment)
    found = tables.read(tmp_path / "results" / "models" / "hub-model.parquet", "decoder").row(0, named=True)
    assert (found["model_id"], found["revision"]) == ("owner/model", COMMIT)
    # Without the hub, from the cache, and with what a job loads pinned to that commit.
    environment["HF_HUB_OFFLINE"] = "1"
    snakemake(tmp_path, config, "results/predictions/hub-model/chart/1.parquet", **environment)
    predictions = tmp_path / "results" / "predictions" / "hub-model" / "chart" / "1.parquet"
    assert tables.provenance(predictions)["model"]["revision"] == COMMIT


def test_every_variant_answers_every_question_and_equal_layer_sets_only_once(study: Path) -> None:
    for model in STUDY["models"]:
        variants = tables.read(study / "results" / "variants" / f"{model}.parquet", "variants")
        scores = tables.read(study / "results" / "scores" / model / "chart.parquet", "scores")
        assert set(scores["variant_id"]) == set(variants["variant_id"])
        assert len(scores) == 16 * variants["variant_id"].n_unique()


def test_a_finished_study_has_nothing_left_to_do(study: Path) -> None:
    assert planned(study, STUDY) == {}


MODULE = """
import yaml

module regimes:
    snakefile: {snakefile!r}
    config: yaml.safe_load(open("study.yaml"))

use rule * from regimes as study_*

use rule similarity from regimes as study_similarity with:
    resources: mem_mb=1000

rule mine:
    default_target: True
    input: rules.study_all.input
"""


@pytest.mark.slow
def test_the_workflow_is_the_same_as_a_module_and_where_the_catalog_looks(study: Path) -> None:
    (study / "module.smk").write_text(MODULE.format(snakefile=str(ROOT / "Snakefile")))
    for snakefile in (str(ROOT / "workflow" / "Snakefile"), str(study / "module.smk")):
        done = snakemake(study, STUDY, "--dry-run", "--snakefile", snakefile)
        assert "Nothing to be done" in done.stdout + done.stderr, snakefile
        fresh = snakemake(study, STUDY, "--dry-run", "--forceall", "--quiet", "reason", "--snakefile", snakefile)
        assert re.search(r"^(study_)?predictions +2$", fresh.stdout + fresh.stderr, re.M), snakefile


@pytest.mark.slow
def test_the_recommended_command_names_the_whole_config(study: Path, tmp_path: Path) -> None:
    directory = tmp_path / "copy"
    shutil.copytree(study, directory)
    file = directory / "my studies" / "one.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(STUDY))
    page = "results/tables/recommendation.md"
    fixed = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory), "--cores", "2"]
    stated = ["--configfile", str(file), "--config", "contamination=warn", "--until", "summary", "--", page]
    subprocess.run([sys.executable, "-m", "snakemake", *fixed, *stated], check=True, capture_output=True)
    said = re.findall(r"^    snakemake (.+)results/checkpoints/", (directory / page).read_text(), re.M)
    assert set(said) == {"--configfile 'my studies/one.yaml' --config contamination=warn --cores 8 "}


@pytest.mark.slow
def test_a_file_of_the_user_may_be_in_the_home_folder(tmp_path: Path) -> None:
    config = copy.deepcopy(STUDY)
    path = tmp_path / "questions.jsonl"
    path.write_text('{"question": "Which?", "choices": ["a", "b"], "answers": ["A"], "images": []}\n')
    config["benchmarks"]["own"] = {"source": "custom", "path": "~/questions.jsonl", "group": "math"}
    done = snakemake(tmp_path, config, "results/benchmarks/own.parquet", "--dry-run", HOME=str(tmp_path))
    assert f"input: {path}" in done.stdout + done.stderr


def test_a_figure_style_redraws_that_figure_only(study: Path) -> None:
    config = copy.deepcopy(STUDY)
    config["figures"] = {"regimes": {"width": 5.0}}
    assert planned(study, config) == {"figure_regimes": 1, "all": 1, "total": 2}


@pytest.mark.slow
def test_the_order_of_keys_and_the_batch_size_change_nothing(study: Path) -> None:
    config = copy.deepcopy(STUDY)
    path = config["models"]["demo-llava"].pop("path")
    config["models"]["demo-llava"].update(batch_size=4, path=path)
    assert planned(study, config) == {}


@pytest.mark.slow
def test_how_many_budgets_share_a_job_changes_nothing_that_is_there(study: Path) -> None:
    config = copy.deepcopy(STUDY)
    config["evaluation"] = {"budgets_per_job": 2}
    assert planned(study, config) == {}
    config["budgets"] = [1, 0.5, 3]
    jobs = planned(study, config)
    assert jobs["predictions_1"] == 2 and "similarity" not in jobs


@pytest.mark.slow
def test_benchmarks_that_share_a_job_are_answered_as_alone(study: Path, tmp_path: Path) -> None:
    directory = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(study), str(directory)], check=True)
    config = copy.deepcopy(STUDY)
    config["evaluation"] = {"benchmarks_per_job": len(config["benchmarks"])}
    files = sorted((directory / "results" / "predictions").rglob("*.parquet"))
    alone = [tables.read(file, "predictions") for file in files]
    for kept in (True, False):
        shutil.rmtree(directory / "results" / "logs" / "predictions")
        if not kept:
            shutil.rmtree(directory / "results" / "predictions")
        snakemake(directory, config, "--forcerun", "predictions", "--until", "predictions")
        assert (computed_answers(directory) == 0) == kept
        assert all(tables.read(file, "predictions").equals(table) for file, table in zip(files, alone, strict=True))
    (log,) = (directory / "results" / "logs" / "predictions").rglob("*.log")
    assert log.read_text().count("answers computed") == len(config["benchmarks"])


def test_a_benchmarks_size_concerns_that_benchmark_only(study: Path) -> None:
    config = copy.deepcopy(STUDY)
    config["benchmarks"]["chart"]["samples"] = 12
    jobs = planned(study, config)
    assert jobs["benchmark"] == 1 and jobs["predictions"] == 1 and jobs["scores"] == 1
    assert "similarity" not in jobs and "ranking" not in jobs


@pytest.mark.slow
def test_a_benchmarks_group_concerns_the_statistics_only(study: Path) -> None:
    config = copy.deepcopy(STUDY)
    config["benchmarks"]["chart"]["group"] = "charts"
    drawn = {"figure_regimes": 1, "figure_domain_effect": 1, "figure_pareto": 1}
    told = {"pareto": 1, "summary": 1, "provenance": 1, "page": 4}
    assert planned(study, config) == {"regimes": 1, **told, **drawn, "all": 1, "total": 12}


@pytest.mark.slow
def test_the_recommended_command_exports_that_checkpoint(study: Path, tmp_path: Path) -> None:
    directory = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(study), str(directory)], check=True)
    # Another test of this study may have exported the very checkpoint that is recommended.
    shutil.rmtree(directory / "results" / "checkpoints", ignore_errors=True)
    page = "results/tables/recommendation.md"
    snakemake(directory, {**STUDY, "statistics": {"resamples": 200, "keep": 0.01}}, page)
    said = re.findall(r"^    snakemake (--configfile study.yaml --cores 8 .+)$", (directory / page).read_text(), re.M)
    options = shlex.split(said[0])
    fixed = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory), "--dry-run"]
    options[1] = str(directory / options[1])
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *fixed, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and re.search(r"^checkpoint +1$", done.stdout + done.stderr, re.M), done.stderr


@pytest.mark.slow
def test_settings_of_the_latency_concern_the_time_only(study: Path) -> None:
    config = copy.deepcopy(STUDY)
    config["latency"]["new_tokens"] = 3
    jobs = {"latency": 1, "pareto": 1, "summary": 1, "provenance": 1, "page": 4, "figure_pareto": 1, "all": 1}
    assert planned(study, config) == {**jobs, "total": 10}


@pytest.mark.slow
@pytest.mark.parametrize(("gpus", "threads"), [(0, 3), (1, 1)])
def test_nothing_runs_beside_a_job_that_measures_time_on_the_cpu(gpus: int, threads: int, tmp_path: Path) -> None:
    config = copy.deepcopy(STUDY)
    config["models"]["demo-llava"]["gpus"] = gpus
    target = "results/latency/demo-llava.parquet"
    done = snakemake(tmp_path, config, target, "--dry-run", "--cores", "3")
    (said,) = re.findall(r"^rule latency:\n(.*?)\n\n", done.stdout + done.stderr, re.M | re.S)
    assert int((re.findall(r"threads: (\d+)", said) or [1])[0]) == threads


def test_settings_of_the_statistics_concern_the_statistics_only(study: Path) -> None:
    config = copy.deepcopy(STUDY)
    config["statistics"]["margin"] = 0.1
    assert set(planned(study, config)) == {
        "regimes", "pareto", "summary", "provenance", "page", "figure_regimes", "figure_domain_effect",
        "figure_pareto", "all", "total",
    }  # fmt: skip
    config = {**STUDY, "stability": {"overlap": 0.8}}
    assert set(planned(study, config)) == {"summary", "provenance", "page", "all", "total"}


def test_a_key_that_stands_twice_is_refused(study: Path) -> None:
    arguments = command(study, STUDY, "--dry-run")
    with (study / "study.yaml").open("a") as file:
        file.write("seed: 2\n")
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "the key 'seed' stands on line 1 and again on line" in done.stdout + done.stderr


@pytest.mark.slow
def test_a_new_criterion_computes_only_the_answers_of_its_new_variants(study: Path, tmp_path: Path) -> None:
    directory = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(study), str(directory)], check=True)
    config = copy.deepcopy(STUDY)
    config["criteria"]["uniform"] = {"kind": "uniform"}
    before = {
        model: set(tables.read(study / "results" / "variants" / f"{model}.parquet", "variants")["variant_id"])
        for model in STUDY["models"]
    }
    snakemake(directory, config, "results/regimes/retention.parquet")
    new = 0
    for model, known in before.items():
        after = tables.read(directory / "results" / "variants" / f"{model}.parquet", "variants")
        new += len(set(after["variant_id"]) - known)
    assert new > 0
    assert computed_answers(directory) == new * 2 * 16


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_answers(study: Path, tmp_path: Path) -> None:
    directory = tmp_path / "killed"
    # A job per budget, while the other study has one for all: who shares a job does not change an answer.
    config = {**STUDY, "criteria": CONFIG["criteria"], "evaluation": {"budgets_per_job": 1}}
    target = "results/regimes/retention.parquet"
    process = subprocess.Popen(
        command(directory, config, target),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    predictions, tables_of = directory / "results" / "predictions", "demo-llava/*/[0-9]*.parquet"
    deadline = time.monotonic() + 120
    while len(list(predictions.glob(tables_of))) < 4 and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in predictions.glob(tables_of)}
    assert len(kept) >= 4
    snakemake(directory, config, "--unlock")
    snakemake(directory, config, "--rerun-incomplete", target)
    assert sum(path.stat().st_mtime_ns == before for path, before in kept.items()) >= len(kept) - 2
    for path in (study / "results" / "predictions").glob(tables_of):
        found = tables.read(directory / path.relative_to(study), "predictions").sort("variant_id", "sample_id")
        # The other study has more criteria.
        expected = tables.read(path, "predictions").sort("variant_id", "sample_id")
        assert len(found) and found.equals(expected.filter(pl.col("variant_id").is_in(found["variant_id"].implode())))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.update(budget=[1]), "budget: unknown key in the config; did you mean 'budgets'?"),
        (lambda c: c["budgets"].append(13), "budgets: 13 removes 13 of the 12 decoder layers of models.demo-llava"),
        (
            lambda c: c["models"]["demo-llava"].update(path=str(ROOT / "workflow/resources/demo-lava")),
            "models.demo-llava.path: ",
        ),
        (lambda c: c["criteria"]["last"].update(kind="lats"), "criteria.last.kind: unknown criterion 'lats'; did you"),
    ],
)
def test_a_bad_config_gets_one_sentence_before_any_job(change: Any, sentence: str, tmp_path: Path) -> None:
    config = copy.deepcopy(STUDY)
    change(config)
    done = snakemake(tmp_path, config, check=False)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_job_that_fails_says_why_in_one_sentence_and_loses_nothing(study: Path, tmp_path: Path) -> None:
    directory = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(study), str(directory)], check=True)
    damaged = directory / "results" / "similarity" / "demo-llava" / "math.blocks.parquet"
    damaged.write_bytes(b"no table")
    done = snakemake(directory, STUDY, "--forcerun", "ranking", "--until", "ranking", check=False)
    assert done.returncode != 0
    assert "math.blocks.parquet cannot be read as a Parquet table" in done.stderr
    assert (directory / "results" / "predictions" / "demo-llava" / "chart" / "1.parquet").is_file()


def test_the_report_holds_every_figure(study: Path) -> None:
    snakemake(study, STUDY, "--report", "report.html")
    report = (study / "report.html").read_text()
    for name in FIGURES:
        assert f"figures/{name}.html" in report


def test_one_figure_can_be_asked_for(study: Path, tmp_path: Path) -> None:
    done = snakemake(tmp_path, STUDY, "results/figures/similarity.png", "--dry-run", "--quiet", "reason")
    jobs = done.stdout + done.stderr
    assert re.search(r"^similarity +2$", jobs, re.M) and not re.search(r"^predictions", jobs, re.M)
