"""Cosines over windows are what a plain computation, which stores every hidden state and uses float64, gives."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from transformers import PreTrainedModel

from pruning_regimes import tables
from pruning_regimes.demo import datasets
from pruning_regimes.inference import prompts
from pruning_regimes.jobs.errors import DataError, ModelError
from pruning_regimes.measurement import similarity, windows
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import find_decoder, inspect
from pruning_regimes.tables.contracts import TOKEN_GROUPS
from tests.conftest import entry
from tests.helpers import ROOT
from tests.helpers.families import images, words
from tests.measurement.test_similarity import batch, cosine, groups_of, layers_of, padded, stored
from tests.models.test_families import model

SCRIPT = ROOT / "scripts" / "windows.py"
# Features injected in two ways, into a prompt of zeros too; states in parallel streams; cross-attention; text alone.
FAMILIES = ("qwen3_vl", "qwen3_vl_moe", "granite4_vision", "glm5_next", "gemma3n_text", "mllama", "llava", "llama")


@pytest.fixture(scope="module")
def samples() -> pl.DataFrame:
    """Calibration samples with prompts of unequal lengths, the last of which has no image."""
    table = datasets.calibration_table(["attributes", "chart", "reading"], 7, seed=0)
    without = table[-1:].with_columns(images=pl.Series([[]], dtype=pl.List(pl.Binary)))
    return pl.concat([table[:-1], without])


def masks(inputs: Mapping[str, Tensor], image_token: int | None = None) -> Tensor:
    """The token groups of a batch."""
    return similarity.token_groups(inputs["input_ids"], inputs["attention_mask"], image_token)


def agree(net: PreTrainedModel, layers: nn.ModuleList, inputs: Mapping[str, Tensor], image_token: int | None) -> Tensor:
    """Compare what is measured on one batch with what the definition gives, token by token; what was measured."""
    found = windows.observe(net, layers, inputs, masks(inputs, image_token))
    enters = [x for _, (x, _) in sorted(stored(net, layers, inputs).items())]
    spans = windows.spans(len(layers)).tolist()
    assert found.cosine.dtype == np.float32 and found.cosine.shape[1:] == (len(spans), len(TOKEN_GROUPS))
    for row, (ids, mask) in enumerate(zip(inputs["input_ids"], inputs["attention_mask"], strict=True)):
        groups = groups_of(ids.tolist(), mask.tolist(), image_token)
        assert found.counts[row].tolist() == [len(groups[name]) for name in TOKEN_GROUPS]
        for column, name in enumerate(TOKEN_GROUPS):
            for window, (start, length) in enumerate(spans):
                values = [cosine(enters[start][row, t], enters[start + length][row, t]) for t in groups[name]]
                expected = np.mean(values) if values else np.nan
                np.testing.assert_allclose(found.cosine[row, window, column], expected, rtol=0, atol=1e-5)
    return found.cosine


def test_the_windows_of_a_model() -> None:
    assert sorted(windows.spans(5).tolist()) == [[0, 2], [0, 3], [1, 2], [1, 3], [2, 2]]
    assert windows.spans(4).tolist() == [[0, 2], [1, 2], [0, 3]]
    assert windows.spans(3).tolist() == [[0, 2]]
    assert windows.spans(2).shape == windows.spans(1).shape == (0, 2)


@pytest.mark.parametrize("side", ["left", "right"])
def test_it_is_what_the_definition_gives(loaded: loading.Loaded, samples: pl.DataFrame, side: str) -> None:
    with padded(loaded, side):
        inputs = batch(loaded, samples)
    assert (inputs["attention_mask"] == 0).any()
    found = agree(loaded.model, layers_of(loaded), inputs, prompts.image_token_id(loaded.model))
    assert np.nanmin(found) < 0.99


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_what_the_definition_gives_in_a_family(family: str) -> None:
    net = model(family)
    layers = find_decoder(net).layers
    agree(net, layers, images(family, net) or words(), prompts.image_token_id(net))


def test_features_injected_after_a_window_are_part_of_it() -> None:
    net = model("qwen3_vl")
    inputs, layers, token = images("qwen3_vl", net), find_decoder(net).layers, net.config.image_token_id
    assert inputs
    states, image = stored(net, layers, inputs), (inputs["input_ids"] == token)[0]
    assert not torch.allclose(states[1][1][0, image], states[2][0][0, image])  # injected after layer 1
    before = torch.cosine_similarity(states[0][0][0, image], states[1][1][0, image], dim=-1).mean()
    window = windows.spans(len(layers)).tolist().index([0, 2])
    assert abs(agree(net, layers, inputs, token)[0, window, TOKEN_GROUPS.index("image")] - float(before)) > 1e-3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_compared_in_float32(dtype: torch.dtype) -> None:
    net, inputs = model("llama"), words()
    layers = find_decoder(net).layers
    try:
        agree(net.to(dtype), layers, inputs, None)
    finally:
        model.cache_clear()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch_size", [2, 100])
def test_batch_size_and_padding_side_change_nothing(
    loaded: loading.Loaded, samples: pl.DataFrame, batch_size: int, side: str
) -> None:
    alone = windows.measure(loaded, samples, 1)
    with padded(loaded, side):
        together = windows.measure(loaded, samples, batch_size)
    assert len(alone) and alone.drop("cosine").equals(together.drop("cosine"))
    assert (alone["cosine"] - together["cosine"]).abs().max() < 1e-5


def test_the_table_holds_what_was_measured(loaded: loading.Loaded, samples: pl.DataFrame) -> None:
    table, row, net, layers = windows.measure(loaded, samples, 3), 4, loaded.model, layers_of(loaded)
    assert table.equals(tables.frame("windows", table))
    assert table["sample_id"].unique(maintain_order=True).equals(samples["sample_id"])
    inputs, spans = batch(loaded, samples[row : row + 1]), windows.spans(len(layers)).tolist()
    found = windows.observe(net, layers, inputs, masks(inputs, prompts.image_token_id(net))).cosine[0]
    mine = table.filter(pl.col("sample_id") == samples["sample_id"][row]).drop("sample_id")
    assert mine.drop("cosine").rows() == [
        (*span, group) for span in sorted(map(tuple, spans)) for group in TOKEN_GROUPS
    ]
    for start, length, group, value in mine.iter_rows():
        assert value == pytest.approx(found[spans.index([start, length]), TOKEN_GROUPS.index(group)], abs=1e-5)


def test_a_token_group_that_a_sample_lacks_has_no_rows(loaded: loading.Loaded, samples: pl.DataFrame) -> None:
    of = windows.measure(loaded, samples, 3).group_by("sample_id", maintain_order=True).agg(pl.col("token_group"))
    *others, last = (set(groups) for groups in of["token_group"])
    assert all(groups == set(TOKEN_GROUPS) for groups in others) and last == {"all", "text", "last"}


def test_a_shallow_model_has_the_windows_that_exist(
    loaded: loading.Loaded, samples: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers, whole = layers_of(loaded), windows.measure(loaded, samples, 3)
    for n in (4, 3, 2, 1):
        with monkeypatch.context() as patch:
            patch.setattr(layers, "_modules", dict(list(layers._modules.items())[:n]))
            patch.setattr(loaded.model.config.get_text_config(decoder=True), "num_hidden_layers", n)
            table = windows.measure(loaded, samples, 3)
        expected = whole.filter(pl.col("start") + pl.col("length") < n)
        assert table.schema == whole.schema and table.drop("cosine").equals(expected.drop("cosine"))
        assert table["cosine"].to_list() == pytest.approx(expected["cosine"].to_list(), abs=1e-6)
        assert table.is_empty() == (n < 3)


def test_four_hidden_states_are_held_at_most(
    loaded: loading.Loaded, samples: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, held = [], []
    layers, magnitudes = layers_of(loaded), windows.magnitudes

    def alive() -> list[int]:
        return [layer for layer, state in enumerate(entered) if not state.expired()]

    def counted(x: Tensor, y: Tensor) -> list[Tensor]:
        held.append(alive())
        return magnitudes(x, y)

    monkeypatch.setattr(windows, "magnitudes", counted)
    handles = [
        layer.register_forward_pre_hook(lambda _, states: entered.append(StorageWeakRef(states[0].untyped_storage())))
        for layer in layers
    ]
    inputs = batch(loaded, samples)
    windows.observe(loaded.model, layers, inputs, masks(inputs))
    for handle in handles:
        handle.remove()
    # The model itself holds what enters layer 0.
    ends = windows.spans(len(layers)).sum(1).tolist()
    assert held == [[0, *range(max(1, end - 3), end + 1)] for end in ends]
    assert alive() == []


def test_no_hook_stays_behind(loaded: loading.Loaded, samples: pl.DataFrame) -> None:
    layers = layers_of(loaded)

    def hooks() -> list[int]:
        return [len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in layers]

    before = hooks()
    windows.measure(loaded, samples.head(1), 1)
    assert hooks() == before
    with pytest.raises(ZeroDivisionError), windows.watched(layers, torch.ones(4, 1, 1, dtype=torch.bool)):
        assert all(now > then for now, then in zip(hooks(), before, strict=True))
        raise ZeroDivisionError
    assert hooks() == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("layer", range(5))
def test_a_damaged_layer_is_named(layer: int, value: float) -> None:
    net, inputs = model("llama"), words()
    layers = find_decoder(net).layers
    place = (inputs["attention_mask"] == 1).nonzero()[5]

    def spoil(_: nn.Module, __: tuple, y: Tensor) -> Tensor:
        return y.index_put(tuple(place), torch.tensor(value))

    with (
        layers[layer].register_forward_hook(spoil),
        pytest.raises(ModelError, match=rf"^LlamaFor.*: a token is NaN or infinite when it enters .* {layer + 1};"),
    ):
        windows.observe(net, layers, inputs, masks(inputs))


def test_damage_before_the_first_layer_and_next_to_zeros_is_named() -> None:
    net, inputs = model("llama"), words()
    layers = find_decoder(net).layers
    embeddings = net.get_input_embeddings()
    with (
        embeddings.register_forward_hook(lambda _, __, y: y.fill_(float("nan"))),
        pytest.raises(ModelError, match="when it enters decoder layer 0;"),
    ):
        windows.observe(net, layers, inputs, masks(inputs))
    # A vector of zeros is at a right angle to whatever follows.
    with (
        embeddings.register_forward_hook(lambda _, __, y: y.fill_(0)),
        layers[1].register_forward_hook(lambda _, __, y: y.fill_(float("inf"))),
        pytest.raises(ModelError, match="when it enters decoder layer 2;"),
    ):
        windows.observe(net, layers[:3], inputs, masks(inputs))


def test_what_stands_at_padding_does_not_matter() -> None:
    net, inputs = model("llama"), words()
    layers, padding = find_decoder(net).layers, (inputs["attention_mask"] == 0).unsqueeze(-1)
    sound = windows.observe(net, layers, inputs, masks(inputs))
    with layers[4].register_forward_hook(lambda _, __, y: torch.where(padding, float("nan"), y)):
        found = windows.observe(net, layers, inputs, masks(inputs))
    np.testing.assert_array_equal(found.cosine, sound.cosine)


def test_layers_that_overwrite_their_input_or_do_not_run_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net, inputs = model("llama"), words()
    layers = find_decoder(net).layers
    with pytest.raises(ModelError, match="has 7 decoder layers, but ran 6;"):
        windows.observe(net, nn.ModuleList([*layers, nn.Identity()]), inputs, masks(inputs))
    monkeypatch.setattr(layers[2], "forward", lambda states, **_: states.add_(0.01))
    with pytest.raises(ModelError, match="decoder layer 2 overwrites its input"):
        windows.observe(net, layers, inputs, masks(inputs))


def test_when_memory_runs_out_batches_get_smaller_and_one_sample_is_named(
    loaded: loading.Loaded, samples: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, forward, room = windows.measure(loaded, samples, 2), loaded.model.forward, 2

    def full(**inputs: Any) -> Any:
        if len(inputs["input_ids"]) > room:
            raise torch.OutOfMemoryError
        return forward(**inputs)

    monkeypatch.setattr(loaded.model, "forward", full)
    assert windows.measure(loaded, samples, 4).equals(whole)
    room = 0
    name = samples["sample_id"][2]
    with pytest.raises(DataError, match=f"^Calibration sample '{name}' does not fit into memory by itself"):
        windows.measure(loaded, samples[2:3], 4)


def test_a_broken_image_is_named(loaded: loading.Loaded, samples: pl.DataFrame) -> None:
    pictures = [samples["images"].to_list()[0], [b"x"]]
    table = samples[:2].with_columns(images=pl.Series(pictures, dtype=pl.List(pl.Binary)))
    with pytest.raises(
        DataError, match=f"^Calibration sample '{table['sample_id'][1]}': An image cannot be opened: .*1 bytes"
    ):
        windows.measure(loaded, table, 2)


def test_the_script_writes_the_table(
    model_directory: Path, loaded: loading.Loaded, samples: pl.DataFrame, tmp_path: Path
) -> None:
    decoder, calibration, output = (str(tmp_path / f"{name}.parquet") for name in ("decoder", "calibration", "windows"))
    found = inspect(loading.Source(entry(model_directory)).skeleton(), None)
    tables.write([{"model": "m", "model_id": "m", "revision": "main", **found}], "decoder", decoder, {})
    tables.write(samples, "calibration", calibration, {"entry": "demo"})
    runpy.run_path(str(SCRIPT))["main"](entry(model_directory), decoder, calibration, output, 3, 2)
    assert tables.read(output, "windows").equals(windows.measure(loaded, samples, 3))
    made_from = tables.provenance(output)
    assert made_from["model"]["decoder_path"] == found["decoder_path"] and made_from["calibration"]["entry"] == "demo"
