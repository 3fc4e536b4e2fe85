"""The five verbs from Python give what the workflow gives, for files and models without a study."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Callable
from contextlib import chdir
from itertools import takewhile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from pruning_regimes import api, calibration, cli, tables
from pruning_regimes.api import entries
from pruning_regimes.demo import datasets
from pruning_regimes.jobs.errors import ConfigError, DataError, ModelError
from pruning_regimes.measurement import similarity, similarity_tables
from pruning_regimes.models import decoder, identity, loading
from tests.checkpoints.test_checkpoints import request
from tests.conftest import entry
from tests.helpers import ROOT, families
from tests.helpers.own_files import DOMAINS, Drawn, questions, scores

DEMO = ROOT / "workflow" / "resources" / "demo-llava"
BLOCKS = "blocks.parquet"


@pytest.fixture
def only_tables(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No model is run. Gives the ids of the first sample of each measurement."""
    drawn = Drawn()
    monkeypatch.setattr(similarity, "measure", drawn)
    return drawn.measured


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A file of questions per domain."""
    return {domain: questions(tmp_path, domain, 6) for domain in DOMAINS}


# inspect


def test_a_model_is_inspected_without_its_weights(tmp_path: Path) -> None:
    shutil.copytree(DEMO, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors", "SHA256SUMS"))
    found = api.inspect(tmp_path / "model")
    whole = loading.load(entry(DEMO)).model
    assert found.n_parameters == sum(weight.numel() for weight in whole.parameters())
    assert found.layers["parameters"].sum() + found.parts["parameters"][1:].sum() == found.n_parameters
    assert found.parts["part"][0] == f"{found.decoder_path} (the decoder layers)"
    tower = sum(weight.numel() for weight in whole.model.vision_tower.parameters())
    assert dict(found.parts.select("part", "parameters").rows())["model.vision_tower"] == tower
    layer = decoder.find_decoder(whole).layers[3]
    assert found.layers["parameters"][3] == sum(weight.numel() for weight in layer.parameters())
    assert found.layers["share"].sum() == pytest.approx(found.parts["share"][0]) and found.takes_images
    assert (found.n_layers, found.hidden_size, found.protected) == (12, 128, {})
    assert "12 layers (0 to 11)" in str(found) and "213,248  0.0640" in str(found)


def test_protected_layers_come_with_the_reason(tmp_path: Path) -> None:
    families.build("qwen3_vl").config.save_pretrained(tmp_path)
    found = api.inspect(tmp_path)
    assert found.protected == decoder.protected(families.build("qwen3_vl")) != {}
    assert found.layers.filter(pl.col("protected").is_null()).height == found.n_layers - len(found.protected)
    with pytest.raises(ConfigError, match=r"^remove: layer 0 has to stay: .*visual features.*\.$"):
        api.export(tmp_path, [0, 5], tmp_path / "copy")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("demo-lava",), r"^models\.demo-lava\.path: 'demo-lava' is no model directory .*did you mean '\S*demo-llava'"),
        (
            (DEMO, {"decoder_path": "model.layers"}),
            "decoder_path 'model.layers' is no list of modules; there are model",
        ),
        (("a/b", {"trust_remote_code": True}), r"^models\.b\.revision: 'main' is no commit"),
    ],
)
def test_a_model_that_is_none_is_refused(
    arguments: tuple[Any, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(DEMO.parent)
    path, options = (*arguments, {})[:2]
    path = f"./{path}" if path == "demo-lava" else path
    with pytest.raises((ConfigError, ModelError), match=sentence.replace("'demo-lava'", "'./demo-lava'")):
        api.inspect(path, **options)


# similarity


def test_similarities_are_those_of_the_workflow(files: dict[str, Path], tmp_path: Path) -> None:
    profile = api.similarity(DEMO, files, tmp_path / "out", dtype="float32", threads=1, batch_size=4)
    loaded = loading.load(entry(DEMO))
    for domain, file in files.items():
        about = {"source": "custom", "path": str(file), "schema": "qa", "samples": 6}
        expected = similarity.measure(loaded, calibration.load(domain, about, 0), 4)
        for path, name, table in zip(
            similarity_tables.paths(tmp_path / "out", domain), ("similarity", "blocks"), expected, strict=True
        ):
            assert tables.read(path, name).equals(table)
            assert str(tmp_path) not in json.dumps(tables.provenance(path))
    assert profile.equals(tables.read(tmp_path / "out" / "profile.parquet", "profile"))
    one = profile.filter(domain="math", token_group="all", layer=3)
    rows = tables.read(tmp_path / "out" / "math.parquet", "similarity").filter(token_group="all", layer=3)
    assert one["cosine"][0] == pytest.approx(rows["cosine"].mean()) and one["n_samples"][0] == 6
    row = tables.read(tmp_path / "out" / "decoder.parquet", "decoder").row(0, named=True)
    assert (row["model_id"], row["revision"]) == identity.identity(str(DEMO), "main") and row["n_layers"] == 12


def test_what_is_there_is_kept_and_a_domain_is_added(
    files: dict[str, Path], tmp_path: Path, only_tables: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    out = tmp_path / "out"
    api.similarity(DEMO, {"math": files["math"]}, out)
    before = (out / "math.parquet").read_bytes()
    profile = api.similarity(DEMO, files, out)
    assert [name.split("-")[0] for name in only_tables] == ["math", "general"]
    assert "math: measured already, from the same samples" in caplog.text
    assert (out / "math.parquet").read_bytes() == before and set(profile["domain"]) == {"math", "general"}
    (out / f"math.{BLOCKS}").unlink()  # of a run that was killed
    api.similarity(DEMO, files, out)
    assert len(only_tables) == 3


def test_tables_of_other_samples_or_models_are_not_overwritten(
    files: dict[str, Path], tmp_path: Path, only_tables: list[str]
) -> None:
    out = tmp_path / "out"
    api.similarity(DEMO, {"math": files["math"]}, out)
    with pytest.raises(ConfigError, match=r"^domains\.math: '.*math.parquet' is of other samples; name another folder"):
        api.similarity(DEMO, {"math": files["math"]}, out, samples=3)
    profile = api.similarity(DEMO, {"math": files["math"]}, out, samples=3, force=True)
    assert profile["n_samples"].unique().to_list() == [3] and len(only_tables) == 2
    for change in ({"model": DEMO.with_name("demo-idefics3")}, {"dtype": "float32"}):
        with pytest.raises(ConfigError, match="holds tables of demo-llava [0-9a-f]{12} auto; name another folder"):
            api.similarity(**{"model": DEMO, "domains": {"math": files["math"]}, "out": out, "force": True} | change)
    (out / "decoder.parquet").unlink()
    with pytest.raises(ConfigError, match="holds other tables; name another folder"):
        api.similarity(DEMO, {"math": files["math"]}, out)


def test_a_calibration_table_keeps_its_samples(tmp_path: Path, only_tables: list[str]) -> None:
    table = datasets.calibration_table(["chart"], 5, 0)
    tables.write(table, "calibration", tmp_path / "math.parquet", {})
    api.similarity(DEMO, {"math": tmp_path / "math.parquet"}, tmp_path / "out")
    found = tables.read(tmp_path / "out" / "math.parquet", "similarity")
    assert set(found["sample_id"]) == set(table["sample_id"])


def llava(path: Path) -> None:
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "That."}]
    path.write_text(json.dumps([{"image": "x.png", "conversations": turns}] * 3))


def cauldron(path: Path) -> None:
    rows = {"images": [[b"x"]] * 200, "texts": [[{"user": "What?", "assistant": "That."}]] * 200}
    pl.DataFrame(rows).write_parquet(path)


@pytest.mark.parametrize(("name", "write", "n"), [("a.json", llava, 3), ("a.parquet", cauldron, 128)])
def test_the_schema_of_a_file_is_told_by_its_columns(
    tmp_path: Path, name: str, write: Callable[[Path], None], n: int
) -> None:
    write(tmp_path / name)
    found = entries.domains({"mine": tmp_path / name})
    expected = {"source": "custom", "path": str(tmp_path / name), "schema": write.__name__, "samples": n}
    assert found["mine"] == expected


def test_known_sets_and_config_entries_are_domains_too(tmp_path: Path) -> None:
    found = entries.domains({"math": "geo170k", "other": {"source": "demo", "benchmarks": ["chart"]}}, samples=7)
    assert found["math"] == {"source": "public", "datasets": ["geo170k"], "samples": 7}
    assert found["other"] == {"source": "demo", "benchmarks": ["chart"], "samples": 7}


@pytest.mark.parametrize(
    ("domains", "sentence"),
    [
        ({"math": "geo170"}, r"^domains\.math\.path: 'geo170' is neither a file nor .*; did you mean 'geo170k'\?$"),
        (
            {"math": "math.jsn"},
            r"'math.jsn' is neither a file nor a known calibration set; did you mean '.*math.jsonl'",
        ),
        ({"profile": "math.jsonl"}, r"the key 'profile' is taken by the summary of all domains"),
        ({"decoder": "math.jsonl"}, r"the key 'decoder' is taken by the decoder table"),
        ({"a b": "math.jsonl"}, r"the key 'a b' may hold only letters"),
        ({"math": "empty.jsonl"}, r"^domains\.math\.path: 'empty.jsonl' holds no rows\.$"),
        ({"math": {"source": "dmo"}}, r"'dmo' is not a valid choice; did you mean 'demo'"),
        ({}, r"^domains: at least one entry is needed\.$"),
    ],
)
def test_domains_that_are_none_are_refused(
    domains: dict[str, Any], sentence: str, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.jsonl").write_text("")
    with pytest.raises((ConfigError, DataError), match=sentence):
        api.similarity(DEMO, domains, "out")
    assert not Path("out").exists()


def test_more_samples_than_there_are_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^domains\.math\.samples: 7 samples are asked for, but math holds 6"):
        api.similarity(DEMO, {"math": files["math"]}, tmp_path / "out", samples=7)


# export


@pytest.mark.usefixtures("in_process")
def test_a_model_without_named_layers_is_exported(files: dict[str, Path], tmp_path: Path) -> None:
    found = api.export(DEMO, [5, 4], tmp_path / "copy", domains={"math": files["math"]}, threads=1)
    assert (found.path, found.removed, found.n_samples) == (tmp_path / "copy", (4, 5), 4)
    copy = loading.load(entry(found.path))
    assert decoder.find_decoder(copy.model).n_layers == 10
    assert sum(weight.numel() for weight in copy.model.parameters()) == found.n_parameters
    card = (found.path / "README.md").read_text()
    assert "| removed layers (numbered from 0 in the original) | 4, 5 |" in card
    assert "| chosen by | hand, not by a criterion |" in card and str(tmp_path) not in card
    assert "| checked with | math: 6 samples of custom (math.jsonl) |" in card
    with pytest.raises(ModelError, match="exists already; remove it or name another directory"):
        api.export(DEMO, [5, 4], tmp_path / "copy")


@pytest.mark.usefixtures("in_process")
def test_a_language_model_is_checked_with_text(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(DEMO)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    tokenizer.save_pretrained(tmp_path / "text")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=2,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "text")
    seen = api.inspect(tmp_path / "text")
    assert not seen.takes_images and "model.embed_tokens" in seen.parts["part"].to_list()
    assert "lm_head" not in seen.parts["part"].to_list()  # it is the embedding, and counts once
    found = api.export(tmp_path / "text", [1], tmp_path / "copy", dtype="float32", threads=1)
    assert found.n_samples == 4 and found.n_parameters_before == seen.n_parameters
    assert found.n_parameters_before - found.n_parameters == seen.layers["parameters"][1]
    assert "generated: 4 samples of demo (chart, attributes)" in (tmp_path / "copy" / "README.md").read_text()


@pytest.mark.parametrize(
    ("remove", "sentence"),
    [
        ([], "^remove: between 1 and 11 of the 12 decoder layers have to be named"),
        (range(12), "^remove: between 1 and 11"),
        ([12], r"^remove: 12 is no decoder layer; the model has layers 0 to 11\.$"),
        ([-1], "^remove: -1 is no decoder layer"),
    ],
)
def test_layers_that_cannot_go_are_named(remove: list[int], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=sentence):
        api.export(DEMO, remove, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.usefixtures("in_process")
def test_a_variant_of_a_study_is_exported(tmp_path: Path) -> None:
    request(DEMO, tmp_path / "results")  # writes the tables of a study with the criterion `last` at budget 3
    domain = {"source": "demo", "benchmarks": ["chart"], "samples": 6}
    study = {
        "models": {"tiny": {"path": str(DEMO), "dtype": "float32"}},
        "domains": {"math": domain, "general": domain},
        "criteria": {"last": {}},
        "budgets": [3],
        "benchmarks": {"chart": {"source": "demo", "group": "math"}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study))
    line = ["export", "tiny", "--criterion", "last", "--budget", "3", "--configfile", "mine.yaml", "--threads", "1"]
    with chdir(tmp_path):
        assert cli.main(line) == 0
    card = (tmp_path / "results" / "checkpoints" / "tiny" / "last" / "3" / "README.md").read_text()
    assert "| removed layers (numbered from 0 in the original) | 9, 10, 11 |" in card
    assert "| criterion | `last`: " in card and "math: 6 samples of demo (chart)" in card


# README


def readme_example() -> str:
    """The example of Python in the README's section."""
    section = (ROOT / "README.md").read_text().split("## Without a study\n")[1].split("\n## ")[0]
    lines = section[section.index("    from pruning_regimes") :].splitlines()
    return textwrap.dedent("\n".join(takewhile(lambda line: not line or line.startswith("    "), lines))).strip()


@pytest.mark.usefixtures("in_process")
def test_the_example_of_the_readme_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "threads", lambda wanted: 1)  # tests run side by side, one per core
    example = readme_example()
    assert len(example.splitlines()) <= 10
    for domain in DOMAINS:
        questions(tmp_path, domain, 4)
    scores(tmp_path, "a", 0.9)
    scores(tmp_path, "b", 0.5)
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    with chdir(tmp_path):
        exec(compile(example, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert said.startswith("{}\nA: a.csv") and "p = " in said
    assert (tmp_path / "without-two-layers" / "verification.json").is_file()
