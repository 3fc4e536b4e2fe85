"""Answer a benchmark with many variants of one loaded model: greedy generation with the KV cache."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import torch
from PIL import Image

from pruning_regimes import tables
from pruning_regimes.decoder import pruned
from pruning_regimes.errors import DataError
from pruning_regimes.models import Loaded
from pruning_regimes.prompts import decode, inputs, prompt_digest, prompts

# Raise by one when a change of the code alters answers: stored answers of another protocol are computed anew.
PROTOCOL = 1


class Journal:
    """Answers that survive a killed job: those of an earlier predictions table, and those of this run so far.

    The answers of this run go, variant by variant, to a file beside the predictions table, which only the finished
    job replaces.
    """

    def __init__(self, path: str | os.PathLike[str], provenance: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.beside = self.path.with_name(f".{self.path.stem}.answered.parquet")
        self.provenance = dict(provenance)
        found = [tables.read(file, "predictions") for file in (self.path, self.beside) if file.is_file()]
        columns = ("variant_id", "sample_id")
        self.answers = pl.concat([tables.frame("predictions", []), *found]).unique(columns, keep="last")

    def add(self, answers: pl.DataFrame) -> None:
        """Keep the answers of one more variant."""
        replaced = self.answers.join(answers, on=("variant_id", "sample_id"), how="anti")
        self.answers = pl.concat([replaced, answers])
        tables.write(self.answers, "predictions", self.beside, self.provenance)

    def finish(self, wanted: pl.DataFrame) -> None:
        """Write the predictions table with the wanted (variant_id, sample_id) pairs, in their order."""
        complete = wanted.join(self.answers, on=("variant_id", "sample_id"), how="left", maintain_order="left")
        tables.write(complete, "predictions", self.path, self.provenance)
        self.beside.unlink(missing_ok=True)


def answer_all(
    loaded: Loaded,
    questions: pl.DataFrame,
    variants: pl.DataFrame,
    journal: Journal,
    batch_size: int,
    max_new_tokens: int,
) -> int:
    """Answer every question with every distinct variant; what the journal holds for the same prompt is kept.

    The model's weights are loaded only if an answer is missing.

    Args:
        questions: the benchmark table.
        variants: rows of the variants table; equal layer sets are answered once.
        journal: receives the answers.

    Returns: number of answers that had to be computed.

    Raises: DataError if a question holds the model's image token.
    """
    images, texts = questions["images"].to_list(), prompts(loaded, questions)
    computed_by = f"dtype={loaded.dtype} attention={loaded.attention}"
    settings = f"\nprotocol={PROTOCOL} {computed_by} max_new_tokens={max_new_tokens}"
    digests = [prompt_digest(text + settings, encoded) for text, encoded in zip(texts, images, strict=True)]
    asked = questions.select("sample_id").with_columns(
        prompt_digest=pl.Series(digests), position=pl.int_range(pl.len())
    )
    distinct = variants.unique("variant_id", keep="first", maintain_order=True)
    computed = 0
    for variant in distinct.iter_rows(named=True):
        known = journal.answers.filter(pl.col("variant_id") == variant["variant_id"])
        missing = asked.join(known, on=("sample_id", "prompt_digest"), how="anti", maintain_order="left")
        if not len(missing):
            continue
        rows: list[dict[str, Any]] = []
        with pruned(loaded.model, variant["removed"], loaded.decoder_path):
            for batch in missing.iter_slices(batch_size):
                at = batch["position"].to_list()
                replies = answer(loaded, [texts[i] for i in at], [images[i] for i in at], max_new_tokens)
                identity = batch.select("sample_id", "prompt_digest").iter_rows(named=True)
                rows += [
                    {"variant_id": variant["variant_id"], **i, **reply}
                    for i, reply in zip(identity, replies, strict=True)
                ]
        journal.add(tables.frame("predictions", rows))
        computed += len(rows)
    wanted = distinct.select("variant_id").join(questions.select("sample_id"), how="cross")
    journal.finish(wanted)
    return computed


@torch.inference_mode()
def answer(loaded: Loaded, texts: list[str], images: list[list[bytes]], max_new_tokens: int) -> list[dict[str, Any]]:
    """Greedy answers to one batch of prompts, by the model as it is now.

    Returns: per prompt response, n_tokens (answer tokens, the end token not counted), finish_reason (stop, length, or
        error) and error; an image that cannot be decoded costs that answer only.
    """
    decoded, errors = zip(*(_decoded(encoded) for encoded in images), strict=True)
    readable = [i for i, error in enumerate(errors) if error is None]
    replies = [{"response": "", "n_tokens": 0, "finish_reason": "error", "error": error} for error in errors]
    if not readable:
        return replies
    batch = inputs(loaded, [texts[i] for i in readable], [decoded[i] for i in readable])
    generated = loaded.model.generate(**batch, max_new_tokens=max_new_tokens)
    generated = generated[:, batch["input_ids"].shape[1] :].cpu()
    is_end = torch.isin(generated, torch.tensor(loaded.end_tokens))
    ended = is_end.any(1)
    lengths = torch.where(ended, is_end.int().argmax(1), generated.shape[1])
    for row, i in enumerate(readable):
        tokens = generated[row, : lengths[row]]
        replies[i] = {
            "response": loaded.processor.decode(tokens, skip_special_tokens=True).strip(),
            "n_tokens": int(lengths[row]),
            "finish_reason": "stop" if ended[row] else "length",
            "error": None,
        }
    return replies


def _decoded(images: list[bytes]) -> tuple[list[Image.Image], str | None]:
    try:
        return decode(images), None
    except DataError as error:
        return [], str(error)
