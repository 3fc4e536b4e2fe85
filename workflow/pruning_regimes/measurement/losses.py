"""Losses of a model's calibration answers without sets of decoder layers, which criteria by loss go by.

One layer at a time (Shortened LLaMA, 2402.02834), or greedily: of the layers that are left, the one without which the
loss is smallest goes, again and again (SLEB, 2402.09025). All sets that a search needs at once go through each batch
together, which computes what they share once (`replay`).
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import torch
from transformers import BatchFeature

from pruning_regimes import tables
from pruning_regimes.inference.pieces import Pieces
from pruning_regimes.inference.prompts import prompt_digest
from pruning_regimes.inference.replay import Replay, depth_first
from pruning_regimes.jobs.errors import ModelError
from pruning_regimes.jobs.progress import Progress
from pruning_regimes.measurement.loss_tables import Removed, greedy_path, mean_losses
from pruning_regimes.measurement.teacher_forcing import Answered, answered, batched, nll
from pruning_regimes.models.decoder import Removal
from pruning_regimes.models.loading import Loaded

# Raise by one when a change of the code alters losses: stored losses of another protocol are computed anew.
PROTOCOL = 1


class Journal:
    """Losses that survive a killed job: those of an earlier table, and those of this run so far.

    The table, and the parts that lie beside it until it is finished, name each domain's digest in their provenance: the
    rows of a domain count only if they come from the same model and the same samples.
    """

    def __init__(self, path: str | os.PathLike[str], provenance: Mapping[str, Any]) -> None:
        """Look at a losses table, which need not be there yet."""
        self.path = Path(path)
        self._provenance = dict(provenance)
        self._pieces = Pieces(self.path, "losses", "lost")

    def rows(self, digests: Mapping[str, str]) -> pl.DataFrame:
        """The rows that are there for the domains with these digests, the oldest first."""
        parts = [tables.frame("losses", [])]
        for file in (self.path, *self._pieces.files):
            if file.is_file():
                rows, stored = tables.read(file, "losses"), tables.provenance(file).get("digests", {})
                same = [domain for domain, digest in digests.items() if stored.get(domain) == digest]
                parts.append(rows.filter(pl.col("domain").is_in(same)))
        return pl.concat(parts)

    def add(self, rows: pl.DataFrame, digests: Mapping[str, str]) -> None:
        """Keep the losses of one more batch."""
        self._pieces.add(rows, {"digests": digests})

    def finish(self, rows: pl.DataFrame, digests: Mapping[str, str]) -> None:
        """Write the table."""
        tables.write(rows, "losses", self.path, {**self._provenance, "digests": digests})
        self._pieces.clear()


@dataclass(frozen=True)
class Tally:
    """What a search did.

    Attributes:
        computed: losses that were not there before.
        layers_computed, layers_replayed: decoder layers, one per layer, set and batch.
    """

    computed: int
    layers_computed: int
    layers_replayed: int


def leave_one_out(
    loaded: Loaded,
    samples: Mapping[str, pl.DataFrame],
    candidates: Sequence[int],
    batch_size: int,
    journal: Journal,
) -> Tally:
    """Losses of the dense model, and of the model without each of the candidates.

    The model's weights are loaded only if a loss is missing. The loss is infinite without a layer that the model does
    not allow to be removed, or without which it computes NaN.

    Args:
        samples: domain -> its calibration table; samples without an answer are left out.
        candidates: layers that may be removed, ascending.
        batch_size: samples at a time; halved when memory runs out.
        journal: receives the losses.

    Raises: DataError as `teacher_forcing.answered` and `batched`; ModelError as these, or if a loss of the dense model
        is NaN or infinite.
    """
    search = _Search(loaded, samples, batch_size, journal)
    search.evaluate([(), *((layer,) for layer in candidates)])
    return search.finish()


def greedy(
    loaded: Loaded,
    samples: Mapping[str, pl.DataFrame],
    candidates: Sequence[int],
    n_steps: int,
    batch_size: int,
    journal: Journal,
) -> Tally:
    """Losses of the dense model and of all sets that a greedy search tries; `greedy_path` follows it over the table.

    Args:
        n_steps: how many layers the search removes, 1 or more; the other arguments are those of `leave_one_out`.

    Raises: as `leave_one_out`; ModelError also if no candidate is left that can be removed.
    """
    search = _Search(loaded, samples, batch_size, journal)
    path: list[int] = []
    for step in range(1, n_steps + 1):
        tried = [tuple(sorted([*path, layer])) for layer in candidates if layer not in path]
        # The dense model shares the batches of the first step.
        search.evaluate(tried if path else [(), *tried])
        means = mean_losses(search.table(), list(samples))
        if all(means[removed] == math.inf for removed in tried):
            raise ModelError(
                f"Model '{loaded.path}': without layers {path}, no other decoder layer can be removed, but the search "
                f"is to remove {n_steps}."
            )
        path = greedy_path(means, candidates, step)
        logging.info("Step %d of %d removes layer %d", step, n_steps, path[-1])
    return search.finish()


class _Search:
    """The losses of layer sets over samples, each computed once."""

    def __init__(self, loaded: Loaded, samples: Mapping[str, pl.DataFrame], batch_size: int, journal: Journal) -> None:
        self._loaded, self._batch_size, self._journal = loaded, batch_size, journal
        self._asked = answered(loaded, samples)
        self._digests = _digests(loaded, self._asked)
        self._sets: set[Removed] = set()
        self._known: dict[tuple[str, str, Removed], float] = {}
        self._learn(journal.rows(self._digests))
        self._replay: Replay | None = None
        self._computed = 0

    def evaluate(self, sets: Sequence[Removed]) -> None:
        """Find the losses of layer sets: infinite without layers that the model does not allow to be removed."""
        lacking = {removed: [sample for sample in self._asked if not self._knows(sample, removed)] for removed in sets}
        removals: dict[Removed, Removal] = {}
        for removed, missing in lacking.items():
            if missing:
                try:
                    removals[removed] = Removal(self._loaded.model, removed, self._loaded.decoder_path)
                except ModelError as error:
                    logging.warning("Layers %s are not tried: %s", list(removed), error)
                    self._keep(_rows(missing, removed, [math.inf] * len(missing)))
        # Samples that lack the same sets share batches: after a kill those that they would have had.
        groups: dict[tuple[Removed, ...], list[Answered]] = {}
        for sample in self._asked:
            missing = tuple(removed for removed in removals if not self._knows(sample, removed))
            if missing:
                groups.setdefault(missing, []).append(sample)
        progress = Progress("losses", sum(len(missing) * len(members) for missing, members in groups.items()))
        for missing, members in groups.items():
            order = depth_first([removals[removed].kept for removed in missing])
            chosen = {missing[i]: removals[missing[i]] for i in order}
            for rows in batched(self._loaded, members, self._batch_size, partial(self._losses, chosen)):
                self._keep(rows)
                self._computed += len(rows)
                progress.advance(len(rows))
        self._sets |= set(sets)

    def table(self) -> pl.DataFrame:
        """The losses table of the sets that were evaluated: by size of the set, set, and sample."""
        parts = [
            _rows(self._asked, removed, [self._known[sample.domain, sample.name, removed] for sample in self._asked])
            for removed in sorted(self._sets, key=lambda removed: (len(removed), removed))
        ]
        return pl.concat(parts)

    def finish(self) -> Tally:
        """Write the table."""
        self._journal.finish(self.table(), self._digests)
        layers = (self._replay.computed, self._replay.replayed) if self._replay else (0, 0)
        return Tally(self._computed, *layers)

    def _knows(self, sample: Answered, removed: Removed) -> bool:
        return (sample.domain, sample.name, removed) in self._known

    def _keep(self, rows: pl.DataFrame) -> None:
        self._journal.add(rows, self._digests)
        self._learn(rows)

    def _learn(self, rows: pl.DataFrame) -> None:
        columns = rows.select("domain", "sample_id", "removed", "nll")
        self._known |= {(domain, name, tuple(removed)): loss for domain, name, removed, loss in columns.iter_rows()}

    @torch.inference_mode()
    def _losses(
        self, removals: Mapping[Removed, Removal], chosen: Sequence[Answered], encoded: BatchFeature
    ) -> pl.DataFrame:
        """Rows of the losses table of one batch, for sets in depth-first order."""
        model, n_tokens, found = self._loaded.model, [len(sample.tokens) for sample in chosen], []
        if self._replay is None:
            self._replay = Replay(model, self._loaded.decoder_path)
        with self._replay.batch():
            for removal, following in pairwise([*removals.values(), None]):
                self._replay.variant(removal, following)
                with removal.applied():
                    found.append(nll(model, encoded, n_tokens))
        values = torch.stack(found).cpu()  # [sets, B]
        losses = dict(zip(removals, values.where(values.isfinite(), math.inf).tolist(), strict=True))
        if () in losses and math.inf in losses[()]:
            name = chosen[losses[()].index(math.inf)].name
            raise ModelError(
                f"Model '{self._loaded.path}': the loss of calibration sample '{name}' is NaN or infinite; the weights "
                "are damaged, or their dtype cannot hold what they compute."
            )
        return pl.concat([_rows(chosen, removed, of_set) for removed, of_set in losses.items()])


def _rows(samples: Sequence[Answered], removed: Removed, losses: Sequence[float]) -> pl.DataFrame:
    rows = [
        (sample.domain, sample.name, list(removed), loss, len(sample.tokens))
        for sample, loss in zip(samples, losses, strict=True)
    ]
    return tables.frame("losses", rows)


def _digests(loaded: Loaded, asked: Sequence[Answered]) -> dict[str, str]:
    """Short hash for each domain: equal digests mean the same model, computing in the same way, and equal inputs."""
    settings = [PROTOCOL, Path(loaded.path).name, loaded.revision, loaded.dtype, loaded.attention]
    digests: dict[str, Any] = {}
    for sample in asked:
        digest = digests.setdefault(sample.domain, hashlib.sha256(repr(settings).encode()))
        digest.update(repr([sample.name, prompt_digest(sample.text, sample.images), sample.tokens]).encode())
    return {domain: digest.hexdigest()[:16] for domain, digest in digests.items()}
