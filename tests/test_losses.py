"""Losses of answers are those of a plain computation; a search over layer sets resumes and chooses as it should."""

from __future__ import annotations

import json
import logging
import math
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
import torch
from conftest import entry
from families import build, images, words
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from pruning_regimes import answers, losses, models, prompts, tables
from pruning_regimes.decoder import Removal, find_decoder, inspect, protected, pruned
from pruning_regimes.demo import datasets
from pruning_regimes.demo import models as demo_models
from pruning_regimes.errors import DataError, ModelError
from pruning_regimes.loss_tables import greedy_path, mean_losses
from pruning_regimes.replay import Replay, depth_first, trie_size

Samples = dict[str, pl.DataFrame]
CANDIDATES = [2, 5, 7, 8]
SCRIPT = Path(__file__).parents[1] / "scripts" / "losses.py"


@pytest.fixture(scope="module")
def samples() -> Samples:
    """Two domains of unequal size, prompts and answers of unequal lengths."""
    return {
        "math": datasets.calibration_table(["arithmetic", "chart"], 4, seed=0),
        "general": datasets.calibration_table(["reading", "attributes"], 3, seed=0),
    }


def search(
    loaded: models.Loaded, samples: Samples, path: Path, n_steps: int | None = None, size: int = 4
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
    loaded: models.Loaded, samples: Samples, removed: Sequence[int], size: int = 4
) -> dict[tuple[str, str], float]:
    """The same, of a model that runs without these layers and nothing else."""
    found = {}

    def work(chosen: Sequence[answers.Answered], encoded: Mapping[str, torch.Tensor]) -> None:
        values = answers.nll(loaded.model, encoded, [len(sample.tokens) for sample in chosen])
        found.update({(s.domain, s.name): value for s, value in zip(chosen, values.tolist(), strict=True)})

    with torch.inference_mode(), pruned(loaded.model, removed):
        list(answers.batched(loaded, answers.answered(loaded, samples), size, work))
    return found


def mean(losses_: Mapping[tuple[str, str], float], n_tokens: Mapping[tuple[str, str], int]) -> float:
    """Over domains of the means over their samples."""
    by_domain: dict[str, list[float]] = {}
    for (domain, sample), nll in losses_.items():
        by_domain.setdefault(domain, []).append(nll / n_tokens[domain, sample])
    return sum(sum(values) / len(values) for values in by_domain.values()) / len(by_domain)


def answering(samples: pl.DataFrame, said: Sequence[str | None]) -> pl.DataFrame:
    """The samples with other answers."""
    return samples.with_columns(answer=pl.Series(said, dtype=pl.String))


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [("12", ["1", "##2"]), (" owl\n", ["o", "##w", "##l"]), ("red square", ["red", "square"]), ("e", ["e"])],
)
def test_the_tokens_of_an_answer_are_its_own(
    loaded: models.Loaded, samples: Samples, answer: str, tokens: list[str]
) -> None:
    (sample,) = answers.answered(loaded, {"math": answering(samples["math"][:1], [answer])})
    assert loaded.tokenizer.convert_ids_to_tokens(sample.tokens) == tokens
    assert sample.text == prompts.prompt(loaded, samples["math"]["question"][0], 1) + answer.strip()


def test_losses_are_those_of_each_sample_by_itself(loaded: models.Loaded, samples: Samples, tmp_path: Path) -> None:
    tally, table = search(loaded, samples, tmp_path / "l.parquet")
    assert table["removed"].to_list()[::7] == [[], [2], [5], [7], [8]] and tally.computed == len(table) == 5 * 7
    n_tokens = set()
    for row in table.filter(pl.col("removed").list.len() < 2).iter_rows(named=True):
        if row["removed"] not in ([], [5]):
            continue
        asked = samples[row["domain"]].filter(sample_id=row["sample_id"]).row(0, named=True)
        # The demo's chat template puts nothing between the prompt and an answer.
        text = prompts.prompt(loaded, asked["question"], 1)
        whole = prompts.inputs(loaded, [text + asked["answer"]], [prompts.decode(asked["images"])])
        n = whole["input_ids"].shape[1] - prompts.inputs(
            loaded, [text], [prompts.decode(asked["images"])]
        )["input_ids"].shape[1]  # fmt: skip
        with torch.inference_mode(), pruned(loaded.model, row["removed"]):
            logits = loaded.model(**whole).logits[0]
        expected = torch.nn.functional.cross_entropy(logits[-n - 1 : -1], whole["input_ids"][0, -n:], reduction="sum")
        assert row["n_tokens"] == n and row["nll"] == pytest.approx(float(expected), rel=1e-5)
        n_tokens.add(n)
    assert len(n_tokens) > 1


def test_sets_that_share_a_batch_have_the_losses_of_each_alone(
    loaded: models.Loaded, samples: Samples, tmp_path: Path
) -> None:
    encoded = [0]
    vision = next(m for n, m in loaded.model.named_modules() if n.endswith(("vision_tower", "vision_model")))
    handle = vision.register_forward_hook(lambda *_: encoded.append(1))
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
    assert tally.layers_computed == 2 * (trie_size(first) + trie_size(second))
    assert tally.layers_computed + tally.layers_replayed == 2 * sum(map(len, kept))
    if not hasattr(vision, "embeddings") or "forward" not in vars(vision):
        assert not [module for module in loaded.model.modules() if "forward" in vars(module)]


def test_the_greedy_search_chooses_what_trying_everything_does(
    loaded: models.Loaded, samples: Samples, tmp_path: Path
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


@pytest.mark.parametrize("family", ["qwen3_vl", "gemma4", "mllama", "llama"])
def test_families_share_layers_without_a_cache(family: str) -> None:
    model = build(family)
    inputs, free = images(family, model) or words(), [layer for layer in range(6) if layer not in protected(model)]
    removals = [Removal(model, removed) for removed in ([], *([layer] for layer in free), free[-2:])]
    replay, together = Replay(model), {}
    order = depth_first([removal.kept for removal in removals])
    with torch.inference_mode():
        with replay.batch():
            for position, following in pairwise([*order, None]):
                replay.variant(removals[position], None if following is None else removals[following])
                with removals[position].applied():
                    together[position] = answers.nll(model, inputs, [2, 5])
        assert replay.computed == trie_size([removal.kept for removal in removals]) and replay.hindrance is None
        for position, removal in enumerate(removals):
            with removal.applied():
                assert torch.equal(together[position], answers.nll(model, inputs, [2, 5]))
        logits = model(**inputs, use_cache=False).logits.double().log_softmax(-1)
    for row, n in enumerate((2, 5)):
        expected = -sum(logits[row, -k - 1, inputs["input_ids"][row, -k]] for k in range(1, n + 1))
        assert float(together[0][row]) == pytest.approx(float(expected), rel=1e-5)


def test_the_head_sees_what_is_needed_and_no_hook_stays(
    loaded: models.Loaded, samples: Samples, tmp_path: Path
) -> None:
    head, seen = loaded.model.get_output_embeddings(), []
    handle = head.register_forward_hook(lambda _, args, output: seen.append(output.shape[:2]))
    alone(loaded, samples, [], size=7)
    handle.remove()
    longest = max(len(sample.tokens) for sample in answers.answered(loaded, samples))
    assert seen == [(7, longest + 1)]
    with pytest.raises(ZeroDivisionError), answers.last_logits(loaded.model, 2):
        assert head._forward_pre_hooks
        raise ZeroDivisionError
    assert not head._forward_pre_hooks and not head._forward_hooks


def test_a_search_that_breaks_off_computes_only_the_rest(
    loaded: models.Loaded, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    loaded: models.Loaded, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_samples_without_an_answer_are_left_out(loaded: models.Loaded, samples: Samples) -> None:
    some = {"math": answering(samples["math"], ["3", None, " ", "4"]), "general": samples["general"]}
    names = [(sample.domain, sample.name) for sample in answers.answered(loaded, some)]
    assert names[:2] == [("math", samples["math"]["sample_id"][row]) for row in (0, 3)] and len(names) == 2 + 3
    with pytest.raises(DataError, match=r"^domains\.math has no answers, which criteria by loss need; .*\.$"):
        answers.answered(loaded, {**samples, "math": answering(samples["math"], [None, "", None, "\n"])})


def test_an_answer_that_cannot_be_shown_is_named(
    loaded: models.Loaded, samples: Samples, model_directory: Path, tmp_path: Path
) -> None:
    one = {"math": samples["math"][:1]}
    with pytest.raises(DataError, match=r"^Sample 'arithmetic-00000': its answer holds '<image>', which"):
        answers.answered(loaded, {"math": answering(one["math"], ["an <image>"])})
    directory = shutil.copytree(model_directory, tmp_path / "model")
    template = (directory / "chat_template.jinja").read_text()
    for number, (old, new, sentence) in enumerate(
        [
            ("{{ part['text'] }}", "{{ part['text'] | replace('9', 'nine') }}", "does not write the answer of sample"),
            (
                "{% if message['content'] is string %}",
                "{% if message['role'] == 'assistant' %}{{ message['content'] }}{% elif message['content'] is string %}",
                "does not write the answer of sample 'arithmetic-00000' as it is",
            ),
            (
                "{% for message",
                "{{ raise_exception('one turn only') if messages[1:] }}{% for message",
                "'one turn only'",
            ),
        ]
    ):
        assert old in template, number
        (directory / "chat_template.jinja").write_text(template.replace(old, new))
        with pytest.raises(ModelError, match=sentence):
            answers.answered(models.load(entry(directory)), one)


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
    loaded = models.load(entry(tmp_path / "model"), threads=2)
    none = pl.lit([], dtype=pl.List(pl.Binary))
    asked = {domain: table.with_columns(images=none) for domain, table in samples.items()}
    _, table = search(loaded, asked, tmp_path / "l.parquet")
    for removed in ([], [7]):
        assert of_set(table, removed) == alone(loaded, asked, removed)


def test_layers_that_cannot_be_removed_together_are_never_chosen(
    loaded: models.Loaded,
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
    loaded: models.Loaded, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    few, plain = {"math": samples["math"][:2]}, losses.nll

    def damaged(n_layers: int) -> None:
        def nll(model: models.PreTrainedModel, encoded: object, n_tokens: Sequence[int]) -> torch.Tensor:
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
    loaded: models.Loaded, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    with pytest.raises(DataError, match=r"^Calibration sample '\w+-0000\d': An image of 8 bytes cannot be decoded\.$"):
        search(loaded, {"math": broken}, tmp_path / "broken.parquet")


def test_the_script_writes_the_table(
    loaded: models.Loaded, model_directory: Path, samples: Samples, tmp_path: Path, caplog: pytest.LogCaptureFixture
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
    script(*arguments, "leave_one_out", 0, str(output), 2, 2)
    assert sorted(map(tuple, tables.read(output, "losses")["removed"].unique())) == [(), (3,), (4,)]
    script(*arguments, "greedy", 2, str(output), 2, 2)
    assert sorted(map(tuple, tables.read(output, "losses")["removed"].unique())) == [(), (3,), (3, 4), (4,)]
    assert "6 losses computed" in caplog.text and "2 losses computed" in caplog.text and "replayed" in caplog.text
    about = tables.provenance(output)
    assert about["search"] == "greedy" and about["calibration"]["math"]["domain"] == "math"
    assert json.loads(json.dumps(about))["protected"] == [
        layer for layer in range(found["n_layers"]) if layer not in (3, 4)
    ]


SETS = st.lists(st.integers(0, 4), unique=True, max_size=5).map(lambda layers: tuple(sorted(layers)))


@given(
    st.dictionaries(
        SETS, st.lists(st.tuples(st.integers(0, 90), st.integers(1, 9)), min_size=1, max_size=4), min_size=1
    ),
    st.randoms(use_true_random=False),
)
def test_domains_and_samples_weigh_alike(found: dict[tuple, list[tuple[int, int]]], random: object) -> None:
    rows = [
        ("a", f"{n}", list(removed), nll / 7, n_tokens)
        for removed, samples in found.items()
        for n, (nll, n_tokens) in enumerate(samples)
    ]
    # The other domain has one sample, and lacks a set.
    lacking = next(iter(found))
    rows += [("b", "x", list(removed), 3.0, 2) for removed in [*found, (9,)] if removed != lacking]
    random.shuffle(rows)
    table = tables.frame("losses", rows)
    own = mean_losses(table, ["a"])
    assert own == pytest.approx({r: sum(nll / 7 / n for nll, n in s) / len(s) for r, s in found.items()})
    if len(found) > 1:
        both = mean_losses(table, ["b", "a"])
        assert both == pytest.approx({r: (loss + 1.5) / 2 for r, loss in own.items() if r != lacking})
    assert mean_losses(table.sort("sample_id"), ["a"]) == own
    with pytest.raises(DataError, match=r"^Table 'losses' has no rows of the domain 'c'\.$"):
        mean_losses(table, ["a", "c"])


@given(st.lists(st.integers(0, 3), min_size=32, max_size=32), st.integers(0, 5))
def test_the_path_takes_the_smallest_loss_and_the_deepest_layer_of_equals(values: list[int], n_steps: int) -> None:
    means = {
        removed: float(values[sum(2**layer for layer in removed)])
        for removed in {tuple(i for i in range(5) if code >> i & 1) for code in range(32)}
    }
    path = greedy_path(means, range(5), n_steps)
    assert len(set(path)) == len(path) == n_steps
    for step, layer in enumerate(path):
        rest = {other: means[tuple(sorted([*path[:step], other]))] for other in range(5) if other not in path[:step]}
        assert layer == max(other for other, loss in rest.items() if loss == min(rest.values()))
    if path:
        del means[tuple(sorted(path[:1]))]
        with pytest.raises(DataError, match=r"has no rows without layers \[\d\], which the search needs"):
            greedy_path(means, range(5), n_steps)


def test_a_path_ends_where_no_layer_can_be_removed() -> None:
    means = {(): 1.0, (0,): 2.0, (1,): math.inf, (0, 1): math.inf}
    assert greedy_path(means, [0, 1], 1) == [0]
    for candidates in ([0, 1], [0]):
        with pytest.raises(DataError, match=r"has no layer that can be removed besides \[0\], but 2 are to be"):
            greedy_path(means, candidates, 2)


def test_the_tables_are_read_without_torch() -> None:
    code = "import sys, pruning_regimes.loss_tables; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
