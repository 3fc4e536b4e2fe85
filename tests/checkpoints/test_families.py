"""A pruned checkpoint of every family loads with plain transformers as the pruned model, however it names weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers

from pruning_regimes.checkpoints import writing
from pruning_regimes.models.decoder import find_decoder, protected, pruned
from pruning_regimes.models.loading import Source
from tests.helpers.families import build, images, model_class, quick_first, words
from tests.models.test_families import PATHS, SUPPORTED


# Transformers does not load what it saves of this classifier, pruned or not.
@pytest.mark.parametrize("family", quick_first(family for family in SUPPORTED if family != "shieldgemma2"))
def test_a_checkpoint_is_the_pruned_model(family: str, tmp_path: Path) -> None:
    model, path = build(family), PATHS.get(family)
    original, copy = tmp_path / "original", tmp_path / "copy"
    model.save_pretrained(original)
    copy.mkdir()
    stay = protected(model, path)
    removed = [layer for layer in range(find_decoder(model, path).n_layers) if layer not in stay][-3:-1]
    source = Source({"path": str(original), "revision": "main", "decoder_path": path})
    written = writing.write(source, removed, copy)
    kind = getattr(transformers, model_class(family))
    again, found = kind.from_pretrained(copy, dtype=torch.float32, output_loading_info=True)
    assert not any(found.values()), found
    inputs = images(family, model) or words()
    with torch.inference_mode(), pruned(model, removed, path):
        assert torch.equal(again.eval()(**inputs).logits, model(**inputs).logits)
        assert written.n_parameters == sum(weight.numel() for weight in model.parameters())
    # What else reads the config finds what it found in the original, and nothing that is not there.
    old, new = (json.loads((folder / "config.json").read_text()) for folder in (original, copy))
    assert old.keys() <= new.keys() and old["architectures"] == new["architectures"]
    text = again.config.get_text_config(decoder=True)
    # By its path: of two lists of four modules, the one that is the decoder cannot be told in a model so small.
    decoder = find_decoder(model, path)
    assert text.num_hidden_layers == len(again.get_submodule(decoder.path)) == decoder.n_layers - len(removed)
