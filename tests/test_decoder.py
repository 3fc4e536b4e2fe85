"""A pruned model is the model that would have been built with the remaining layers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import entry
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedModel

from pruning_regimes import models
from pruning_regimes.decoder import find_decoder, pruned
from pruning_regimes.demo import datasets
from pruning_regimes.errors import ModelError

REMOVED = [[0], [11], [3, 4, 5], [0, 2, 4, 6, 8, 10]]


def built_without(model: PreTrainedModel, removed: Sequence[int]) -> PreTrainedModel:
    """The same model built anew from a smaller config, with the kept layers' weights."""
    prefix = find_decoder(model).path + "."
    config = type(model.config).from_dict(model.config.to_dict())
    text = config.get_text_config(decoder=True)
    kept = [layer for layer in range(text.num_hidden_layers) if layer not in removed]
    if getattr(text, "layer_types", None) is not None:
        text.layer_types = [text.layer_types[layer] for layer in kept]
    text.num_hidden_layers = len(kept)
    weights = {}
    for name, weight in model.state_dict().items():
        if name.startswith(prefix):
            layer, rest = name.removeprefix(prefix).split(".", 1)
            if int(layer) in removed:
                continue
            name = f"{prefix}{kept.index(int(layer))}.{rest}"
        weights[name] = weight
    smaller = type(model)(config).eval()
    smaller.load_state_dict(weights)
    smaller.generation_config = model.generation_config
    return smaller


def batch(loaded: models.Loaded) -> dict[str, torch.Tensor]:
    """Questions of unequal lengths, left-padded."""
    table = datasets.benchmark_table("attributes", 5, seed=0)
    prompts = [models.prompt(loaded.processor, question, 1) for question in table["question"]]
    return dict(models.inputs(loaded, prompts, [models.decode(images) for images in table["images"].to_list()]))


@pytest.mark.parametrize("removed", REMOVED)
@torch.inference_mode()
def test_logits_and_generation_are_those_of_a_model_built_without_the_layers(
    loaded: models.Loaded, removed: list[int]
) -> None:
    inputs = batch(loaded)
    assert inputs["attention_mask"].min() == 0
    smaller = built_without(loaded.model, removed)
    options = {"do_sample": False, "max_new_tokens": 6, "min_new_tokens": 6}
    with pruned(loaded.model, removed):
        logits = loaded.model(**inputs).logits
        generated = loaded.model.generate(**inputs, **options)
        uncached = loaded.model.generate(**inputs, **options, use_cache=False)
        beams = loaded.model.generate(**inputs, **options, num_beams=3)
    assert torch.equal(logits, smaller(**inputs).logits)
    assert torch.equal(generated, smaller.generate(**inputs, **options))
    assert torch.equal(generated, uncached)
    assert torch.equal(beams, smaller.generate(**inputs, **options, num_beams=3))


@torch.inference_mode()
def test_the_model_is_as_before_afterwards_even_after_an_error(loaded: models.Loaded) -> None:
    inputs = batch(loaded)
    before = loaded.model(**inputs).logits
    config = loaded.model.config.to_dict()
    indices = [layer.self_attn.layer_idx for layer in find_decoder(loaded.model).layers]
    with pytest.raises(RuntimeError), pruned(loaded.model, [0, 5]):
        assert find_decoder(loaded.model).n_layers == len(indices) - 2
        raise RuntimeError
    assert torch.equal(loaded.model(**inputs).logits, before)
    assert loaded.model.config.to_dict() == config
    assert [layer.self_attn.layer_idx for layer in find_decoder(loaded.model).layers] == indices


def test_per_layer_attention_types_are_cut_along() -> None:
    config = Gemma3TextConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=6, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, sliding_window=4, layer_types=["sliding_attention"] * 2
        + ["full_attention"] + ["sliding_attention"] * 2 + ["full_attention"],
    )  # fmt: skip
    torch.manual_seed(0)
    model = Gemma3ForCausalLM(config).eval()
    ids = torch.randint(3, 64, (2, 12))
    smaller = built_without(model, [0, 2])
    with torch.inference_mode(), pruned(model, [0, 2]):
        assert model.config.layer_types == ["sliding_attention"] * 3 + ["full_attention"]
        assert torch.equal(model(ids).logits, smaller(ids).logits)
        options = {"do_sample": False, "max_new_tokens": 8, "eos_token_id": None}
        assert torch.equal(model.generate(ids, **options), smaller.generate(ids, **options))
    assert len(model.config.layer_types) == 6


@pytest.mark.parametrize(("removed", "word"), [([99], "Layer 99"), ([-1], "Layer -1"), (range(12), "must remain")])
def test_layers_that_cannot_be_removed_are_named(removed: Sequence[int], word: str, loaded: models.Loaded) -> None:
    everything = range(find_decoder(loaded.model).n_layers) if word == "must remain" else removed
    with pytest.raises(ModelError, match=word), pruned(loaded.model, everything):
        pass


def test_a_model_that_is_not_there_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        models.load(entry(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_model_without_a_chat_template_is_refused(model_directory: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(model_directory, tmp_path / "model")
    (directory / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="chat_template"):
        models.load(entry(directory))


def test_a_gpu_that_is_not_there_is_refused(model_directory: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ModelError, match="asks for a GPU, but torch sees no CUDA device"):
        _ = models.load({**entry(model_directory), "gpu": 1}).model


def test_a_prompt_digest_changes_with_text_and_images() -> None:
    digests = {models.prompt_digest(text, images) for text in ("a", "b") for images in ([], [b"1"], [b"1", b"2"])}
    assert len(digests) == 6
    assert np.all([len(digest) == 16 for digest in digests])
