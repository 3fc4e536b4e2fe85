"""A pruned model is the model that would have been built with the remaining layers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from pruning_regimes.demo import datasets
from pruning_regimes.inference import prompts
from pruning_regimes.jobs.errors import ModelError
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import find_decoder, pruned
from tests.conftest import entry
from tests.helpers.families import built_without

REMOVED = [[0], [11], [3, 4, 5], [0, 2, 4, 6, 8, 10]]


def batch(loaded: loading.Loaded) -> dict[str, torch.Tensor]:
    """Questions of unequal lengths, left-padded."""
    table = datasets.benchmark_table("attributes", 5, seed=0)
    texts = [prompts.prompt(loaded, question, 1) for question in table["question"]]
    return dict(prompts.inputs(loaded, texts, [prompts.decode(images) for images in table["images"].to_list()]))


@pytest.mark.parametrize("removed", REMOVED)
def test_logits_and_generation_are_those_of_a_model_built_without_the_layers(
    loaded: loading.Loaded, removed: list[int]
) -> None:
    inputs = batch(loaded)
    assert inputs["attention_mask"].min() == 0
    smaller = built_without(loaded.model, removed, find_decoder(loaded.model).path)
    options = {"do_sample": False, "max_new_tokens": 6, "min_new_tokens": 6}
    # Weights made in inference mode are multiplied in another way, so the models are made before.
    with torch.inference_mode(), pruned(loaded.model, removed):
        logits = loaded.model(**inputs).logits
        generated = loaded.model.generate(**inputs, **options)
        uncached = loaded.model.generate(**inputs, **options, use_cache=False)
        beams = loaded.model.generate(**inputs, **options, num_beams=3)
    with torch.inference_mode():
        assert torch.equal(logits, smaller(**inputs).logits)
        assert torch.equal(generated, smaller.generate(**inputs, **options))
        assert torch.equal(generated, uncached)
        assert torch.equal(beams, smaller.generate(**inputs, **options, num_beams=3))


@torch.inference_mode()
def test_the_model_is_as_before_afterwards_even_after_an_error(loaded: loading.Loaded) -> None:
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


@pytest.mark.parametrize(("removed", "word"), [([99], "Layer 99"), ([-1], "Layer -1"), (range(12), "must remain")])
def test_layers_that_cannot_be_removed_are_named(removed: Sequence[int], word: str, loaded: loading.Loaded) -> None:
    everything = range(find_decoder(loaded.model).n_layers) if word == "must remain" else removed
    with pytest.raises(ModelError, match=word), pruned(loaded.model, everything):
        pass


def test_a_model_that_is_not_there_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        loading.load(entry(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_model_without_a_chat_template_is_refused(model_directory: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(model_directory, tmp_path / "model")
    (directory / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="chat_template"):
        loading.load(entry(directory))


def test_a_gpu_that_is_not_there_is_refused(model_directory: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ModelError, match="asks for a GPU, but torch sees no CUDA device"):
        _ = loading.load({**entry(model_directory), "gpus": 1}).model


def test_a_prompt_digest_changes_with_text_and_images() -> None:
    digests = {prompts.prompt_digest(text, images) for text in ("a", "b") for images in ([], [b"1"], [b"1", b"2"])}
    assert len(digests) == 6
    assert np.all([len(digest) == 16 for digest in digests])
