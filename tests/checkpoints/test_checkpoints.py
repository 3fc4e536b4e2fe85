"""An exported checkpoint is the pruned model, complete, and loads like any other; a failed export leaves nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from pruning_regimes import cli, tables
from pruning_regimes.checkpoints import export, writing
from pruning_regimes.criteria import layer_list, variants
from pruning_regimes.demo import datasets
from pruning_regimes.inference import prompts
from pruning_regimes.jobs.errors import ConfigError, ModelError
from pruning_regimes.models import decoder, hub, identity, loading
from tests.conftest import entry
from tests.helpers import ROOT
from tests.helpers.criteria_tables import entry as entry_of
from tests.helpers.criteria_tables import plain
from tests.helpers.hub_server import serving

DEMO = ROOT / "workflow" / "resources" / "demo-llava"
# What a stranger has: transformers, the exported directory and an image.
STRANGER = """
import sys, torch
torch.set_num_threads(1)
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

directory, image, question, out = sys.argv[1:]
model, found = AutoModelForImageTextToText.from_pretrained(directory, output_loading_info=True, dtype=torch.float32)
assert not any(found.values()), found
processor = AutoProcessor.from_pretrained(directory)
turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
text = processor.apply_chat_template(turns, add_generation_prompt=True)
inputs = processor(text=text, images=[[Image.open(image)]], return_tensors="pt")
with torch.inference_mode():
    torch.save([model(**inputs).logits, model.generate(**inputs, do_sample=False, max_new_tokens=6)], out)
assert "pruning_regimes" not in sys.modules
"""


def request(directory: Path, folder: Path) -> dict[str, Any]:
    """Arguments of an export: tables of a study with the criterion `last` at budget 3."""
    source = loading.Source(entry(directory))
    model_id, revision = identity.identity(source.path, source.revision)
    row = {"model": "tiny", "model_id": model_id, "revision": revision} | decoder.inspect(source.skeleton())
    layers = layer_list(entry_of("last"), plain(row["n_layers"]), [3])
    tables.write([row], "decoder", folder / "models" / "tiny.parquet", {})
    table = variants.collect(model_id, revision, {"last": layers})
    tables.write(table, "variants", folder / "variants" / "tiny.parquet", {})
    calibrations = {}
    for domain, benchmark in (("math", "chart"), ("general", "reading")):
        calibrations[domain] = folder / "calibration" / f"{domain}.parquet"
        provenance = {"config": {"source": "demo", "benchmarks": [benchmark], "samples": 6}}
        tables.write(datasets.calibration_table([benchmark], 6, 0), "calibration", calibrations[domain], provenance)
    return {
        "entry": entry(directory),
        "criterion": "last",
        "budget": "3",
        "criterion_entry": {"kind": "last"},
        "decoder_file": folder / "models" / "tiny.parquet",
        "variants_file": folder / "variants" / "tiny.parquet",
        "calibrations": calibrations,
        "results": folder,
        "target": folder / "checkpoints" / "tiny" / "last" / "3",
    }


@pytest.fixture(scope="module")
def exported(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without its last three layers."""
    arguments = request(model_directory, tmp_path_factory.mktemp("exported"))
    export.export(**arguments)
    return arguments["target"]


def test_it_loads_with_transformers_alone_and_answers_as_the_pruned_model(
    exported: Path, loaded: loading.Loaded, tmp_path: Path
) -> None:
    sample = datasets.benchmark_table("attributes", 1, seed=5).row(0, named=True)
    (tmp_path / "image.png").write_bytes(sample["images"][0])
    out = tmp_path / "answers.pt"
    files = [str(exported), str(tmp_path / "image.png"), sample["question"], str(out)]
    subprocess.run([sys.executable, "-c", STRANGER, *files], check=True, cwd=tmp_path)
    n_layers = decoder.find_decoder(loaded.model).n_layers
    torch.set_num_threads(1)  # as in that process; sums may depend on it
    text = prompts.prompt(loaded, sample["question"], 1)
    batch = prompts.inputs(loaded, [text], [prompts.decode(sample["images"])])
    with torch.inference_mode(), decoder.pruned(loaded.model, range(n_layers - 3, n_layers)) as model:
        expected = [model(**batch).logits, model.generate(**batch, max_new_tokens=6)]
    for found, own in zip(torch.load(out), expected, strict=True):
        assert torch.equal(found, own)


def test_the_check_and_the_card_say_what_was_done(exported: Path) -> None:
    found = json.loads((exported / "verification.json").read_text())
    assert found["passed"] and found["logits_bit_identical"] == found["greedy_answers_identical"] == 8
    assert found["missing_keys"] == found["unexpected_keys"] == []
    assert list(found["sha256"]) == ["model.safetensors"]
    head, text = (exported / "README.md").read_text().split("---\n")[1:]
    assert yaml.safe_load(head)["pipeline_tag"] == "image-text-to-text"
    n_layers = AutoConfig.from_pretrained(exported).get_text_config().num_hidden_layers + 3
    removed = ", ".join(map(str, range(n_layers - 3, n_layers)))
    assert f"| removed layers (numbered from 0 in the original) | {removed} |" in text
    assert "math: 6 samples of demo (chart)" in text and "Not measured." in text
    with safe_open(exported / "model.safetensors", "pt") as stored:
        stored_parameters = sum(stored.get_tensor(name).numel() for name in stored.keys())  # noqa: SIM118
    assert f"| parameters | {stored_parameters:,} of " in text


def test_everything_but_the_cut_is_that_of_the_original(exported: Path, model_directory: Path) -> None:
    for file in model_directory.iterdir():
        if file.name not in ("config.json", "model.safetensors", "README.md"):
            assert (exported / file.name).read_bytes() == file.read_bytes()
    old, new = (json.loads((folder / "config.json").read_text()) for folder in (model_directory, exported))
    assert old["text_config"].pop("num_hidden_layers") == new["text_config"].pop("num_hidden_layers") + 3
    assert old == new


def test_the_config_has_the_shape_that_vllm_reads(exported: Path) -> None:
    """What `vllm.transformers_utils.config` asks of a config: architectures, and a text config with these fields."""
    config = AutoConfig.from_pretrained(exported)
    text = config.get_text_config()
    assert config.architectures and all(isinstance(name, str) for name in config.architectures)
    for name in ("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "hidden_size", "vocab_size"):
        assert isinstance(getattr(text, name), int), name


def test_weights_go_into_files_of_the_asked_size(model_directory: Path, tmp_path: Path) -> None:
    source = loading.Source(entry(model_directory))
    target = tmp_path / "copy"
    target.mkdir()
    writing.write(source, [1, 4], target, file_bytes=1_000_000)
    files = sorted(target.glob("*.safetensors"))
    assert len(files) > 2 and files[0].name == f"model-00001-of-{len(files):05d}.safetensors"
    places = json.loads((target / "model.safetensors.index.json").read_text())["weight_map"]
    held = {name: file.name for file in files for name in load_file(file)}
    assert held == places
    assert all(file.stat().st_size < 1_100_000 for file in files)
    whole = load_file(model_directory / "model.safetensors")
    kept = [layer for layer in range(14) if layer not in (1, 4)]
    decoder_layer = re.compile(r"((?:language_model\.model|text_model)\.layers\.)(\d+)")
    for name, file in places.items():
        original = decoder_layer.sub(lambda found: f"{found[1]}{kept[int(found[2])]}", name)
        assert torch.equal(load_file(target / file)[name], whole[original])
    loaded = loading.load(entry(target))
    assert loaded.model is not None and loaded.unexpected == []


def test_files_that_hold_only_removed_layers_are_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = shutil.copytree(DEMO, tmp_path / "served")
    weights = load_file(served / "model.safetensors")
    (served / "model.safetensors").unlink()
    places = {name: f"model-{'layers.5.' in name and 'vision' not in name:d}.safetensors" for name in weights}
    for file in set(places.values()):
        part = {name: weights[name] for name in weights if places[name] == file}
        save_file(part, served / file, metadata={"format": "pt"})
    (served / hub.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    with serving(served) as hub_:
        code = (
            "import sys; from pathlib import Path\n"
            "from pruning_regimes.checkpoints import writing; from pruning_regimes.models import loading\n"
            "source = loading.Source({'path': 'owner/model', 'revision': 'main'})\n"
            "writing.write(source, [5], Path(sys.argv[1]))"
        )
        for name, value in hub_.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        (tmp_path / "copy").mkdir()
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "copy")], check=True)
    assert "model-0.safetensors" in hub_.downloaded and "model-1.safetensors" not in hub_.downloaded
    copy = loading.load(entry(tmp_path / "copy"))
    assert decoder.find_decoder(copy.model).n_layers == 11 and copy.unexpected == []


def test_a_copy_that_is_not_the_pruned_model_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = request(DEMO, tmp_path)
    write = writing.write

    def damaging(source: loading.Source, removed: list[int], target: Path) -> writing.Written:
        written = write(source, removed, target)
        weights = load_file(target / "model.safetensors")
        name = next(name for name in weights if name.endswith("layers.0.mlp.up_proj.weight"))
        weights[name] = weights[name] * 2
        save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
        return written

    monkeypatch.setattr(writing, "write", damaging)
    with pytest.raises(ModelError, match=r"is not the pruned model and was not kept: 0 other inputs, 8 other logits"):
        export.export(**arguments)
    assert list(arguments["target"].parent.iterdir()) == []


def test_an_export_that_was_killed_is_done_again(tmp_path: Path, in_process: None) -> None:
    arguments = request(DEMO, tmp_path)
    code = (
        "import os, sys, json; from pathlib import Path; from pruning_regimes.checkpoints import export, verification\n"
        "verification.verify = lambda *a: os.kill(os.getpid(), 9)\n"
        "export.export(**json.loads(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(arguments, default=str)], check=False)
    assert done.returncode == -9
    assert [path.name for path in arguments["target"].parent.iterdir()] == [".3.partial"]
    export.export(**arguments)
    assert [path.name for path in arguments["target"].parent.iterdir()] == ["3"]
    with pytest.raises(ModelError, match="exists already; remove it or name another directory"):
        export.export(**arguments)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"budget": "4"}, r"^budget '4' is not in the study of models\.tiny; choose one of 3\.$"),
        ({"criterion": "lst"}, r"^criterion 'lst' is not in the study of models\.tiny; did you mean 'last'\?$"),
        ({"replicate": 2}, r"^replicate '2' is not in the study"),
    ],
)
def test_a_variant_that_the_study_does_not_have_is_named(change: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    arguments = request(DEMO, tmp_path)
    with pytest.raises(ConfigError, match=sentence):
        export.export(**{**arguments, **change})


def test_the_licence_and_the_measured_retention_are_in_the_card(tmp_path: Path, in_process: None) -> None:
    directory = shutil.copytree(DEMO, tmp_path / "model")
    (directory / "README.md").write_text("---\nlicense: mit\nlicense_link: there\ntags: [x]\n---\n# A model\n")
    (directory / "LICENSE").write_text("MIT")
    arguments = request(directory, tmp_path)
    table = tables.read(arguments["variants_file"], "variants")
    dense, pruned = table["variant_id"]
    base = {"category": "c", "chance": 0.0, "extracted": "a", "method": "whole", "error": None}
    rows = [
        {
            **base,
            "variant_id": variant,
            "sample_id": f"q{number}",
            "cluster": f"q{number}",
            "score": float(number < right),
        }
        for variant, right in ((dense, 8), (pruned, 5), ("of other layers", 1))
        for number in range(10)
    ]
    tables.write(rows, "scores", tmp_path / "scores" / "tiny" / "chart.parquet", {})
    settings = {"groups": {"chart": "math"}, "resamples": 200, "confidence": 0.9, "seed": 0}
    tables.write([], "retention", tmp_path / "regimes" / "retention.parquet", settings)
    export.export(**arguments)
    head, text = (arguments["target"] / "README.md").read_text().split("---\n")[1:]
    assert yaml.safe_load(head)["license"] == "mit" and yaml.safe_load(head)["license_link"] == "there"
    assert (arguments["target"] / "LICENSE").read_text() == "MIT"
    assert "| math | chart | 10 | 0.800 | 0.500 | 0.625 [" in text and "90% interval" in text
    # Scores of other layers under the same criterion and budget are not this checkpoint's.
    tables.write(rows[:10] + rows[20:], "scores", tmp_path / "scores" / "tiny" / "chart.parquet", {})
    export.export(**{**arguments, "target": tmp_path / "again"})
    assert "Not measured." in (tmp_path / "again" / "README.md").read_text()


def test_a_quantized_model_is_refused(model_directory: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(model_directory, tmp_path / "model")
    config = json.loads((directory / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8"}
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="is quantized; an export needs the weights before quantization"):
        writing.write(loading.Source(entry(directory)), [1], tmp_path)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        # Qwen2-VL as it was published, before its modules were renamed.
        (["model.layers.{}.mlp.up.weight", "visual.blocks.{}.attn.qkv.weight", "lm_head.weight"], "model.layers"),
        (["language_model.model.layers.{}.a", "vision_tower.encoder.layers.{}.a"], "language_model.model.layers"),
        (["model.language_model.layers.{}.experts.0.a"], "model.language_model.layers"),
        # Qianfan-OCR as transformers writes it; Inkling has a list of queries beside the layers.
        (["language_model.model.encoder.layers.{}.a", "vision.layers.{}.b"], "language_model.model.encoder.layers"),
        (["model.llm.layers.{}.a", "model.llm.queries.{}"], "model.llm.layers"),
    ],
)
def test_the_decoders_weights_are_told_by_their_names(names: list[str], expected: str) -> None:
    every = [name.format(layer) for name in names for layer in range(5)]
    # One block more, for the prediction of further tokens.
    every.append(f"{expected}.5.eh_proj.weight")
    assert writing.layer_prefix(every, "model.language_model.layers", 5, ["mlp.up.weight", "a"]) == expected


def test_names_that_do_not_tell_the_decoder_are_refused() -> None:
    with pytest.raises(ModelError, match=r"cannot be told by the names of the weights: a\.layers, b\.layers of them"):
        writing.layer_prefix([f"{part}.layers.{n}.w" for part in "ab" for n in range(3)], "c.layers", 3, ["w"])
    with pytest.raises(ModelError, match="no list of them could be its 4 layers"):
        writing.layer_prefix([f"a.layers.{n}.w" for n in range(3)], "a.layers", 4, ["w"])


def test_the_command_says_what_is_wrong_in_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = ROOT
    monkeypatch.chdir(root)
    known = ["export", "demo-llava", "--criterion", "mixed", "--budget", "2", "--results", str(tmp_path)]
    with pytest.raises(SystemExit):
        cli.main([*known, "--threads", "0"])
    assert "'0' is no number of at least 1" in capsys.readouterr().err
    assert cli.main(["export", "demo-lava", *known[2:]]) == 1
    assert "models.demo-lava is not in config/config.yaml; did you mean 'demo-llava'?" in capsys.readouterr().err
    cases = {
        "criteria.mix is not in config/config.yaml; did you mean 'mixed'?": ["--criterion", "mix"],
        "there is no file 'nowhere.yaml'; expected the config of the study.": ["--configfile", "nowhere.yaml"],
        "demo-llava.parquet is not there yet; make it with 'snakemake --cores 2": [],
    }
    for sentence, change in cases.items():
        assert cli.main([*known, *change]) == 1
        assert sentence in capsys.readouterr().err
