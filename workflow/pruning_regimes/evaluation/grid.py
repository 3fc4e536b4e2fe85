"""Answer a benchmark with many variants of one loaded model: greedy generation, what variants share computed once."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import torch
from PIL import Image
from transformers import BatchFeature

from pruning_regimes import tables
from pruning_regimes.inference.batches import batches, is_out_of_memory
from pruning_regimes.inference.pieces import Pieces
from pruning_regimes.inference.prompts import context, decode, inputs, lengths, prompt_digest, prompts, shown_images
from pruning_regimes.inference.replay import Replay, depth_first
from pruning_regimes.jobs.errors import DataError, ModelError
from pruning_regimes.jobs.progress import Progress
from pruning_regimes.models.decoder import Removal
from pruning_regimes.models.loading import Loaded

# Raise by one when a change of the code alters answers: stored answers of another protocol are computed anew.
PROTOCOL = 4
KEYS = ("variant_id", "sample_id")
# A benchmark of which more samples fail is not the benchmark any more.
FAILED_AT_MOST = 0.05


class Journal:
    """Answers that survive a killed job: those of earlier predictions tables, and those of this run so far.

    The answers of this run go, batch by batch, to files in a directory beside the tables, which only the finished job
    replaces.
    """

    def __init__(self, paths: Mapping[str, str | os.PathLike[str]], provenance: Mapping[str, Any]) -> None:
        """Read what is there.

        Args:
            paths: budget -> its predictions table, of the budgets that one job answers.
        """
        self.paths = {budget: Path(path) for budget, path in paths.items()}
        self._pieces = Pieces(next(iter(self.paths.values())), "predictions", "answered")
        self.provenance = dict(provenance)
        earlier = [tables.read(path, "predictions") for path in self.paths.values() if path.is_file()]
        self._parts = [tables.frame("predictions", []), *earlier, *self._pieces.read()]

    @property
    def answers(self) -> pl.DataFrame:
        """All answers, the newest of each variant and sample."""
        return pl.concat(self._parts).unique(KEYS, keep="last")

    def add(self, answers: pl.DataFrame) -> None:
        """Keep the answers of one more batch."""
        self._pieces.add(answers, {})
        self._parts.append(answers)

    def finish(self, wanted: pl.DataFrame) -> None:
        """Write the predictions tables with the wanted (budget, variant_id, sample_id), in their order."""
        answers = self.answers
        for budget, path in self.paths.items():
            rows = wanted.filter(pl.col("budget") == budget).select(KEYS)
            complete = rows.join(answers, on=KEYS, how="left", maintain_order="left")
            tables.write(complete, "predictions", path, self.provenance)

    def clear(self) -> None:
        """Remove the files beside the tables, once the job has done all that it does.

        Snakemake puts the tables of a job that fails back to what they were before it.
        """
        self._pieces.clear()


@dataclass(frozen=True)
class Tally:
    """What a job did.

    Attributes:
        computed: answers that were not there before.
        failed: samples that have an error instead of an answer, by at least one variant.
        layers_computed, layers_replayed: decoder layers at prefill, one per layer, variant and batch.
    """

    computed: int
    failed: int
    layers_computed: int = 0
    layers_replayed: int = 0


def answer_all(
    loaded: Loaded,
    questions: pl.DataFrame,
    variants: pl.DataFrame,
    journal: Journal,
    batch_size: int,
    max_new_tokens: int,
) -> Tally:
    """Answer every question with every distinct variant; what the journal holds for the same prompt is kept.

    The model's weights are loaded only if an answer is missing. A sample that fails (a damaged image, or too large for
    memory by itself) becomes a row with an error, which another run tries again.

    Args:
        questions: the benchmark table.
        variants: rows of the variants table with the journal's budgets; equal layer sets are answered once.
        journal: receives the answers.
        batch_size: largest number of questions at a time; halves when memory runs out.

    Raises: DataError if a question holds the model's image token, or more than 5% of the samples fail; ModelError if a
        variant is no such model.
    """
    images, texts = shown_images(questions), prompts(loaded, questions)
    computed_by = f"dtype={loaded.dtype} attention={loaded.attention}"
    settings = f"\nprotocol={PROTOCOL} {computed_by} max_new_tokens={max_new_tokens}"
    digests = [prompt_digest(text + settings, encoded) for text, encoded in zip(texts, images, strict=True)]
    asked = questions.select("sample_id").with_columns(prompt_digest=pl.Series(digests, dtype=pl.String))
    distinct = variants.unique("variant_id", keep="first", maintain_order=True)
    known = set(journal.answers.filter(pl.col("error").is_null()).select(*KEYS, "prompt_digest").rows())
    # Questions for which the same variants are missing share batches: after a kill those that it would have had.
    groups: dict[tuple[str, ...], list[int]] = {}
    for position, (sample, digest) in enumerate(asked.rows()):
        missing = tuple(variant for variant in distinct["variant_id"] if (variant, sample, digest) not in known)
        if missing:
            groups.setdefault(missing, []).append(position)
    total = sum(len(missing) * len(positions) for missing, positions in groups.items())
    failed: set[str] = set()
    grid = _Grid(loaded, distinct, max_new_tokens) if total else None
    progress = Progress("answers", total)
    for missing, members in groups.items():
        sizes = lengths(loaded, [texts[i] for i in members], [images[i] for i in members])

        def work(chosen: list[int], missing: Sequence[str] = missing, members: Sequence[int] = members) -> list[dict]:
            at = [members[i] for i in chosen]
            return grid.answer(missing, asked[at], [texts[i] for i in at], [images[i] for i in at])

        for _, rows in batches(sizes, batch_size, work):
            journal.add(tables.frame("predictions", rows))
            progress.advance(len(rows))
            failed |= {row["sample_id"] for row in rows if row["error"] is not None}
            if len(failed) > FAILED_AT_MOST * len(questions):
                reason = next(row for row in rows if row["error"] is not None)
                raise DataError(
                    f"{len(failed)} of {len(questions)} samples failed, more than {FAILED_AT_MOST:.0%}; the last is "
                    f"'{reason['sample_id']}': {reason['error']}"
                )
    if failed:
        logging.warning("%d of %d samples failed: %s", len(failed), len(questions), ", ".join(sorted(failed)))
    journal.finish(
        variants.select("budget", "variant_id")
        .unique(maintain_order=True)
        .join(questions.select("sample_id"), how="cross", maintain_order="left_right")
    )
    return Tally(total, len(failed), *((grid.replay.computed, grid.replay.replayed) if grid else ()))


class _Grid:
    """The variants of one loaded model, ready to answer batches."""

    def __init__(self, loaded: Loaded, distinct: pl.DataFrame, max_new_tokens: int) -> None:
        self.loaded, self.max_new_tokens = loaded, max_new_tokens
        self.replay = Replay(loaded.model, loaded.decoder_path)
        self.removals: dict[str, Removal] = {}
        for row in distinct.iter_rows(named=True):
            try:
                self.removals[row["variant_id"]] = Removal(loaded.model, row["removed"], loaded.decoder_path)
            except ModelError as error:
                raise ModelError(f"criteria.{row['criterion']} at budget {row['budget']}: {error}") from error

    @torch.inference_mode()
    def answer(
        self, variants: Sequence[str], asked: pl.DataFrame, texts: list[str], images: list[list[bytes]]
    ) -> list[dict[str, Any]]:
        """One batch with all of some variants: rows of the predictions table, by variant and then by question."""
        try:
            replies = self._replies(variants, texts, images)
        except (MemoryError, RuntimeError) as error:
            if len(texts) > 1 or not is_out_of_memory(error):
                raise
            reply = _failure("It does not fit into memory by itself.")
            replies = {variant: [reply] for variant in variants}
        identities = asked.rows(named=True)
        return [
            {"variant_id": variant, **identity, **reply}
            for variant in variants
            for identity, reply in zip(identities, replies[variant], strict=True)
        ]

    def _replies(
        self, variants: Sequence[str], texts: list[str], images: list[list[bytes]]
    ) -> dict[str, list[dict[str, Any]]]:
        readable, batch, errors = _prepared(self.loaded, texts, images, self.max_new_tokens)
        replies = {variant: list(errors) for variant in variants}
        if batch is None:
            return replies
        order = [variants[i] for i in depth_first([self.removals[variant].kept for variant in variants])]
        with self.replay.batch():
            for variant, following in pairwise([*order, None]):
                removal = self.removals[variant]
                self.replay.variant(removal, self.removals.get(following))
                with removal.applied():
                    answers = _generated(self.loaded, batch, self.max_new_tokens)
                for i, answer_ in zip(readable, answers, strict=True):
                    replies[variant][i] = answer_
        return replies


@torch.inference_mode()
def answer(loaded: Loaded, texts: list[str], images: list[list[bytes]], max_new_tokens: int) -> list[dict[str, Any]]:
    """Greedy answers to one batch of prompts, by the model as it is now: the plain way.

    Returns: per prompt response, n_tokens (answer tokens, the end token not counted), finish_reason (stop, length, or
        error) and error; an image that cannot be decoded costs that answer only.
    """
    readable, batch, replies = _prepared(loaded, texts, images, max_new_tokens)
    if batch is not None:
        for i, reply in zip(readable, _generated(loaded, batch, max_new_tokens), strict=True):
            replies[i] = reply
    return replies


def _prepared(
    loaded: Loaded, texts: list[str], images: list[list[bytes]], max_new_tokens: int
) -> tuple[list[int], BatchFeature | None, list[dict[str, Any]]]:
    """Positions of the prompts that can be answered, the model's inputs for them, and the others' replies."""
    decoded, errors = zip(*(_decoded(encoded) for encoded in images), strict=True)
    readable = [i for i, error in enumerate(errors) if error is None]
    replies = [_failure(error) for error in errors]

    def encoded(chosen: list[int]) -> BatchFeature | None:
        return inputs(loaded, [texts[i] for i in chosen], [decoded[i] for i in chosen]) if chosen else None

    batch, limit = encoded(readable), context(loaded.model)
    if batch is None or limit is None or batch["input_ids"].shape[1] + max_new_tokens <= limit:
        return readable, batch, replies
    n_tokens_of = batch["attention_mask"].sum(1).tolist()
    for i, n_tokens in zip(readable, n_tokens_of, strict=True):
        if n_tokens + max_new_tokens > limit:
            replies[i] = _failure(
                f"Its prompt of {n_tokens} tokens and an answer of up to {max_new_tokens} do not fit into the model's "
                f"context of {limit} tokens."
            )
    fitting = [i for i, n_tokens in zip(readable, n_tokens_of, strict=True) if n_tokens + max_new_tokens <= limit]
    return fitting, encoded(fitting), replies


def _generated(loaded: Loaded, batch: BatchFeature, max_new_tokens: int) -> list[dict[str, Any]]:
    generated = loaded.model.generate(**batch, max_new_tokens=max_new_tokens)
    generated = generated[:, batch["input_ids"].shape[1] :].cpu()
    is_end = torch.isin(generated, torch.tensor(loaded.end_tokens))
    ended = is_end.any(1)
    until = torch.where(ended, is_end.int().argmax(1), generated.shape[1])
    return [
        {
            "response": loaded.processor.decode(generated[row, : until[row]], skip_special_tokens=True).strip(),
            "n_tokens": int(until[row]),
            "finish_reason": "stop" if ended[row] else "length",
            "error": None,
        }
        for row in range(len(generated))
    ]


def _failure(error: str | None) -> dict[str, Any]:
    return {"response": "", "n_tokens": 0, "finish_reason": "error", "error": error}


def _decoded(images: list[bytes]) -> tuple[list[Image.Image], str | None]:
    try:
        return decode(images), None
    except DataError as error:
        return [], str(error)
