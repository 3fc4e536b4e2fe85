"""A layer's importance is what plain autograd gives; nothing of the measurement stays in the model."""

from __future__ import annotations

import runpy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest
import torch

from pruning_regimes import tables
from pruning_regimes.demo import datasets
from pruning_regimes.inference import prompts
from pruning_regimes.jobs.errors import DataError, ModelError
from pruning_regimes.measurement import importance, teacher_forcing
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import find_decoder, inspect
from tests.conftest import entry
from tests.helpers import ROOT
from tests.helpers.families import build, images, words

Samples = dict[str, pl.DataFrame]
SCRIPT = ROOT / "scripts" / "importance.py"


@pytest.fixture(scope="module")
def samples() -> Samples:
    """Two domains of unequal size, prompts and answers of unequal lengths; one sample without an answer."""
    math = datasets.calibration_table(["arithmetic", "chart"], 5, seed=0)
    return {
        "math": math.with_columns(answer=pl.when(pl.int_range(pl.len()) != 2).then("answer")),
        "general": datasets.calibration_table(["reading", "attributes"], 3, seed=0),
    }


@pytest.fixture
def loaded(loaded: loading.Loaded) -> Iterator[loading.Loaded]:
    """The model, which every test leaves as it was."""
    yield loaded
    assert not loaded.model.training and not loaded.model.get_output_embeddings()._forward_pre_hooks
    for weight in loaded.model.parameters():
        assert weight.requires_grad and weight.grad is None and not weight._post_accumulate_grad_hooks


def plain(loaded: loading.Loaded, samples: Samples) -> list[float]:
    """The same from one batch, whole logits and plain autograd."""
    # The demo's chat template puts nothing between the prompt and an answer.
    asked = [
        (prompts.prompt(loaded, question, 1) + answer, prompts.decode(encoded), domain)
        for domain, table in samples.items()
        for question, answer, encoded in table.drop_nulls().select("question", "answer", "images").iter_rows()
    ]
    said = [answer for table in samples.values() for answer in table["answer"].drop_nulls()]
    n_tokens = [len(loaded.tokenizer(answer)["input_ids"]) for answer in said]
    batch = prompts.inputs(loaded, [text for text, _, _ in asked], [shown for _, shown, _ in asked])
    domains = [domain for _, _, domain in asked]
    logits = loaded.model(**batch).logits.log_softmax(-1)
    loss = 0.0
    for row, n in enumerate(n_tokens):
        nll = -sum(logits[row, -k - 1, batch["input_ids"][row, -k]] for k in range(1, n + 1))
        loss = loss + nll / n / domains.count(domains[row]) / len(samples)
    loss.backward()
    found = [
        sum(float((weight * weight.grad).detach().double().abs().sum()) for weight in layer.parameters())
        for layer in find_decoder(loaded.model).layers
    ]
    loaded.model.zero_grad()
    return found


def test_it_is_what_autograd_gives_at_any_batch_size(loaded: loading.Loaded, samples: Samples) -> None:
    expected = plain(loaded, samples)
    for size in (1, 100):
        table = importance.measure(loaded, samples, size)
        assert table["layer"].to_list() == list(range(find_decoder(loaded.model).n_layers))
        assert table["importance"].to_list() == pytest.approx(expected, rel=1e-5)


def test_gradients_are_summed_up_in_float32_before_the_absolute_value(
    loaded: loading.Loaded, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = {domain: pl.concat([table, table]) for domain, table in samples.items()}
    once = importance.measure(loaded, samples, 4)["importance"].to_list()
    assert importance.measure(loaded, twice, 4)["importance"].to_list() == pytest.approx(once, rel=1e-5)
    # Of two samples whose gradients are opposite nothing is left.
    calls, whole = [], teacher_forcing.nll

    def turned(*arguments: object) -> torch.Tensor:
        calls.append(1)
        return whole(*arguments) * (-1) ** len(calls)

    monkeypatch.setattr(importance, "nll", turned)
    same = {"math": pl.concat([samples["math"][:1]] * 2)}
    assert max(importance.measure(loaded, same, 1)["importance"]) < 1e-5 * max(once) and len(calls) == 2


def test_half_precision_keeps_the_sums_of_its_gradients(
    loaded: loading.Loaded, samples: Samples, model_directory: Path
) -> None:
    half = loading.load({**entry(model_directory), "dtype": "bfloat16"}, threads=1)
    layers, encoded = find_decoder(half.model).layers, []
    asked = teacher_forcing.answered(half, samples)
    list(teacher_forcing.batched(half, asked, 8, lambda _, batch: encoded.append(batch)))
    with importance.summed(half.model, layers) as gradients:
        for _ in range(2):
            teacher_forcing.nll(half.model, encoded[0], [1] * len(asked)).sum().backward()
            assert not [weight for weight in half.model.parameters() if weight.grad is not None]
    assert {weight.dtype for weight in gradients} == {torch.bfloat16}
    assert {gradient.dtype for gradient in gradients.values()} == {torch.float32}
    assert set(gradients) == set(layers.parameters())
    exact, rounded = (importance.measure(model, samples, 4)["importance"].to_list() for model in (loaded, half))
    assert rounded == pytest.approx(exact, rel=0.05)


def test_a_weight_of_several_layers_counts_in_each(loaded: loading.Loaded, samples: Samples) -> None:
    layers = find_decoder(loaded.model).layers
    apart = importance.measure(loaded, samples, 8)["importance"]
    own = layers[4].mlp
    try:
        layers[4].mlp = layers[3].mlp
        expected = plain(loaded, samples)
        shared = importance.measure(loaded, samples, 8)["importance"].to_list()
    finally:
        layers[4].mlp = own
    assert shared == pytest.approx(expected, rel=1e-5) and abs(shared[4] / apart[4] - 1) > 1e-3


@pytest.mark.parametrize("family", ["qwen3_vl", "gemma3n_text", "qwen3_vl_moe"])
def test_only_the_layers_weights_have_gradients(family: str) -> None:
    model = build(family)
    layers, inputs = find_decoder(model).layers, images(family, model) or words()
    first, *_ = (weight for weight in model.parameters() if weight not in set(layers.parameters()))
    first.requires_grad_(False)
    with importance.summed(model, layers) as gradients:
        loss = teacher_forcing.nll(model, inputs, [3, 5]).sum()
        loss.backward()
        assert {weight for weight in model.parameters() if weight.requires_grad} == set(layers.parameters())
    assert set(gradients) <= set(layers.parameters()) and len(gradients) > 6 * 6
    assert [weight for weight in model.parameters() if not weight.requires_grad] == [first]
    weight = layers[2].mlp.down_proj if hasattr(layers[2].mlp, "down_proj") else layers[2].self_attn.o_proj
    step = 1e-3 * gradients[weight.weight] / gradients[weight.weight].norm()
    with torch.no_grad():
        weight.weight += step
        change = float(teacher_forcing.nll(model, inputs, [3, 5]).sum() - loss)
    assert change == pytest.approx(1e-3 * float(gradients[weight.weight].norm()), rel=0.05)


def test_when_memory_runs_out_nothing_counts_twice(
    loaded: loading.Loaded, samples: Samples, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected, whole, sizes = importance.measure(loaded, samples, 2), teacher_forcing.nll, []

    class Full(torch.autograd.Function):
        """Runs out of memory on the way back."""

        @staticmethod
        def forward(ctx: object, states: torch.Tensor) -> torch.Tensor:
            return states.clone()

        @staticmethod
        def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError

    layers = find_decoder(loaded.model).layers

    def small(model: object, encoded: Mapping[str, torch.Tensor], n_tokens: Sequence[int]) -> torch.Tensor:
        sizes.append(len(n_tokens))
        if len(n_tokens) <= most:
            return whole(model, encoded, n_tokens)
        with layers[2].register_forward_hook(lambda _, __, output: Full.apply(output)):
            return whole(model, encoded, n_tokens)

    monkeypatch.setattr(importance, "nll", small)
    most = 2
    assert importance.measure(loaded, samples, 5).equals(expected)
    assert sizes == [5, 2, 2, 2, 1] and "all samples are tried in batches of 2" in caplog.text
    most = 0
    with pytest.raises(DataError, match=r"^Calibration sample '\w+-0000\d' does not fit into memory by itself; leave"):
        importance.measure(loaded, samples, 5)


def test_damaged_weights_are_told(loaded: loading.Loaded, samples: Samples) -> None:
    weight = find_decoder(loaded.model).layers[3].mlp.down_proj.weight
    before = weight.detach().clone()
    try:
        with torch.no_grad():
            weight[0, 0] = torch.nan
        with pytest.raises(
            ModelError, match=r"^Model '.*': the importance of decoder layer \d+ is NaN or infinite; .*\.$"
        ):
            importance.measure(loaded, samples, 8)
    finally:
        with torch.no_grad():
            weight.copy_(before)


def test_the_script_writes_the_table(
    loaded: loading.Loaded, model_directory: Path, samples: Samples, tmp_path: Path
) -> None:
    found = inspect(loaded.model) | {"model": "m", "model_id": "m", "revision": "r"}
    tables.write([found], "decoder", tmp_path / "decoder.parquet", {})
    paths = [str(tmp_path / f"{domain}.parquet") for domain in samples]
    for (domain, table), path in zip(samples.items(), paths, strict=True):
        tables.write(table, "calibration", path, {"domain": domain})
    output = str(tmp_path / "importance.parquet")
    decoder = str(tmp_path / "decoder.parquet")
    runpy.run_path(str(SCRIPT))["main"](entry(model_directory), decoder, list(samples), paths, output, 3, 2)
    expected = importance.measure(loaded, samples, 3)["importance"].to_list()
    assert tables.read(output, "importance")["importance"].to_list() == pytest.approx(expected, rel=1e-5)
    assert tables.provenance(output)["calibration"]["math"]["domain"] == "math"
