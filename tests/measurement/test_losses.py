"""Losses of answers are those of a plain computation; a search over layer sets resumes and chooses as it should."""

from __future__ import annotations

import json
import logging
import math
import runpy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from pruning_regimes import tables
from pruning_regimes.demo import datasets
from pruning_regimes.demo import models as demo_models
from pruning_regimes.inference import prompts
from pruning_regimes.inference.replay import trie_size
from pruning_regimes.jobs.errors import DataError, ModelError
from pruning_regimes.measurement import losses, teacher_forcing
from pruning_regimes.measurement.loss_tables import greedy_path, mean_losses
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import Removal, find_decoder, inspect, pruned
from tests.conftest import entry
from tests.helpers import ROOT

Samples = dict[str, pl.DataFrame]
CANDIDATES = [2, 5, 7, 8]
SCRIPT = ROOT / "scripts" / "losses.py"


def two_domains() -> Samples:
    """Domains of unequal size, prompts and answers of unequal lengths."""
    return {
        "math": datasets.calibration_table(["arithmetic", "chart"], 4, seed=0),
        "general": datasets.calibration_table(["reading", "attributes"], 3, seed=0),
    }


samples = pytest.fixture(scope="module")(two_domains)


def search(
    loaded: loading.Loaded, samples: Samples, path: Path, n_steps: int | None = None, size: int = 4
) -> tuple[losses.Tally, pl.DataFrame]:
    """What a search did and its table; greedy if it has steps."""
    journal = losses.Journal(path, {"by": "test"})
    if n_steps is None:
        tally = losses.leave_one_out(loaded, samples, CANDIDATES, size, journal)
    else:
        tally = losses.greedy(loaded, samples, CANDIDATES, n_steps, size, journal)
    return tally, tables.read(path, "losses")


def of_set(table: pl.DataFrame, removed: Sequence[int]) -> dict[tuple[str, str], float]:
    """(domain, sample) -> loss without a set of layers."""
    rows = table.select("domain", "sample_id", "removed", "nll").iter_rows()
    return {(domain, sample): nll for domain, sample, without, nll in rows if without == list(removed)}


def alone(
    loaded: loading.Loaded, samples: Samples, removed: Sequence[int], size: int = 4
) -> dict[tuple[str, str], float]:
    """The same, of a model that runs without these layers and nothing else."""
    found = {}

    def work(chosen: Sequence[teacher_forcing.Answered], encoded: Mapping[str, torch.Tensor]) -> None:
        values = teacher_forcing.nll(loaded.model, encoded, [len(sample.tokens) for sample in chosen])
        found.update({(s.domain, s.name): value for s, value in zip(chosen, values.tolist(), strict=True)})

    with torch.inference_mode(), pruned(loaded.model, removed):
        list(teacher_forcing.batched(loaded, teacher_forcing.answered(loaded, samples), size, work))
    return found


def mean(losses_: Mapping[tuple[str, str], float], n_tokens: Mapping[tuple[str, str], int]) -> float:
    """Over domains of the means over their samples."""
    by_domain: dict[str, list[float]] = {}
    for (domain, sample), nll in losses_.items():
        by_domain.setdefault(domain, []).append(nll / n_tokens[domain, sample])
    return sum(sum(values) / len(values) for values in by_domain.values()) / len(by_domain)


def test_losses_are_those_of_each_sample_by_itself(loaded: loading.Loaded, samples: Samples, tmp_path: Path) -> None:
    tally, table = search(loaded, samples, tmp_path / "l.parquet")
    assert table["removed"].to_list()[::7] == [[], [2], [5], [7], [8]] and tally.computed == len(table) == 5 * 7
    n_tokens = set()
    for domain, name, removed, nll, n in table.rows():
        if removed not in ([], [5]):
            continue
        asked = samples[domain].row(by_predicate=pl.col("sample_id") == name, named=True)
        # The demo's chat template puts nothing between the prompt and an answer.
        text, shown = prompts.prompt(loaded, asked["question"], 1), prompts.decode(asked["images"])
        whole = prompts.inputs(loaded, [text + asked["answer"]], [shown])
        ids, begin = whole["input_ids"][0], prompts.inputs(loaded, [text], [shown])["input_ids"].shape[1]
        with torch.inference_mode(), pruned(loaded.model, removed):
            logits = loaded.model(**whole).logits[0]
        expected = torch.nn.functional.cross_entropy(logits[begin - 1 : -1], ids[begin:], reduction="sum")
        assert n == len(ids) - begin and nll == pytest.approx(float(expected), rel=1e-5)
        n_tokens.add(n)
    assert len(n_tokens) > 1


def test_sets_that_share_a_batch_have_the_losses_of_each_alone(
    loaded: loading.Loaded, samples: Samples, tmp_path: Path
) -> None:
    calls: list[int] = []
    vision = next(m for n, m in loaded.model.named_modules() if n.endswith(("vision_tower", "vision_model")))
    handle = vision.embeddings.register_forward_hook(lambda *_: calls.append(1))
    tally, table = search(loaded, samples, tmp_path / "l.parquet", n_steps=2)
    handle.remove()
    sets = {tuple(removed) for removed in table["removed"]}
    assert len(sets) == 1 + 4 + 3 and tally.computed == len(sets) * 7
    for removed in sets:
        assert of_set(table, removed) == alone(loaded, samples, removed)
    layers = range(find_decoder(loaded.model).n_layers)
    kept = [[layer for layer in layers if layer not in removed] for removed in sets]
    first, second = [k for k in kept if len(k) >= len(layers) - 1], [k for k in kept if len(k) < len(layers) - 1]
    # Two steps of two batches each.
    assert len(calls) == 4 and tally.layers_computed == 2 * (trie_size(first) + trie_size(second))
    assert tally.layers_computed + tally.layers_replayed == 2 * sum(map(len, kept))
    assert not [module for module in loaded.model.modules() if "forward" in vars(module)]


def test_the_greedy_search_chooses_what_trying_everything_does(
    loaded: loading.Loaded, samples: Samples, tmp_path: Path
) -> None:
    _, table = search(loaded, samples, tmp_path / "l.parquet", n_steps=3)
    n_tokens = {(row[0], row[1]): row[2] for row in table.select("domain", "sample_id", "n_tokens").rows()}
    path: list[int] = []
    for _ in range(3):
        tried = {x: mean(alone(loaded, samples, sorted([*path, x])), n_tokens) for x in CANDIDATES if x not in path}
        path.append(min(tried, key=lambda layer: tried[layer]))
    assert greedy_path(mean_losses(table, ["math", "general"]), CANDIDATES, 3) == path
    sizes = table["removed"].list.len().value_counts().sort("removed").rows()
    assert sizes == [(0, 7), (1, 4 * 7), (2, 3 * 7), (3, 2 * 7)]


def test_a_search_that_breaks_off_computes_only_the_rest(
    loaded: loading.Loaded, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, expected = search(loaded, samples, tmp_path / "whole.parquet", n_steps=2, size=2)
    plain, calls = losses.nll, []

    def breaking(*arguments: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 4 * 5 + 3 + 1:  # four batches of the first step, and one of the second
            raise KeyboardInterrupt
        return plain(*arguments)

    path = tmp_path / "broken" / "l.parquet"
    monkeypatch.setattr(losses, "nll", breaking)
    with pytest.raises(KeyboardInterrupt):
        search(loaded, samples, path, n_steps=2, size=2)
    assert [file.name for file in path.parent.iterdir()] == [".l.lost"]
    monkeypatch.setattr(losses, "nll", plain)
    tally, resumed = search(loaded, samples, path, n_steps=2, size=2)
    assert tally.computed == whole.computed - 5 * 7 - 3 * 2 and resumed.equals(expected)
    assert [file.name for file in path.parent.iterdir()] == ["l.parquet"]
    # One more step than the finished table has, and again.
    assert search(loaded, samples, path, n_steps=3, size=2)[0].computed == 2 * 7
    assert search(loaded, samples, path, n_steps=2, size=2)[0] == losses.Tally(0, 0, 0)
    assert tables.read(path, "losses").equals(expected)


def test_what_changed_is_computed_anew(
    loaded: loading.Loaded, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "l.parquet"
    search(loaded, samples, path)
    changed = samples["math"].with_columns(
        answer=pl.when(pl.int_range(pl.len()) == 1).then(pl.lit("7")).otherwise("answer")
    )
    tally, table = search(loaded, {**samples, "math": changed}, path)
    assert tally.computed == 5 * 4 and len(table) == 5 * 7
    monkeypatch.setattr(loaded, "dtype", "auto")
    assert search(loaded, {"general": samples["general"]}, path)[0].computed == 5 * 3
    assert tables.provenance(path)["by"] == "test" and set(tables.provenance(path)["digests"]) == {"general"}


def test_a_language_model_reads_answers_as_text(samples: Samples, tmp_path: Path) -> None:
    tokenizer = demo_models.build_tokenizer()
    tokenizer.chat_template = demo_models.CHAT_TEMPLATE
    tokenizer.save_pretrained(tmp_path / "model")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=9, num_attention_heads=2,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    loaded = loading.load(entry(tmp_path / "model"), threads=1)
    none = pl.lit([], dtype=pl.List(pl.Binary))
    asked = {domain: table.with_columns(images=none) for domain, table in samples.items()}
    _, table = search(loaded, asked, tmp_path / "l.parquet")
    for removed in ([], [7]):
        assert of_set(table, removed) == alone(loaded, asked, removed)


def test_layers_that_cannot_be_removed_together_are_never_chosen(
    loaded: loading.Loaded,
    samples: Samples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    few, plain = {"math": samples["math"][:2]}, losses.Removal
    _, table = search(loaded, few, tmp_path / "free.parquet", n_steps=2)
    pair = tuple(sorted(greedy_path(mean_losses(table, ["math"]), CANDIDATES, 2)))

    def refusing(refused: Callable[[tuple[int, ...]], bool]) -> None:
        def removal(model: object, removed: tuple[int, ...], path: str | None) -> Removal:
            if refused(removed):
                raise ModelError("They need each other.")
            return plain(model, removed, path)

        monkeypatch.setattr(losses, "Removal", removal)

    refusing(lambda removed: removed == pair)
    _, table = search(loaded, few, tmp_path / "l.parquet", n_steps=2)
    means = mean_losses(table, ["math"])
    assert means[pair] == math.inf and set(greedy_path(means, CANDIDATES, 2)) != set(pair)
    assert f"Layers {list(pair)} are not tried: They need each other." in caplog.text
    refusing(lambda removed: len(removed) > 1)
    with pytest.raises(ModelError, match=r"without layers \[\d\], no other decoder layer can be removed, but .* 3\.$"):
        search(loaded, few, tmp_path / "none.parquet", n_steps=3)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number(
    loaded: loading.Loaded, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    few, plain = {"math": samples["math"][:2]}, losses.nll

    def damaged(n_layers: int) -> None:
        def nll(model: loading.PreTrainedModel, encoded: object, n_tokens: Sequence[int]) -> torch.Tensor:
            at = find_decoder(model)
            return plain(model, encoded, n_tokens) * (value if at.n_layers == n_layers else 1)

        monkeypatch.setattr(losses, "nll", nll)

    n_layers = find_decoder(loaded.model).n_layers
    damaged(n_layers - 1)
    _, table = search(loaded, few, tmp_path / "l.parquet")
    means = mean_losses(table, ["math"])
    assert math.isfinite(means[()]) and {means[layer,] for layer in CANDIDATES} == {math.inf}
    damaged(n_layers)
    with pytest.raises(
        ModelError, match=r"^Model '.*': the loss of calibration sample '\w+-0000\d' is NaN or infinite;"
    ):
        search(loaded, few, tmp_path / "dense.parquet")


def test_memory_and_images_that_fail(
    loaded: loading.Loaded, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, plain, sizes = {"math": samples["math"]}, losses.nll, []
    expected = alone(loaded, few, [5], size=2)

    def small(most: int) -> None:
        def nll(model: object, encoded: Mapping[str, torch.Tensor], n_tokens: Sequence[int]) -> torch.Tensor:
            sizes.append(len(n_tokens))
            if len(n_tokens) > most:
                raise torch.OutOfMemoryError
            return plain(model, encoded, n_tokens)

        monkeypatch.setattr(losses, "nll", nll)

    small(2)
    assert of_set(search(loaded, few, tmp_path / "l.parquet")[1], [5]) == expected
    assert sizes == [4, *([2] * 10)]
    small(0)
    with pytest.raises(DataError, match=r"^Calibration sample '\w+-0000\d' does not fit into memory by itself; leave"):
        search(loaded, few, tmp_path / "none.parquet")
    broken = few["math"].with_columns(images=pl.Series([[b"no image"]] * 4, dtype=pl.List(pl.Binary)))
    said = r"^Calibration sample '\w+-0000\d': An image cannot be opened: it is none of PNG, .* \(8 bytes\)\.$"
    with pytest.raises(DataError, match=said):
        search(loaded, {"math": broken}, tmp_path / "broken.parquet")


def test_the_script_writes_the_table(
    loaded: loading.Loaded, model_directory: Path, samples: Samples, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    decoder, output = tmp_path / "decoder.parquet", tmp_path / "l.parquet"
    found = inspect(loaded.model) | {"model": "m", "model_id": "m", "revision": "r"}
    tables.write([found], "decoder", decoder, {})
    for domain, table in samples.items():
        tables.write(table[:1], "calibration", tmp_path / f"{domain}.parquet", {"domain": domain})
    calibrations = [str(tmp_path / f"{domain}.parquet") for domain in samples]
    kept = [*range(3), *range(-find_decoder(loaded.model).n_layers + 5, 0)]
    caplog.set_level(logging.INFO)
    arguments = (entry(model_directory), str(decoder), list(samples), calibrations, kept)
    script = runpy.run_path(str(SCRIPT))["main"]
    script(*arguments, "leave_one_out", [], str(output), 2, 2)
    assert sorted(map(tuple, tables.read(output, "losses")["removed"].unique())) == [(), (3,), (4,)]
    script(*arguments, "greedy", ["1", "2"], str(output), 2, 2)
    assert sorted(map(tuple, tables.read(output, "losses")["removed"].unique())) == [(), (3,), (3, 4), (4,)]
    assert "6 losses computed" in caplog.text and "2 losses computed" in caplog.text and "replayed" in caplog.text
    about = tables.provenance(output)
    assert about["search"] == "greedy" and about["calibration"]["math"]["domain"] == "math"
    assert json.loads(json.dumps(about))["protected"] == [
        layer for layer in range(found["n_layers"]) if layer not in (3, 4)
    ]
