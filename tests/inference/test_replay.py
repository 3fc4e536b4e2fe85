"""Variants that share a batch answer as each does alone, bit for bit, and compute what they share once."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruning_regimes.demo import datasets
from pruning_regimes.inference import prompts
from pruning_regimes.inference.replay import Replay, depth_first, trie_size
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import Removal, find_decoder, protected
from tests.helpers.families import build, images, quick_first, words
from tests.helpers.replayed import alone, equal, generated, together
from tests.models.test_families import PATHS, SUPPORTED

# What these layers do depends on which layers there are after them, or they get slices of one product of matrices.
SHARES_LESS = {"gemma3n_text", "glm5_next", "mistral_large4"}
# A cache of another kind: nothing is replayed.
SHARES_NOTHING = {"blip"}


@pytest.mark.parametrize("family", quick_first(SUPPORTED))
def test_variants_of_every_family_answer_as_alone(family: str) -> None:
    model, path = build(family), PATHS.get(family)
    inputs = images(family, model) or words()
    stay = protected(model, path)
    free = [layer for layer in range(find_decoder(model, path).n_layers) if layer not in stay]
    removals = [Removal(model, removed, path) for removed in ([], *([layer] for layer in free), free[-2:])]
    replay = Replay(model, path)
    with torch.inference_mode():
        assert equal(together(model, removals, inputs, replay), alone(model, removals, inputs))
    kept = [removal.kept for removal in removals]
    assert replay.computed + replay.replayed == sum(map(len, kept))
    if family in SHARES_NOTHING:
        assert replay.replayed == 0 and "the cache is a EncoderDecoderCache" in replay.hindrance
    elif family in SHARES_LESS:
        assert trie_size(kept) < replay.computed < sum(map(len, kept))
    else:
        assert replay.computed == trie_size(kept)


@torch.inference_mode()
def test_variants_of_the_demo_models_answer_as_alone(loaded: loading.Loaded) -> None:
    table = datasets.benchmark_table("attributes", 3, 0)
    table = table.vstack(datasets.benchmark_table("arithmetic", 3, 0)).sort("question")
    decoded = [prompts.decode(encoded) for encoded in table["images"].to_list()]
    inputs = dict(prompts.inputs(loaded, prompts.prompts(loaded, table), decoded))
    assert inputs["attention_mask"].min() == 0
    n_layers = find_decoder(loaded.model).n_layers
    removals = [Removal(loaded.model, removed) for removed in ([], [0], [3, 4], [3, 5], [n_layers - 1], [0, 3, 6, 9])]
    calls = []
    vision = next(
        module for name, module in loaded.model.named_modules() if name.endswith(("vision_tower", "vision_model"))
    )
    handle = (
        vision.embeddings.register_forward_hook(lambda *_: calls.append(1)) if hasattr(vision, "embeddings") else None
    )
    replay = Replay(loaded.model)
    for _ in range(2):
        calls.clear()
        assert equal(together(loaded.model, removals, inputs, replay), alone(loaded.model, removals, inputs))
        # Once for all together, and for each of them alone.
        assert handle is None or len(calls) == 1 + len(removals)
    assert replay.computed == 2 * trie_size([removal.kept for removal in removals])
    if handle:
        handle.remove()
    assert not [module for module in loaded.model.modules() if "forward" in vars(module)]


@torch.inference_mode()
def test_another_input_is_computed_anew(loaded: loading.Loaded) -> None:
    table = datasets.benchmark_table("chart", 2, 0)
    texts = prompts.prompts(loaded, table)
    one, other = (
        dict(prompts.inputs(loaded, [text], [prompts.decode(encoded)]))
        for text, encoded in zip(texts, table["images"].to_list(), strict=True)
    )
    removals = [Removal(loaded.model, [8]), Removal(loaded.model, [9])]
    replay, found = Replay(loaded.model), []
    with replay.batch():
        for removal, following, inputs in ((*removals, one), (removals[1], None, other)):
            replay.variant(removal, following)
            with removal.applied():
                found.append(generated(loaded.model, inputs))
    assert replay.replayed == 0
    assert equal(found, [*alone(loaded.model, removals[:1], one), *alone(loaded.model, removals[1:], other)])


@torch.inference_mode()
def test_memory_grows_with_depth_and_not_with_the_number_of_variants(loaded: loading.Loaded) -> None:
    table = datasets.benchmark_table("chart", 2, 0)
    decoded = [prompts.decode(encoded) for encoded in table["images"].to_list()]
    inputs = dict(prompts.inputs(loaded, prompts.prompts(loaded, table), decoded))
    n_layers = find_decoder(loaded.model).n_layers
    replay, stored = Replay(loaded.model), []
    removals = [Removal(loaded.model, [a, b]) for a in range(4, n_layers) for b in range(a + 1, n_layers)]
    order = depth_first([removal.kept for removal in removals])
    with replay.batch():
        for position, following in pairwise([*order, None]):
            replay.variant(removals[position], None if following is None else removals[following])
            with removals[position].applied():
                loaded.model(**inputs)
            stored.append(len(replay._calls))
    assert len(removals) > n_layers > max(stored) > 4 and stored[-1] < n_layers


def test_a_layer_that_writes_elsewhere_is_never_replayed() -> None:
    inputs = words()
    model = build("llama")
    layers: nn.ModuleList = find_decoder(model).layers
    whole = layers[1].forward

    def meddling(*args: object, **kwargs: object) -> object:
        cache = kwargs["past_key_values"]
        cache.layers[0].keys = cache.layers[0].keys * 1.0
        return whole(*args, **kwargs)

    layers[1].forward = meddling
    removals = [Removal(model, [4]), Removal(model, [5])]
    replay = Replay(model)
    with torch.inference_mode():
        assert equal(together(model, removals, inputs, replay), alone(model, removals, inputs))
    assert replay.replayed == 0 and replay.hindrance == "a layer writes into the cache of others"
    assert vars(layers[1])["forward"] is meddling


@given(
    st.lists(
        st.lists(st.integers(0, 7), unique=True, max_size=6).map(lambda gone: sorted({*range(8)} - {*gone})),
        min_size=1,
        max_size=12,
    )
)
def test_depth_first_order_shares_every_prefix(kept: list[list[int]]) -> None:
    order = depth_first(kept)
    assert sorted(order) == list(range(len(kept)))
    computed = len(kept[order[0]])
    for before, after in pairwise(order):
        shared = next(
            (depth for depth, (a, b) in enumerate(zip(kept[before], kept[after], strict=False)) if a != b),
            min(len(kept[before]), len(kept[after])),
        )
        computed += len(kept[after]) - shared
    assert computed == trie_size(kept)
