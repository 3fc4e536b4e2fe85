"""The grid of pruned variants: every cell alone, and what each trick takes off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import torch
from transformers import BatchFeature

from pruning_regimes.evaluation.grid import Journal, answer, answer_all
from pruning_regimes.inference import prompts
from pruning_regimes.inference.batches import batches
from pruning_regimes.inference.replay import Replay, depth_first, trie_size
from pruning_regimes.models.decoder import Removal, pruned
from tests.speed.measure import in_turn, settle
from tests.speed.subjects import Subject, encoder_parts
from tests.speed.table import row

GRID_TARGET, PREFILL_TARGET = 0.4, 1.15


def rows(subject: Subject, repeats: int) -> list[dict[str, object]]:
    """The whole evaluation, and its prefill alone."""
    return [*evaluation(subject, repeats), *prefill(subject, repeats)]


def evaluation(subject: Subject, repeats: int) -> list[dict[str, object]]:
    """Cell by cell, deduplicated, inputs and vision once, prefix replay: each includes what stands before it.

    The steps between the first and the last are there to show what brings what, and take one round only.
    """
    cells = subject.variants
    distinct = cells.unique("variant_id", maintain_order=True)
    ways = {
        "cell by cell": lambda: alone(subject, cells),
        "deduplicated": lambda: alone(subject, distinct),
        "+ vision once": lambda: vision_once(subject, distinct),
        "+ prefix replay": lambda: replayed(subject, cells),
    }
    found = in_turn(ways, 1, subject.device, warm=False)
    ends = {name: ways[name] for name in ("cell by cell", "+ prefix replay")}
    for name, more in in_turn(ends, repeats - 1, subject.device, warm=False).items():
        found[name] += more
    n_cells, n_benchmarks = len(cells), len(subject.benchmarks)
    notes = {
        "deduplicated": f"{len(distinct)} distinct variants of {n_cells} cells, {n_benchmarks} benchmarks x "
        f"{subject.samples} samples",
        "+ vision once": "input preparation and encoders once per batch",
        "+ prefix replay": "the package's own evaluation job, journal and tables included",
    }
    return [
        row(
            f"grid: {name}",
            subject.name,
            found[name],
            found["cell by cell"][: len(found[name])],
            bound=len(distinct) / n_cells if name == "deduplicated" else None,
            target=GRID_TARGET if name == "+ prefix replay" else None,
            note=note,
        )
        for name, note in notes.items()
    ]


def work_lists(subject: Subject) -> Iterator[tuple[list[str], list[list[bytes]]]]:
    """The prompts and images of each batch of each benchmark, as an evaluation job makes them up."""
    for table in subject.questions.values():
        texts, images = prompts.prompts(subject.loaded, table), table["images"].to_list()
        sizes = prompts.lengths(subject.loaded, texts, images)
        for positions, _ in batches(sizes, subject.batch_size, len):
            yield [texts[i] for i in positions], [images[i] for i in positions]


def alone(subject: Subject, cells: pl.DataFrame) -> None:
    """Every cell by itself, the plain way, as if there were no others."""
    for removed in cells["removed"]:
        with pruned(subject.loaded.model, removed):
            for texts, images in work_lists(subject):
                answer(subject.loaded, texts, images, subject.max_new_tokens)


@torch.inference_mode()
def vision_once(subject: Subject, distinct: pl.DataFrame) -> None:
    """All variants answer a batch before the next one; its inputs are prepared and its images encoded once."""
    loaded = subject.loaded
    removals = [Removal(loaded.model, removed) for removed in distinct["removed"]]
    for texts, images in work_lists(subject):
        replay = Replay(loaded.model)
        batch = prompts.inputs(loaded, texts, [prompts.decode(encoded) for encoded in images])
        with replay.batch():
            for removal in removals:
                replay.variant(removal, None)  # no layer is stored, so that none is replayed
                with removal.applied():
                    tokens = loaded.model.generate(**batch, max_new_tokens=subject.max_new_tokens)
                loaded.processor.batch_decode(tokens[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


def replayed(subject: Subject, cells: pl.DataFrame) -> None:
    """The package's evaluation, into tables that are thrown away."""
    for table in subject.questions.values():
        with TemporaryDirectory() as directory:
            budgets = cells["budget"].unique(maintain_order=True)
            journal = Journal({budget: Path(directory, f"{budget}.parquet") for budget in budgets}, {})
            answer_all(subject.loaded, table, cells, journal, subject.batch_size, subject.max_new_tokens)


@torch.inference_mode()
def prefill(subject: Subject, repeats: int) -> list[dict[str, object]]:
    """Prefill of all distinct variants on one batch that is prepared, against the least that it could take.

    The bound: layer evaluations in the trie over the sum of depths, plus one vision pass.
    """
    model, device = subject.loaded.model, subject.device
    batch = subject.batch(next(iter(subject.questions.values())).head(subject.batch_size))
    removals = [Removal(model, removed) for removed in subject.variants.unique("variant_id")["removed"]]
    removals = [removals[i] for i in depth_first([removal.kept for removal in removals])]
    depths = [removal.kept for removal in removals]
    share = trie_size(depths) / sum(map(len, depths))
    ways: dict[str, Callable[[], None]] = {
        "plain": lambda: prefill_alone(subject, batch, removals),
        "ours": lambda: prefill_shared(subject, batch, removals),
    }
    found = in_turn(ways, repeats, device)
    plain = sorted(found["plain"])[len(found["plain"]) // 2]
    vision = sorted(vision_seconds(subject, batch) for _ in range(max(3, repeats)))[max(3, repeats) // 2]
    bound = share + vision / plain
    # The stated bound lets every variant keep its share of vision; without that, the least is lower.
    least = share * (1 - len(removals) * vision / plain) + vision / plain
    note = f"{len(removals)} variants, layers computed {trie_size(depths)} of {sum(map(len, depths))}"
    both = found["ours"], found["plain"]
    return [
        row("prefill: prefix replay", subject.name, *both, bound=bound, target=PREFILL_TARGET * bound,
            note=f"{note}; bound: that share and one vision pass"),
        row("prefill: prefix replay, strict bound", subject.name, *both, bound=least,
            note="bound: that share of what is not vision, and one vision pass"),
    ]  # fmt: skip


def prefill_alone(subject: Subject, batch: BatchFeature, removals: list[Removal]) -> None:
    """The first token of each variant, by itself."""
    for removal in removals:
        with removal.applied():
            subject.loaded.model.generate(**batch, max_new_tokens=1)


def prefill_shared(subject: Subject, batch: BatchFeature, removals: list[Removal]) -> None:
    """The first token of each variant, what they share computed once."""
    replay = Replay(subject.loaded.model)
    with replay.batch():
        for removal, following in pairwise([*removals, None]):
            replay.variant(removal, following)
            with removal.applied():
                subject.loaded.model.generate(**batch, max_new_tokens=1)


def vision_seconds(subject: Subject, batch: BatchFeature) -> float:
    """What the vision tower and the projector take of one forward pass."""
    with _timed(encoder_parts(subject), subject.device) as spent:
        subject.loaded.model(**batch, use_cache=False)
    return sum(spent)


@contextmanager
def _timed(modules: list[torch.nn.Module], device: torch.device) -> Iterator[list[float]]:
    """Collect how long each call of the modules takes."""
    begun, spent = [0.0], []

    def before(*_: object) -> None:
        settle(device)
        begun[0] = time.perf_counter()

    def after(*_: object) -> None:
        settle(device)
        spent.append(time.perf_counter() - begun[0])

    handles = [module.register_forward_pre_hook(before) for module in modules]
    handles += [module.register_forward_hook(after) for module in modules]
    try:
        yield spent
    finally:
        for handle in handles:
            handle.remove()
