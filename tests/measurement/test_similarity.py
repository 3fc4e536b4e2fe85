"""Similarity is what a plain computation, which stores every hidden state and uses float64, gives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pruning_regimes.demo import datasets
from pruning_regimes.inference import prompts
from pruning_regimes.inference.passes import last_logits
from pruning_regimes.jobs.errors import ModelError
from pruning_regimes.measurement import profiles, similarity
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import find_decoder
from pruning_regimes.tables.contracts import TOKEN_GROUPS
from tests.helpers.families import images, quick_first, words
from tests.models.test_families import PATHS, SUPPORTED, model

# Images come before the prompt's tokens there, so that it cannot be told which token is which.
UNTOLD = {"git"}
Streams = dict[int, tuple[Tensor, Tensor]]


@pytest.fixture(scope="module")
def samples() -> pl.DataFrame:
    """Calibration samples with prompts of unequal lengths."""
    return datasets.calibration_table(["attributes", "chart", "reading"], 7, seed=0)


@torch.inference_mode()
def stored(net: PreTrainedModel, layers: nn.ModuleList, inputs: Mapping[str, Tensor]) -> Streams:
    """Each layer's input and output, [B, T, D] float64, with parallel streams side by side."""
    seen: dict[int, list[Tensor]] = {}
    shape = inputs["input_ids"].shape

    def keep(index: int, states: Any) -> None:
        states = (states[0] if isinstance(states, tuple) else states).double()
        if states.shape[:2] != shape:
            states = torch.stack(list(states), 2)
        seen.setdefault(index, []).append(states.reshape(*shape, -1).clone())

    handles = []
    for index, layer in enumerate(layers):
        handles.append(layer.register_forward_pre_hook(lambda _, args, index=index: keep(index, args)))
        handles.append(layer.register_forward_hook(lambda _, __, output, index=index: keep(index, output)))
    net(**inputs, use_cache=False)
    for handle in handles:
        handle.remove()
    return {index: (x, y) for index, (x, y) in seen.items()}


def cosine(x: Tensor, y: Tensor) -> float:
    """Of two float64 vectors; zeros are at a right angle to all but themselves."""
    lengths = float(x.norm() * y.norm())
    return float(x @ y) / lengths if lengths else float(torch.equal(x, y))


def angle(x: Tensor, y: Tensor) -> float:
    """Angular distance of two float64 vectors."""
    return math.acos(max(-1.0, min(1.0, cosine(x, y)))) / math.pi


def update(x: Tensor, y: Tensor) -> float:
    """Relative update of a float64 vector, 1 for zeros that change."""
    return float((y - x).norm() / x.norm()) if x.any() else float(y.any())


def expected(states: Streams, groups: Mapping[str, list[int]], row: int) -> tuple[np.ndarray, np.ndarray]:
    """Statistics [L, groups, 3] and block distances [L + 1, L + 1] of one sample by the definitions, token by token."""
    values = np.full((len(states), len(groups), 3), np.nan)
    for layer, (x, y) in states.items():
        for column, tokens in enumerate(groups.values()):
            pairs = [(x[row, t], y[row, t]) for t in tokens]
            if pairs:
                values[layer, column] = np.mean([[f(a, b) for f in (cosine, update, angle)] for a, b in pairs], 0)
    (last,) = groups["last"]
    points = [states[layer][0][row, last] for layer in sorted(states)] + [states[max(states)][1][row, last]]
    return values, np.array([[angle(a, b) for b in points] for a in points])


def groups_of(ids: list[int], mask: list[int], image_token: int | None) -> dict[str, list[int]]:
    """Positions of each token group of one sample."""
    real = [i for i, m in enumerate(mask) if m]
    image = [i for i in real if ids[i] == image_token]
    return {"all": real, "image": image, "text": [i for i in real if i not in image], "last": real[-1:]}


def agree(
    net: PreTrainedModel, layers: nn.ModuleList, inputs: Mapping[str, Tensor], image_token: int | None
) -> similarity.Means:
    """Compare what is measured on one batch with what the definitions give."""
    masks = similarity.token_groups(inputs["input_ids"], inputs["attention_mask"], image_token)
    found = similarity.observe(net, layers, inputs, masks)
    states = stored(net, layers, inputs)
    assert len(states) == len(layers) == found.statistics.shape[1]
    for row, (ids, mask) in enumerate(zip(inputs["input_ids"], inputs["attention_mask"], strict=True)):
        of = groups_of(ids.tolist(), mask.tolist(), image_token)
        statistics, blocks = expected(states, of, row)
        assert found.counts[row].tolist() == [len(of[name]) for name in TOKEN_GROUPS]
        np.testing.assert_allclose(found.statistics[row], statistics, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found.blocks[row], blocks, rtol=0, atol=1e-5)
    return found


@contextmanager
def padded(loaded: loading.Loaded, side: str) -> Iterator[None]:
    """Batches padded on one side."""
    before = loaded.tokenizer.padding_side
    loaded.tokenizer.padding_side = side
    try:
        yield
    finally:
        loaded.tokenizer.padding_side = before


def batch(loaded: loading.Loaded, samples: pl.DataFrame) -> Mapping[str, Tensor]:
    """The samples as one batch."""
    decoded = [prompts.decode(encoded) for encoded in samples["images"].to_list()]
    return prompts.inputs(loaded, prompts.prompts(loaded, samples), decoded)


def layers_of(loaded: loading.Loaded) -> nn.ModuleList:
    """The decoder layers."""
    return find_decoder(loaded.model).layers


@pytest.mark.parametrize("side", ["left", "right"])
def test_it_is_what_the_definitions_give(loaded: loading.Loaded, samples: pl.DataFrame, side: str) -> None:
    with padded(loaded, side):
        inputs = batch(loaded, samples)
    assert (inputs["attention_mask"] == 0).any()
    found = agree(loaded.model, layers_of(loaded), inputs, prompts.image_token_id(loaded.model))
    assert found.statistics[..., 0].min() < 0.99


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch_size", [1, 2, 7, 100])
def test_batch_size_and_padding_side_change_nothing(
    loaded: loading.Loaded, samples: pl.DataFrame, batch_size: int, side: str
) -> None:
    alone = similarity.measure(loaded, samples, 1)
    with padded(loaded, side):
        together = similarity.measure(loaded, samples, batch_size)
    for a, b in zip(alone, together, strict=True):
        values = [name for name, dtype in a.schema.items() if dtype == pl.Float32]
        assert a.drop(values).equals(b.drop(values))
        assert len(a) and all((a[name] - b[name]).abs().max() < 1e-5 for name in values)


def test_the_tables_hold_what_was_measured(loaded: loading.Loaded, samples: pl.DataFrame) -> None:
    layers = layers_of(loaded)
    table, blocks = similarity.measure(loaded, samples, 3)
    n = len(layers)
    row = 4
    inputs = batch(loaded, samples[row : row + 1])
    masks = similarity.token_groups(inputs["input_ids"], inputs["attention_mask"], prompts.image_token_id(loaded.model))
    means = similarity.observe(loaded.model, layers, inputs, masks)
    mine = pl.col("sample_id") == samples["sample_id"][row]
    assert table["sample_id"].unique(maintain_order=True).equals(samples["sample_id"])
    for layer, group, count, *values in table.filter(mine).drop("sample_id").iter_rows():
        column = TOKEN_GROUPS.index(group)
        assert count == means.counts[0, column]
        assert values == pytest.approx(means.statistics[0, layer, column].tolist(), abs=1e-5)
    rows = blocks.filter(mine).drop("sample_id").rows()
    assert [row[:2] for row in rows] == [(s, length) for s in range(n) for length in range(1, n - s + 1)]
    assert [d for _, _, d in rows] == pytest.approx([means.blocks[0, s, s + length] for s, length, _ in rows], abs=1e-5)
    # No features are injected at the last token, so that a block of one layer is that layer.
    single = blocks.filter(pl.col("length") == 1).sort("sample_id", "start")["angular_distance"]
    last = table.filter(pl.col("token_group") == "last").sort("sample_id", "layer")["angular_distance"]
    assert (single - last).abs().max() < 1e-6


def test_the_last_output_is_before_the_final_norm(loaded: loading.Loaded, samples: pl.DataFrame) -> None:
    decoder, inputs, seen = find_decoder(loaded.model), batch(loaded, samples[:1]), []
    handles = [decoder.layers[-1].register_forward_pre_hook(lambda _, args: seen.append(args[0]))]
    handles += [decoder.owner.norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))]
    options = []
    handles += [loaded.model.register_forward_pre_hook(lambda *args: options.append(args[2]), with_kwargs=True)]
    masks = similarity.token_groups(inputs["input_ids"], inputs["attention_mask"], None)
    found = similarity.observe(loaded.model, decoder.layers, inputs, masks)
    changed = found.statistics[0, -1, TOKEN_GROUPS.index("last"), 1]
    for handle in handles:
        handle.remove()
    before, after = (states[0, -1].double() for states in seen)
    assert found.blocks[0, -2, -1] == pytest.approx(angle(before, after), abs=1e-6)
    assert changed == pytest.approx(update(before, after), rel=1e-5)
    # What a user of output_hidden_states would compare with instead.
    assert "output_hidden_states" not in options[0] and not loaded.model.config.output_hidden_states
    with torch.inference_mode():
        normed = loaded.model(**inputs, output_hidden_states=True).hidden_states[-1][0, -1].double()
    assert abs(update(before, normed) - changed) > 1


@pytest.mark.parametrize("family", quick_first(SUPPORTED))
def test_it_is_what_the_definitions_give_in_every_family(family: str) -> None:
    net = model(family)
    layers, inputs = find_decoder(net, PATHS.get(family)).layers, images(family, net) or words()
    if family in UNTOLD:
        with pytest.raises(ModelError, match="it cannot be told which of them are which"):
            agree(net, layers, inputs, None)
    else:
        agree(net, layers, inputs, prompts.image_token_id(net))


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen3_vl_moe"])
def test_injected_features_are_part_of_a_layers_input(family: str) -> None:
    net = model(family)
    inputs, layers = images(family, net), find_decoder(net).layers
    assert inputs
    states, image = stored(net, layers, inputs), inputs["input_ids"] == net.config.image_token_id
    assert not torch.allclose(states[0][1][image], states[1][0][image])
    found = agree(net, layers, inputs, net.config.image_token_id).statistics[0, 1, TOKEN_GROUPS.index("image"), 0]
    with torch.inference_mode():
        _, x, y, *_ = net(**inputs, output_hidden_states=True).hidden_states
    recorded = torch.cosine_similarity(x[0, image[0]], y[0, image[0]], dim=-1).mean()
    assert abs(float(recorded) - found) > 1e-3


def test_the_head_sees_the_last_token_alone(loaded: loading.Loaded, samples: pl.DataFrame) -> None:
    head, seen = loaded.model.get_output_embeddings(), []
    handle = head.register_forward_hook(lambda _, args, output: seen.append((args[0].shape[1], output.shape[1])))
    similarity.measure(loaded, samples, 4)
    handle.remove()
    assert seen == [(1, 1), (1, 1)]


def test_nothing_that_is_kept_holds_a_hidden_state(loaded: loading.Loaded, samples: pl.DataFrame) -> None:
    inputs = batch(loaded, samples)
    masks = similarity.token_groups(inputs["input_ids"], inputs["attention_mask"], None)
    with torch.inference_mode(), similarity.watched(layers_of(loaded), masks) as trace:
        loaded.model(**inputs)
    kept = [*trace.magnitudes, *trace.points]
    assert len(trace.points) == len(layers_of(loaded)) + 1
    assert all(part.untyped_storage().nbytes() == part.numel() * part.element_size() for part in kept)
    n_tokens, n_samples = masks[0].numel(), len(samples)
    assert {tuple(part.shape) for part in trace.magnitudes} == {(n_tokens,)}
    assert {part.shape[0] for part in trace.points} == {n_samples}


def test_no_hook_stays_behind(loaded: loading.Loaded, samples: pl.DataFrame) -> None:
    modules, groups = [loaded.model.lm_head, *layers_of(loaded)], torch.ones(4, 1, 1, dtype=torch.bool)

    def hooks() -> list[int]:
        return [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules]

    before = hooks()
    similarity.measure(loaded, samples.head(1), batch_size=1)
    assert hooks() == before
    with (
        pytest.raises(ZeroDivisionError),
        similarity.watched(layers_of(loaded), groups),
        last_logits(loaded.model, 1),
    ):
        assert all(now > then for now, then in zip(hooks(), before, strict=True))
        raise ZeroDivisionError
    assert hooks() == before


def test_when_memory_runs_out_the_rest_is_measured_in_smaller_batches(
    loaded: loading.Loaded, samples: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, forward, sizes = similarity.measure(loaded, samples, 2), loaded.model.forward, []

    def full(**inputs: Any) -> Any:
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError
        return forward(**inputs)

    monkeypatch.setattr(loaded.model, "forward", full)
    halved = similarity.measure(loaded, samples, 4)
    assert sizes == [4, 2, 2, 2, 1]
    assert all(a.equals(b) for a, b in zip(whole, halved, strict=True))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("layer", range(6))
def test_a_damaged_layer_is_named(layer: int, value: float) -> None:
    net, inputs = model("qwen3_vl"), images("qwen3_vl", model("qwen3_vl")) or {}
    layers = find_decoder(net).layers
    masks = similarity.token_groups(inputs["input_ids"], inputs["attention_mask"], net.config.image_token_id)
    weight = layers[layer].mlp.down_proj.weight
    before = weight.detach().clone()
    try:
        with torch.no_grad():
            weight[3, 5] = value
        with pytest.raises(ModelError, match=rf"NaN or infinite when it leaves decoder layer {layer};"):
            similarity.observe(net, layers, inputs, masks)
    finally:
        with torch.no_grad():
            weight.copy_(before)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_damage_before_the_first_layer_is_told_from_damage_in_it(value: float) -> None:
    net, inputs = model("llama"), words()
    masks = similarity.token_groups(inputs["input_ids"], inputs["attention_mask"], None)
    weight = net.get_input_embeddings().weight
    before = weight.detach().clone()
    try:
        with torch.no_grad():
            weight[inputs["input_ids"][0, 4]] = value
        with pytest.raises(ModelError, match="when it enters decoder layer 0;"):
            similarity.observe(net, find_decoder(net).layers, inputs, masks)
    finally:
        with torch.no_grad():
            weight.copy_(before)


def test_what_stands_at_padding_does_not_matter() -> None:
    net, inputs = model("llama"), words()
    layers = find_decoder(net).layers
    masks = similarity.token_groups(inputs["input_ids"], inputs["attention_mask"], None)
    sound = similarity.observe(net, layers, inputs, masks)
    padding = (inputs["attention_mask"] == 0).unsqueeze(-1)
    with layers[2].register_forward_hook(lambda _, __, y: torch.where(padding, float("nan"), y)):
        found = similarity.observe(net, layers[:3], inputs, masks)
    np.testing.assert_array_equal(found.statistics, sound.statistics[:, :3])


def test_a_layer_that_overwrites_its_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net, inputs = model("llama"), words()
    layers, masks = find_decoder(net).layers, similarity.token_groups(*words().values(), None)
    monkeypatch.setattr(layers[2], "forward", lambda states, **_: states.add_(0.01))
    with pytest.raises(ModelError, match="decoder layer 2 overwrites its input"):
        similarity.observe(net, layers, inputs, masks)


def test_layers_that_do_not_run_once_are_refused() -> None:
    net, masks = model("llama"), similarity.token_groups(*words().values(), None)
    layers = nn.ModuleList([*find_decoder(net).layers, nn.Identity()])
    with pytest.raises(ModelError, match="has 7 decoder layers, but ran 6;"):
        similarity.observe(net, layers, words(), masks)


def test_token_groups_by_hand() -> None:
    ids = torch.tensor([[0, 9, 9, 5], [9, 5, 6, 0]])
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 0]])
    expected = {
        "all": [[0, 1, 1, 1], [1, 1, 1, 0]],
        "image": [[0, 1, 1, 0], [1, 0, 0, 0]],
        "text": [[0, 0, 0, 1], [0, 1, 1, 0]],
        "last": [[0, 0, 0, 1], [0, 0, 1, 0]],
    }
    assert similarity.token_groups(ids, mask, 9).int().tolist() == [expected[name] for name in TOKEN_GROUPS]
    assert not similarity.token_groups(ids, mask, None)[1].any()


def test_a_profile_weighs_samples_alike_whatever_their_length() -> None:
    rows = [
        {"sample_id": s, "layer": 0, "token_group": "all", "n_tokens": n, "cosine": c, "relative_update": 0.0,
         "angular_distance": 0.0}
        for s, n, c in (("a", 1, 0.0), ("b", 99, 1.0), ("c", 5, 0.8))
    ]  # fmt: skip
    row = profiles.profile("m", {"math": pl.DataFrame(rows)}).row(0, named=True)
    assert row["cosine"] == pytest.approx(0.6, abs=1e-6) and row["n_samples"] == 3
    assert row["cosine_p10"] == pytest.approx(0.16, abs=1e-6) and row["cosine_p90"] == pytest.approx(0.96, abs=1e-6)
