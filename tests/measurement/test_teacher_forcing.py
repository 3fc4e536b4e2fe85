"""Answers are read as the model would write them, and their losses are those of whole logits."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
import torch

from pruning_regimes.inference import passes, prompts
from pruning_regimes.inference.replay import Replay, depth_first, trie_size
from pruning_regimes.jobs.errors import DataError, ModelError
from pruning_regimes.measurement import teacher_forcing
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import Removal, protected
from tests.conftest import entry
from tests.helpers.families import build, images, words
from tests.measurement.test_losses import Samples, alone, two_domains

samples = pytest.fixture(scope="module")(two_domains)


def answering(samples: pl.DataFrame, said: Sequence[str | None]) -> pl.DataFrame:
    """The samples with other answers."""
    return samples.with_columns(answer=pl.Series(said, dtype=pl.String))


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [("12", ["1", "##2"]), (" owl\n", ["o", "##w", "##l"]), ("red square", ["red", "square"]), ("e", ["e"])],
)
def test_the_tokens_of_an_answer_are_its_own(
    loaded: loading.Loaded, samples: Samples, answer: str, tokens: list[str]
) -> None:
    (sample,) = teacher_forcing.answered(loaded, {"math": answering(samples["math"][:1], [answer])})
    assert loaded.tokenizer.convert_ids_to_tokens(sample.tokens) == tokens
    assert sample.text == prompts.prompt(loaded, samples["math"]["question"][0], 1) + answer.strip()


@pytest.mark.parametrize("before", [" ", "yes : "])
def test_what_the_template_writes_before_an_answer_does_not_count(
    before: str, model_directory: Path, samples: Samples, tmp_path: Path
) -> None:
    directory = shutil.copytree(model_directory, tmp_path / "model")
    turn = "{{ '<|' + message['role'] + '|>' }}"
    template = (directory / "chat_template.jinja").read_text()
    assert turn in template
    (directory / "chat_template.jinja").write_text(template.replace(turn, turn + before))
    (sample,) = teacher_forcing.answered(
        loading.load(entry(directory)), {"math": answering(samples["math"][:1], ["12"])}
    )
    assert len(sample.tokens) == 2 and sample.text.endswith(" 12") and "<|assistant|>" in sample.text


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
                    together[position] = teacher_forcing.nll(model, inputs, [2, 5])
        assert replay.computed == trie_size([removal.kept for removal in removals]) and replay.hindrance is None
        for position, removal in enumerate(removals):
            with removal.applied():
                assert torch.equal(together[position], teacher_forcing.nll(model, inputs, [2, 5]))
        logits = model(**inputs, use_cache=False).logits.double().log_softmax(-1)
    for row, n in enumerate((2, 5)):
        expected = -sum(logits[row, -k - 1, inputs["input_ids"][row, -k]] for k in range(1, n + 1))
        assert float(together[0][row]) == pytest.approx(float(expected), rel=1e-5)


def test_the_head_sees_what_is_needed_and_no_hook_stays(
    loaded: loading.Loaded, samples: Samples, tmp_path: Path
) -> None:
    head, seen = loaded.model.get_output_embeddings(), []
    handle = head.register_forward_hook(lambda _, args, output: seen.append(output.shape[:2]))
    alone(loaded, samples, [], size=7)
    handle.remove()
    longest = max(len(sample.tokens) for sample in teacher_forcing.answered(loaded, samples))
    assert seen == [(7, longest + 1)]
    with pytest.raises(ZeroDivisionError), passes.last_logits(loaded.model, 2):
        assert head._forward_pre_hooks
        raise ZeroDivisionError
    assert not head._forward_pre_hooks and not head._forward_hooks


def test_samples_without_an_answer_are_left_out(loaded: loading.Loaded, samples: Samples) -> None:
    some = {"math": answering(samples["math"], ["3", None, " ", "4"]), "general": samples["general"]}
    names = [(sample.domain, sample.name) for sample in teacher_forcing.answered(loaded, some)]
    assert names[:2] == [("math", samples["math"]["sample_id"][row]) for row in (0, 3)] and len(names) == 2 + 3
    with pytest.raises(DataError, match=r"^domains\.math has no answers, which criteria by loss need; .*\.$"):
        teacher_forcing.answered(loaded, {**samples, "math": answering(samples["math"], [None, "", None, "\n"])})


def test_an_answer_that_cannot_be_shown_is_named(
    loaded: loading.Loaded, samples: Samples, model_directory: Path, tmp_path: Path
) -> None:
    one = {"math": samples["math"][:1]}
    with pytest.raises(DataError, match=r"^Sample 'arithmetic-00000': its answer holds '<image>', which"):
        teacher_forcing.answered(loaded, {"math": answering(one["math"], ["an <image>"])})
    directory = shutil.copytree(model_directory, tmp_path / "model")
    template = (directory / "chat_template.jinja").read_text()
    string = "{% if message['content'] is string %}"
    for old, new, sentence in (
        ("{{ part['text'] }}", "{{ part['text'] | replace('9', 'nine') }}", "does not write the answer of sample 'a"),
        (string, "{% if message['role'] != 'user' or message['content'] is string %}", "does not write the answer of"),
        ("{% for m", "{{ raise_exception('one turn') if messages[1:] }}{% for m", "fails with 'one turn' for an assis"),
    ):
        assert old in template
        (directory / "chat_template.jinja").write_text(template.replace(old, new))
        with pytest.raises(ModelError, match=sentence):
            teacher_forcing.answered(loading.load(entry(directory)), one)
