"""How likely a model finds the reference answers of calibration samples: their loss, teacher-forced.

The answer stands in an assistant's turn of the model's own chat template and is given to the model with the question;
its loss is the negative log-likelihood of its tokens, in nats. Neither the tokens of the template nor the one that ends
the turn count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import TypeVar

import jinja2
import polars as pl
import torch
from torch import Tensor
from torch.nn import functional
from transformers import BatchFeature, PreTrainedModel

from pruning_regimes.inference.batches import batches
from pruning_regimes.inference.passes import check_context, decoded, fitting, last_logits
from pruning_regimes.inference.prompts import content, inputs, lengths, prompts, shown_images
from pruning_regimes.jobs.errors import DataError, ModelError
from pruning_regimes.models.loading import Loaded

# Stands where the answer will: a character for private use, which no template writes or strips.
PLACE = "\ue000"
T = TypeVar("T")


@dataclass(frozen=True)
class Answered:
    """A calibration sample with its answer, as a model reads it.

    Attributes:
        domain: the sample's domain.
        name: its id there.
        text: the chat prompt, which ends with the answer.
        images: its encoded images, in the order of the prompt.
        tokens: ids of the answer's tokens, with which the tokens of the text end.
    """

    domain: str
    name: str
    text: str
    images: list[bytes]
    tokens: list[int]


def answered(loaded: Loaded, samples: Mapping[str, pl.DataFrame]) -> list[Answered]:
    """The samples of all domains that have an answer, in their order.

    Args:
        samples: domain -> its calibration table.

    Raises: DataError if no sample of a domain has an answer, a question or an answer holds the model's image token, or
        the tokenizer knows nothing of an answer; ModelError if the chat template does not write an answer as it is.
    """
    token, found = getattr(loaded.processor, "image_token", None), []
    for domain, table in samples.items():
        stripped = table.with_columns(pl.col("answer").str.strip_chars()).filter(pl.col("answer") != "")
        if stripped.is_empty():
            raise DataError(
                f"domains.{domain} has no answers, which criteria by loss need; give its samples answers, or leave "
                "these criteria out."
            )
        prompts(loaded, stripped)  # for its checks
        rows = stripped.select("sample_id", "question", "answer").iter_rows()
        for (name, question, answer), images in zip(rows, shown_images(stripped), strict=True):
            if token is not None and token in answer:
                raise DataError(f"Sample '{name}': its answer holds '{token}', which the model takes for an image.")
            before = _before(loaded, question, len(images), answer)
            if before is None:
                raise ModelError(
                    f"Model '{loaded.path}': its chat template does not write the answer of sample '{name}' as it is."
                )
            tokens = _tokens(loaded, before, before + answer)
            if not tokens:
                raise DataError(f"Sample '{name}': its answer '{answer}' has no tokens for '{loaded.path}'.")
            found.append(Answered(domain, name, before + answer, images, tokens))
    return found


def _before(loaded: Loaded, question: str, n_images: int, answer: str) -> str | None:
    """The chat prompt up to where the answer begins, None if the answer is not written as it is.

    It is found with a placeholder, since a short answer may also stand in what ends the turn, as `e` does in `<|end|>`.
    """
    before, found, _ = _rendered(loaded, question, n_images, PLACE).rpartition(PLACE)
    whole = _rendered(loaded, question, n_images, answer)
    # A template that takes no parts writes their list.
    as_it_is = found and whole.startswith(before + answer) and "{'type': " not in before
    return before if as_it_is else None


def _rendered(loaded: Loaded, question: str, n_images: int, answer: str) -> str:
    asked, said = content(question, n_images)[0], [{"type": "text", "text": answer}]
    turns = [
        {"role": "user", "content": asked if loaded.takes_images else question},
        {"role": "assistant", "content": said if loaded.takes_images else answer},
    ]
    try:
        return loaded.processor.apply_chat_template(turns, add_generation_prompt=False, tokenize=False)
    except (jinja2.TemplateError, TypeError, KeyError) as error:
        raise ModelError(
            f"Model '{loaded.path}': its chat template fails with '{error}' for an assistant's turn."
        ) from error


def _tokens(loaded: Loaded, before: str, text: str) -> list[int]:
    """The tokens of a text that are not those of its beginning."""
    first, whole = loaded.tokenizer([before, text], add_special_tokens=False)["input_ids"]
    return whole[len(commonprefix([first, whole])) :]


def batched(
    loaded: Loaded, asked: Sequence[Answered], size: int, work: Callable[[Sequence[Answered], BatchFeature], T]
) -> Iterator[T]:
    """Work on samples in batches, as `batches.batches` does.

    Args:
        size: samples at a time; halved when memory runs out.
        work: called with samples and the model's inputs for them.

    Raises: DataError if a sample's image cannot be decoded, or it does not fit into memory by itself; ModelError if the
        processor does not end a sample's tokens with those of its answer.
    """

    def encoded(positions: list[int]) -> T:
        chosen = [asked[position] for position in positions]
        with fitting([sample.name for sample in chosen]):
            return work(chosen, _encoded(loaded, chosen))

    sizes = lengths(loaded, [sample.text for sample in asked], [sample.images for sample in asked])
    for _, result in batches(sizes, size, encoded):
        yield result


def _encoded(loaded: Loaded, chosen: Sequence[Answered]) -> BatchFeature:
    images = decoded([sample.name for sample in chosen], [sample.images for sample in chosen])
    batch = inputs(loaded, [sample.text for sample in chosen], images)
    check_context(loaded.model, [sample.name for sample in chosen], batch["attention_mask"])
    for sample, ids in zip(chosen, batch["input_ids"].tolist(), strict=True):
        if ids[-len(sample.tokens) :] != sample.tokens:
            raise ModelError(
                f"Model '{loaded.path}': its processor does not end the tokens of calibration sample '{sample.name}' "
                "with those of the answer."
            )
    return batch


def nll(model: PreTrainedModel, encoded: Mapping[str, Tensor], n_tokens: Sequence[int]) -> Tensor:
    """Negative log-likelihood of the tokens with which each row ends, given those before them.

    Args:
        encoded: the model's inputs, [B, T], padded on the left.
        n_tokens: how many tokens count, for each row.

    Returns: [B] float64, sums over the tokens that count; from logits in float32.
    """
    longest = max(n_tokens)
    with last_logits(model, longest + 1):
        logits = model(**encoded, use_cache=False).logits[:, -longest - 1 : -1]
    targets = encoded["input_ids"][:, -longest:].to(logits.device)
    counts = torch.tensor(n_tokens, device=logits.device)
    counting = torch.arange(longest, 0, -1, device=logits.device) <= counts[:, None]  # [B, longest]
    losses = functional.cross_entropy(logits[counting].float(), targets[counting], reduction="none")
    return torch.stack([part.double().sum() for part in losses.split(list(n_tokens))])
