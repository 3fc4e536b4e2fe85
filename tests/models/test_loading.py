"""Models of every kind load as the config says, and what cannot be loaded gets one clear sentence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import psutil
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from pruning_regimes.checkpoints import writing
from pruning_regimes.demo import datasets
from pruning_regimes.evaluation import grid
from pruning_regimes.inference import prompts
from pruning_regimes.jobs.errors import DataError, ModelError
from pruning_regimes.measurement import similarity
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import find_decoder, pruned
from tests.conftest import entry
from tests.helpers import ROOT

TEMPLATE = "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
CODE = """
from transformers import LlamaConfig, LlamaForCausalLM
class OwnConfig(LlamaConfig):
    model_type = "own"
class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture(scope="module")
def text_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal language model without images; its chat template writes the token that begins a text."""
    directory = tmp_path_factory.mktemp("text")
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "workflow" / "resources" / "demo-llava")
    tokenizer.bos_token, tokenizer.chat_template = "<|user|>", TEMPLATE.replace("<|{{ m.role }}|>", "")
    tokenizer.save_pretrained(directory)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=6, num_attention_heads=2,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(directory)
    return directory


def without_images(n: int) -> pl.DataFrame:
    """Questions without images."""
    table = datasets.calibration_table(["arithmetic", "chart"], n, seed=0)
    return table.with_columns(images=pl.Series([[]] * n, dtype=pl.List(pl.Binary)))


def test_a_language_model_without_images_goes_through_the_whole_study(text_directory: Path, tmp_path: Path) -> None:
    loaded = loading.load(entry(text_directory))
    assert not loaded.takes_images and type(loaded.model).__name__ == "LlamaForCausalLM"
    samples = without_images(5)
    table = similarity.measure(loaded, samples, 3).similarity
    assert set(table["token_group"]) == {"all", "text", "last"} and table["layer"].n_unique() == 6
    texts = prompts.prompts(loaded, samples)
    with pruned(loaded.model, [2, 3]):
        expected = loaded.model(**prompts.inputs(loaded, texts[:1], [[]])).logits
        replies = grid.answer(loaded, texts, samples["images"].to_list(), 4)
    assert {reply["finish_reason"] for reply in replies} <= {"stop", "length"}
    writing.write(loading.Source(entry(text_directory)), [2, 3], tmp_path)
    copy = loading.load(entry(tmp_path))
    assert torch.equal(copy.model(**prompts.inputs(copy, texts[:1], [[]])).logits, expected)


def test_images_for_a_language_model_are_refused(text_directory: Path) -> None:
    samples = datasets.calibration_table(["chart"], 2, seed=0)
    with pytest.raises(DataError, match=r"^Sample '.*' has an image, but transformers loads '.*' as a language model"):
        prompts.prompts(loading.load(entry(text_directory)), samples)


def test_the_token_that_begins_a_text_stands_there_once(text_directory: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(text_directory, tmp_path / "model")
    state = json.loads((directory / "tokenizer.json").read_text())
    begin = next(token for token in state["added_tokens"] if token["content"] == "<|user|>")
    state["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": begin["content"], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {begin["content"]: {"id": begin["content"], "ids": [begin["id"]], "tokens": ["<|user|>"]}},
    }
    (directory / "tokenizer.json").write_text(json.dumps(state))
    loaded = loading.load(entry(directory))
    assert loaded.tokenizer("result ?")["input_ids"][0] == begin["id"]
    text = prompts.prompt(loaded, "result ?", 0)
    ids = prompts.inputs(loaded, [text, text], [[], []])["input_ids"]
    assert (ids == begin["id"]).sum(1).tolist() == [1, 1]


def test_the_attention_implementation_is_the_one_asked_for(model_directory: Path) -> None:
    for attention in ("eager", "sdpa"):
        loaded = loading.load({**entry(model_directory), "attention": attention})
        assert find_decoder(loaded.model).config._attn_implementation == attention


def test_a_model_that_does_not_fit_into_memory_is_refused_before_it_is_loaded(
    model_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(ModelError, match=r"needs 0\.0 GiB for its weights \(dtype float32\), but 0\.0 GiB of main"):
        _ = loading.load(entry(model_directory)).model


def spread_over_disk(module: torch.nn.Module, path: str, at: str = "") -> dict[str, str]:
    """A device map with every third decoder layer on disk, the rest in memory; `path` is the list of layers."""
    if at == path:
        return {f"{at}.{layer}": "disk" if layer % 3 == 1 else "cpu" for layer in range(len(module))}
    if at and not path.startswith(f"{at}."):
        return {at: "cpu"}
    places = {}
    for name, child in module.named_children():
        places |= spread_over_disk(child, path, f"{at}.{name}".lstrip("."))
    return places


@torch.inference_mode()
def test_layers_are_removed_from_a_model_that_is_spread_over_devices(
    model_directory: Path, loaded: loading.Loaded, tmp_path: Path
) -> None:
    """Hooks of accelerate move inputs between devices; here between memory and disk, since there may be one device."""
    whole = loaded.model
    places = spread_over_disk(whole, find_decoder(whole).path)
    spread = AutoModelForImageTextToText.from_pretrained(
        model_directory, dtype=torch.float32, device_map=places, offload_folder=str(tmp_path)
    ).eval()
    assert set(spread.hf_device_map.values()) == {"cpu", "disk"}
    table = datasets.benchmark_table("attributes", 3, seed=1)
    texts = [prompts.prompt(loaded, question, 1) for question in table["question"]]
    batch = prompts.inputs(loaded, texts, [prompts.decode(images) for images in table["images"].to_list()])
    for removed in ([], [1, 2], [0, 4, 5]):
        with pruned(spread, removed), pruned(whole, removed):
            assert torch.equal(spread(**batch).logits, whole(**batch).logits)


def own_code(text_directory: Path, target: Path, prefix: str = "") -> Path:
    """That model with Python code of its own."""
    directory = shutil.copytree(text_directory, target)
    (directory / "own.py").write_text(CODE)
    config = json.loads((directory / "config.json").read_text())
    classes = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    config |= {"model_type": "own", "auto_map": {name: prefix + place for name, place in classes.items()}}
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def test_a_models_own_code_runs_only_if_the_config_says_so(text_directory: Path, tmp_path: Path) -> None:
    directory = own_code(text_directory, tmp_path / "own_model")
    with pytest.raises(ModelError, match=r"runs Python code of its own.*set models\.<key>\.trust_remote_code: true"):
        loading.load(entry(directory))
    foreign = own_code(text_directory, tmp_path / "foreign", "somebody/else--")
    with pytest.raises(ModelError, match=r"code of another repository \(somebody/else--own\.OwnConfig\)"):
        loading.load({**entry(foreign), "trust_remote_code": True})
    (directory / "processor_config.json").write_text('{"auto_map": {"AutoProcessor": "evil/else--own.P"}}')
    with pytest.raises(ModelError, match=r"code of another repository \(evil/else--own\.P\)"):
        loading.load({**entry(directory), "trust_remote_code": True})
    (directory / "processor_config.json").unlink()
    code = (
        "import json, sys; from pathlib import Path\n"
        "from pruning_regimes.checkpoints import writing; from pruning_regimes.models import decoder, loading\n"
        "entry = json.loads(sys.argv[1])\n"
        "writing.write(loading.Source(entry), [1, 2], Path(sys.argv[2]))\n"
        "copy = loading.load({**entry, 'path': sys.argv[2]})\n"
        "print(type(copy.model).__name__, decoder.find_decoder(copy.model).n_layers, copy.unexpected)"
    )
    (tmp_path / "copy").mkdir()
    trusted = json.dumps({**entry(directory), "trust_remote_code": True})
    done = subprocess.run(
        [sys.executable, "-c", code, trusted, str(tmp_path / "copy")],
        env={**os.environ, "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "OwnForCausalLM 4 []", done.stderr


def test_a_model_of_another_kind_is_named(model_directory: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(model_directory, tmp_path / "model")
    (directory / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(ModelError, match=r"is of type 'vit', which transformers knows neither as an image-text"):
        loading.load(entry(directory))


def test_a_chat_template_that_only_the_tokenizer_has_is_used(model_directory: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(model_directory, tmp_path / "model")
    file = directory / "tokenizer_config.json"
    template = (directory / "chat_template.jinja").read_text()
    (directory / "chat_template.jinja").unlink()
    file.write_text(json.dumps({**json.loads(file.read_text()), "chat_template": template}))
    loaded, whole = loading.load(entry(directory)), loading.load(entry(model_directory))
    assert prompts.prompt(loaded, "q", 1) == prompts.prompt(whole, "q", 1)


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{% for", r"its chat template fails with 'unexpected"),
        ("{{ raise_exception('no turns') }}", r"its chat template fails with 'no turns' for a user's turn"),
        (
            "{% for m in messages %}{{ m['content'] }}{% endfor %}",
            r"made for text alone; it writes an image as {'type'",
        ),
    ],
)
def test_a_chat_template_that_does_not_fit_is_named(
    template: str, sentence: str, model_directory: Path, tmp_path: Path
) -> None:
    directory = shutil.copytree(model_directory, tmp_path / "model")
    (directory / "chat_template.jinja").write_text(template)
    with pytest.raises(ModelError, match=sentence):
        prompts.prompt(loading.load(entry(directory)), "q", 1)


@pytest.mark.parametrize("change", [{"num_attention_heads": 0}, {"hidden_size": None}, {"num_hidden_layers": "six"}])
def test_a_damaged_config_gets_one_sentence(change: dict[str, object], text_directory: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(text_directory, tmp_path / "model")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match="cannot be loaded: ") as caught:
        loading.Source(entry(directory)).skeleton()
    assert "\n" not in str(caught.value)


def test_a_vision_language_model_without_a_processor_is_refused(model_directory: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(model_directory, tmp_path / "model")
    (directory / "processor_config.json").unlink()
    with pytest.raises(ModelError, match=r"takes images, but its directory has no processor|cannot be loaded"):
        loading.load(entry(directory))
