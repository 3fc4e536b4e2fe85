"""Removing layers is exact in every family of vision-language models that can be built here.

What holds is tabulated in workflow/docs/families.md, which `python -m tests.models.test_families` prints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from pruning_regimes.jobs.errors import ModelError
from pruning_regimes.models.decoder import Decoder, find_decoder, protected, pruned
from pruning_regimes.models.layer_config import cut, receivers, text_config
from tests.helpers import ROOT
from tests.helpers.families import (
    FAMILIES,
    Tensors,
    build,
    built_without,
    images,
    kind_of_images,
    model_class,
    quick_first,
    words,
)

TABLE = ROOT / "workflow" / "docs" / "families.md"
WAYS = {"cache": {"use_cache": True}, "no cache": {"use_cache": False}, "beams": {"num_beams": 2}}
# Layers of the tiny models that must stay, and why.
VISUAL, TAKEN, INDEX = "receives visual features", "takes keys and values from it", "takes an attention index from it"
COUNTS = "counts the tokens"
FORESEEN = {VISUAL, TAKEN, INDEX, COUNTS}
PROTECTED = {
    **dict.fromkeys(("cohere_compass", "cosmos3_omni", "granite_docling"), {0: VISUAL, 1: VISUAL}),
    **dict.fromkeys(("qwen3_vl", "qwen3_vl_moe", "qwen3_omni_moe_thinker"), {0: VISUAL, 1: VISUAL}),
    "granite4_vision": {1: VISUAL, 3: VISUAL},
    "mllama": {0: COUNTS, 2: VISUAL, 4: VISUAL},
    # The last layer must attend to all tokens.
    "gemma4": {2: TAKEN, 3: TAKEN, 5: "full_attention"},
    "gemma4_unified": {5: "full_attention"},
    "gemma3n_text": {2: TAKEN, 3: TAKEN},
    "glm5_next": {4: INDEX},
    "mistral_large4": {1: TAKEN, 4: TAKEN},
    # The first layer of each block has another structure.
    "inkling2": {0: "another one", **dict.fromkeys((1, 2, 3), "is_block_boundary")},
    "nemotron_h_omni": {2: "no layer would attend to other tokens"},
    # The n-grams are hashed in another way in each layer that takes them.
    "qwen4_exp": {1: "ple_layer_index"},
}
# Where the decoder layers are in families that are not recognised without being told.
PATHS = {"blip": "text_decoder.bert.encoder.layer", "git": "git.encoder.layer"}
ENCODER_DECODERS = ("florence2", "pix2struct", "pp_formulanet", "t5gemma2", "udop", "vision-encoder-decoder")
# Families that cannot be pruned, beside those. Gemma 3n as a whole needs timm, its decoder (gemma3n_text) does not.
OTHERS = ("diffusion_gemma", "evolla", "gemma3n", "idefics", "pi0")
SUPPORTED = [family for family in FAMILIES if family not in {*ENCODER_DECODERS, *OTHERS}]
NOTES = {
    "fast_vlm": "with a SigLIP tower instead of timm's",
    "gemma3n": "its decoder is `gemma3n_text`",
    "perception_lm": "with a CLIP tower instead of timm's",
}
INTRO = """\
# Model families

A model is recognised by its structure, not by its name: its decoder layers are the only list of modules, outside
whatever encodes images and the like, that is as long as its config says. If yours is refused because there is no such
list, or more than one, name the list in `models.<key>.decoder_path`; then it is pruned only if what remains is a model
that transformers would build. Each row is what `tests/models/test_families.py` found with a tiny model (6 layers,
transformers {version}; print the table anew with `python -m tests.models.test_families > workflow/docs/families.md`):

- Without the first layer, the last, two neighbours, or every other one, among those that need not stay, logits and
  tokens are bit for bit those of a model built from the smaller config, and logits those of the whole model if it skips
  the layers; afterwards the model is as before. Batches are padded on the left.
- *images*: with images, otherwise with text alone; *cache*: with the key-value cache come the same tokens as without
  (where it is missing, they do not in the whole model either); *beams*: beam search (*text only*: the family's own
  code fails there with images).
- A checkpoint without two layers loads with plain transformers as the pruned model
  (`tests/checkpoints/test_families.py`; all but shieldgemma2, which transformers does not load as it saves it).
- Layers that must stay, by their numbers in the tiny model: in a real one, those for which the same reason holds, such
  as the first k of a model with k deepstack features, or all `cross_attention_layers`.

| family | class | decoder layers | supported | layers that must stay | checked | config fields cut along |
|---|---|---|---|---|---|---|
"""


@dataclass
class Row:
    """What was found out about a family.

    Attributes:
        path: its list of decoder layers.
        refusal: why it was not pruned; empty if it was.
        protected: layers that must stay, with the reason.
        checked: what was compared.
        cut: fields of the config that are cut along with the layers.
        wrong: what should be equal but is not.
    """

    path: str = ""
    refusal: str = ""
    protected: dict[int, str] = field(default_factory=dict)
    checked: list[str] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny models are faster so; other modules compare with processes that have all threads."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@cache
def model(family: str) -> PreTrainedModel:
    """A family's tiny model."""
    return build(family)


@cache
def examine(family: str) -> Row:
    """Prune a family's tiny model in several ways, and compare with models that never had the layers."""
    try:
        decoder = find_decoder(model(family), PATHS.get(family))
    except ImportError as error:
        return Row(refusal="not checked: " + str(error).strip().split(" but")[0])
    except ModelError as error:
        return Row(refusal=f"no: {error}")
    row = Row(decoder.path, protected=protected(model(family), PATHS.get(family)))
    free = [layer for layer in range(decoder.n_layers) if layer not in row.protected]
    if free:
        _compare(family, decoder, free, row)
    else:
        row.refusal = f"no: no layer can go; {next(iter(row.protected.values()))}"
    return row


def _compare(family: str, decoder: Decoder, free: list[int], row: Row) -> None:
    whole = model(family)
    seen = images(family, whole)
    inputs = {way: _usable(whole, [seen, words()], options) for way, options in WAYS.items()}
    before = _outputs(whole, inputs)
    agree = _agree(before)
    fields = _fields(whole.config)
    for removed in filter(None, ([free[0]], [free[-1]], free[1:3], free[::2])):
        smaller = built_without(whole, removed, decoder.path)
        expected = _outputs(smaller, inputs)
        agree &= _agree(expected)
        kept = [layer for layer in range(decoder.n_layers) if layer not in removed]
        smaller_fields = _fields(cut(whole.config, kept))
        with pruned(whole, removed, PATHS.get(family)):
            found = _outputs(whole, inputs)
            if _fields(whole.config) != smaller_fields:
                row.wrong.append(f"config without {removed}")
        with _skipped(decoder, removed), torch.inference_mode():
            skipped = whole(**(seen or words()), use_cache=False).logits
        row.wrong += [f"{name} without {removed}" for name in _unequal(found, expected)]
        row.wrong += [f"{name} without {removed}, skipped" for name in _unequal({"logits": skipped}, found)]
        if not _unequal({"logits": found["logits"]}, before):
            row.wrong.append(f"no effect without {removed}")
        row.cut |= {name for name, value in smaller_fields.items() if fields[name] != value}
    row.wrong += [f"{name} afterwards" for name in _unequal(_outputs(whole, inputs), before)]
    row.checked = ["images" if seen else "text"]
    row.checked += [
        way + (" (text only)" if seen and "pixel_values" not in inputs[way] else "")
        for way in (["cache"] if agree else []) + ["beams"]
        if inputs[way]
    ]


def _fields(config: PretrainedConfig) -> dict[str, Any]:
    """The fields of a config and of its decoder's part, but for the number of layers."""
    text = text_config(config)
    parts = set(config.sub_configs) | {text.attribute_map.get("num_hidden_layers", "num_hidden_layers")}
    return {name: value for name, value in (config.to_dict() | text.to_dict()).items() if name not in parts}


def _usable(model: PreTrainedModel, candidates: list[Tensors | None], options: dict[str, Any]) -> Tensors:
    """The first inputs with which the whole model can generate in some way: not every family's own code can."""
    for inputs in filter(None, candidates):
        try:
            model.generate(**inputs, **options)
        except (RuntimeError, ValueError, TypeError, IndexError):
            continue
        return inputs
    return {}


@torch.inference_mode()
def _outputs(model: PreTrainedModel, inputs: dict[str, Tensors]) -> Tensors:
    """Logits, and for each way of generating, the tokens and each step's scores."""
    outputs = {"logits": model(**inputs["cache"]).logits}
    for way, options in WAYS.items():
        if inputs[way]:
            found = model.generate(**inputs[way], **options, return_dict_in_generate=True, output_logits=True)
            outputs |= {way: found.sequences, f"scores with {way}": torch.stack(found.logits)}
    return outputs


def _unequal(found: Tensors, expected: Tensors) -> list[str]:
    return [name for name in found if not torch.equal(found[name], expected[name])]


def _agree(outputs: Tensors) -> bool:
    """Whether generation with cache and without yield the same."""
    return "no cache" in outputs and torch.equal(outputs["cache"], outputs["no cache"])


@contextmanager
def _skipped(decoder: Decoder, removed: list[int]) -> Iterator[None]:
    """Decoder layers do nothing while the context lasts; config and everything else stay as they are."""

    def same(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        states = args[0] if args else kwargs["hidden_states"]
        return (states, *output[1:]) if isinstance(output, tuple) else states

    hooks = [decoder.layers[layer].register_forward_hook(same, with_kwargs=True) for layer in removed]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def line(family: str) -> str:
    """The family's row of the table."""
    row = examine(family)
    reasons: dict[str, list[str]] = {}
    for layer, reason in row.protected.items():
        text = re.sub(r"layer \d+ takes (.*) from it", r"others take \1 from it", reason)
        text = re.sub(r"receives visual features", "gets visual features", text)
        reasons.setdefault(text, []).append(str(layer))
    stay = "; ".join(f"{', '.join(layers)}: {reason}" for reason, layers in reasons.items())
    code = ", ".join(f"`{name}`" for name in sorted(row.cut))
    stay = "" if row.refusal else stay
    supported = "if `models.<key>.decoder_path` says so" if family in PATHS else "yes"
    cells = [family, model_class(family), f"`{row.path}`" if row.path else "", row.refusal or supported, stay]
    checked = row.checked + [note for name, note in NOTES.items() if name == family]
    return f"| {' | '.join([*cells, ', '.join(checked), code])} |"


def table() -> str:
    """The document on model families."""
    return INTRO.format(version=transformers.__version__) + "".join(f"{line(family)}\n" for family in FAMILIES)


@pytest.mark.parametrize("family", quick_first(SUPPORTED))
def test_a_pruned_model_is_one_built_without_the_layers_and_one_that_skips_them(family: str) -> None:
    row = examine(family)
    assert not row.refusal and row.checked and row.wrong == []


@pytest.mark.parametrize("family", quick_first(SUPPORTED))
def test_the_layers_that_must_stay_are_known(family: str) -> None:
    row, expected = examine(family), PROTECTED.get(family, {})
    assert row.protected.keys() == expected.keys()
    assert all(expected[layer] in reason for layer, reason in row.protected.items())


@pytest.mark.parametrize("family", quick_first(sorted(PROTECTED.keys() - {"mllama"})))
def test_a_layer_without_which_the_rest_is_another_model_cannot_be_removed(family: str) -> None:
    for layer, reason in examine(family).protected.items():
        if VISUAL not in reason:
            with (
                pytest.raises(ModelError, match=rf"layers \[{layer}\] cannot be removed"),
                pruned(model(family), [layer]),
            ):
                pass


def test_a_layer_that_attends_to_images_cannot_become_the_first() -> None:
    with pytest.raises(ModelError, match="the first layer would attend to images"), pruned(model("mllama"), [0, 1]):
        pass


def test_a_layer_with_a_projector_of_its_own_cannot_be_removed() -> None:
    whole = model("granite4_vision")
    with pytest.raises(ModelError, match="the model would have deepstack_layer_map"), pruned(whole, [1]):
        pass


@pytest.mark.parametrize("removed", [[0], [1], [0, 1, 5]], ids=str)
@pytest.mark.parametrize(
    "family", quick_first(["cohere_compass", "cosmos3_omni", "qwen3_omni_moe_thinker", "qwen3_vl"])
)
def test_visual_features_of_a_layer_that_goes_move_to_where_a_smaller_model_adds_them(
    family: str, removed: list[int]
) -> None:
    whole = model(family)
    inputs = {"cache": images(family, whole) or {}, "no cache": {}, "beams": {}}
    smaller = built_without(whole, removed, find_decoder(whole).path)
    with pruned(whole, removed):
        found = _outputs(whole, inputs)
    assert not _unequal(found, _outputs(smaller, inputs))
    with _skipped(find_decoder(whole), removed), torch.inference_mode():
        assert _unequal({"logits": whole(**inputs["cache"], use_cache=False).logits}, found)


@pytest.mark.parametrize("family", quick_first(family for family in SUPPORTED if kind_of_images(family)))
def test_images_matter_where_they_are_said_to_be_checked(family: str) -> None:
    assert "images" in examine(family).checked
    whole = model(family)
    seen, others = images(family, whole, seed=0), images(family, whole, seed=1)
    assert seen and others
    with torch.inference_mode():
        assert not torch.equal(whole(**seen).logits, whole(**others).logits)


@pytest.mark.parametrize("family", quick_first(SUPPORTED))
def test_the_config_alone_names_no_layer_that_can_be_removed(family: str) -> None:
    stated = json.loads(model(family).config.to_json_string())
    expected = {layer for layer, reason in PROTECTED.get(family, {}).items() if reason in FORESEEN}
    assert receivers(stated) == expected
    assert expected <= examine(family).protected.keys()


@pytest.mark.parametrize("family", ENCODER_DECODERS)
def test_an_encoder_decoder_is_refused_in_one_sentence(family: str) -> None:
    with pytest.raises(ModelError) as caught:
        find_decoder(model(family))
    assert str(caught.value).endswith("is an encoder-decoder; only decoder-only models can be pruned.")


@pytest.mark.parametrize("family", ["blip", "git", "pi0"])
def test_a_family_that_is_not_recognised_gets_its_lists_named_and_what_to_do(family: str) -> None:
    with pytest.raises(ModelError) as caught:
        find_decoder(model(family))
    message = str(caught.value)
    lists = [name for name, module in model(family).named_modules() if isinstance(module, nn.ModuleList)]
    assert lists and all(f"{name} (" in message for name in lists)
    assert message.endswith("name the list of decoder layers in models.<key>.decoder_path.")
    assert "\n" not in message


@pytest.mark.parametrize("family", OTHERS)
def test_a_family_that_cannot_be_pruned_says_why(family: str) -> None:
    row = examine(family)
    assert row.refusal and not row.checked
    assert "\n" not in row.refusal
    if row.path:
        with pytest.raises(ModelError, match="cannot be removed"), pruned(model(family), [0]):
            pass


@pytest.mark.slow  # looks at every family
def test_the_table_of_families_is_what_was_found() -> None:
    assert TABLE.read_text() == table()


if __name__ == "__main__":
    print(table(), end="")
