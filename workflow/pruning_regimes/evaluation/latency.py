"""What the variants of a model cost: time to the first token and per further token, and memory, at batch size 1.

One variant of each cost class is measured for all of the class. Every round times each class once, on the same
question, one after the other, so that what slows the machine for a while slows all alike; a class is compared with the
dense model of the same round. The number of new tokens is forced: a variant that stops at once, or never, would
otherwise seem fast or slow. What is timed is the model's own `generate()` on inputs that are prepared: the images are
encoded within it, but the processor's work, which no variant changes, is not in it.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch
from torch import Tensor
from transformers import BatchFeature, PreTrainedModel, StoppingCriteria, StoppingCriteriaList

from pruning_regimes.evaluation.cost_classes import cost_classes
from pruning_regimes.inference.batches import is_out_of_memory
from pruning_regimes.inference.prompts import context, decode, inputs, prompts, shown_images
from pruning_regimes.jobs.errors import DataError, ModelError
from pruning_regimes.jobs.progress import Progress
from pruning_regimes.models.decoder import Removal
from pruning_regimes.models.loading import Loaded
from pruning_regimes.tables import frame, n_rows, read
from pruning_regimes.tables.contracts import PHASES

Clock = Callable[[], float]
SPARE = 4  # times as many questions of each benchmark are read as are timed in all
QUARTILES = {"seconds_low": 0.25, "seconds": 0.5, "seconds_high": 0.75}


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        questions: in all, in equal shares (rounded up) of the benchmarks.
        repeats: rounds per question.
        new_tokens: that every answer has, 2 or more.
    """

    questions: int
    repeats: int
    new_tokens: int


@dataclass(frozen=True)
class Run:
    """One answer of one variant.

    Attributes:
        prefill: seconds until the first token is there, the images' encoding included.
        decode: seconds per further token.
        answer: seconds until all tokens are there.
        working_bytes: most memory that was held beside the weights, the inputs included; None on the CPU.
    """

    prefill: float
    decode: float
    answer: float
    working_bytes: int | None


def first_questions(path: str | os.PathLike[str], plan: Plan) -> pl.DataFrame:
    """The first questions of a benchmark table: more than are timed, since the model may not answer some of them.

    Only these are read: the images of all would be too many.

    Raises: DataError if the file is no benchmark table.
    """
    n_rows(path, "benchmark")  # for its checks
    names = pl.read_parquet(path, columns=["sample_id"], n_rows=SPARE * plan.questions)["sample_id"]
    return read(path, "benchmark", pl.col("sample_id").is_in(names.to_list()))


@torch.inference_mode()
def measure(
    loaded: Loaded,
    variants: pl.DataFrame,
    benchmarks: Mapping[str, pl.DataFrame],
    plan: Plan,
    clock: Clock = time.perf_counter,
) -> pl.DataFrame:
    """Measure all distinct variants of a loaded model.

    Before a question is timed, the dense model answers it once; as the variants are made of its layers, this warms up
    everything that they use.

    Args:
        variants: the variants table, the dense model in its first row.
        benchmarks: benchmark -> its table.
        clock: tells seconds.

    Returns: the latency table.

    Raises: DataError if no question can be answered; ModelError if a variant is no such model, or if `generate()` makes
        another number of tokens than it is asked for.
    """
    model, path = loaded.model, loaded.decoder_path
    of_class = cost_classes(model, variants, path)
    measured = of_class.unique("cost_class", keep="first", maintain_order=True)
    removals = [Removal(model, removed, path) for removed in measured["removed"]]
    weights = []
    for removal in removals:
        with removal.applied():
            weights.append(weight_bytes(model))
    timer = _Timer(model, plan.new_tokens, clock)
    runs = _runs(loaded, removals, benchmarks, plan, timer)
    n_tokens = {"prefill": runs["prompt_tokens"].mean(), "decode": 1.0, "answer": float(plan.new_tokens)}
    found = (
        of_class.join(
            measured.select("cost_class", weight_bytes=pl.Series(weights)), on="cost_class", maintain_order="left"
        )
        .join(statistics(runs), on="cost_class", maintain_order="left_right")
        .with_columns(
            tokens=pl.col("phase").replace_strict(n_tokens),
            peak_bytes=pl.col("weight_bytes") + pl.col("working_bytes"),
            device=pl.lit(device_name(timer.gpus)),
            threads=pl.lit(torch.get_num_threads()),
        )
        .with_columns(tokens_per_second=pl.col("tokens") / pl.col("seconds"))
    )
    return frame("latency", found)


def _runs(
    loaded: Loaded,
    removals: Sequence[Removal],
    benchmarks: Mapping[str, pl.DataFrame],
    plan: Plan,
    timer: _Timer,
) -> pl.DataFrame:
    """A row per question, round and cost class, in the order in which they were timed."""
    share = -(-plan.questions // len(benchmarks))
    progress = Progress("rounds", sum(min(share, len(table)) for table in benchmarks.values()) * plan.repeats)
    rows = []
    for question, batch in enumerate(_warmed(loaded, benchmarks, share, timer)):
        at = {"question": question, "prompt_tokens": batch["input_ids"].shape[1]}
        for repeat in range(plan.repeats):
            for place in range(len(removals)):
                cost_class = (repeat + place) % len(removals)  # every round begins with another one
                with removals[cost_class].applied():
                    run = timer.run(batch)
                rows.append({**at, "round": repeat, "cost_class": cost_class, **vars(run)})
            progress.advance()
    if not rows:
        raise DataError("The dense model can answer none of the questions, so that no time can be measured.")
    schema = {"cost_class": pl.Int32, "working_bytes": pl.Int64}
    return pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None)


def statistics(runs: pl.DataFrame) -> pl.DataFrame:
    """Statistics of timed runs, per cost class and phase.

    Args:
        runs: question, round, cost_class, prefill, decode, answer, working_bytes; a row per run.

    Returns: seconds, with seconds_low and seconds_high: medians and quartiles over a question's rounds, mean over
        questions; relative, relative_low, relative_high: median and quartiles, over all questions and rounds, of the
        time divided by that of class 0 in the same round; working_bytes: the largest.
    """
    at = ("question", "round", "phase")
    long = runs.unpivot(PHASES, index=["question", "round", "cost_class"], variable_name="phase", value_name="seconds")
    dense = long.filter(pl.col("cost_class") == 0).select(*at, pl.col("seconds").alias("dense"))
    ratio = pl.col("seconds") / pl.col("dense")
    by_phase = ("cost_class", "phase")
    relative = (
        long.join(dense, on=at, maintain_order="left")
        .group_by(by_phase, maintain_order=True)
        .agg(
            ratio.quantile(share, "linear").alias(name.replace("seconds", "relative"))
            for name, share in QUARTILES.items()
        )
    )
    seconds = (
        long.group_by(*by_phase, "question", maintain_order=True)
        .agg(pl.col("seconds").quantile(share, "linear").alias(name) for name, share in QUARTILES.items())
        .group_by(by_phase, maintain_order=True)
        .agg(pl.col(name).mean() for name in QUARTILES)
    )
    most = runs.group_by("cost_class").agg(pl.col("working_bytes").max())
    return seconds.join(relative, on=by_phase, maintain_order="left").join(most, on="cost_class", maintain_order="left")


def weight_bytes(model: PreTrainedModel) -> int:
    """Bytes of a model's parameters and buffers as it is now; what is tied counts once."""
    distinct = {id(tensor): tensor.nbytes for tensor in (*model.parameters(), *model.buffers())}
    return sum(distinct.values())


def device_name(gpus: Collection[torch.device]) -> str:
    """What a model runs on, such as `2 x NVIDIA H100 80GB HBM3`; without GPUs the CPU's model."""
    if gpus:
        count = f"{len(gpus)} x " if len(gpus) > 1 else ""
        return count + torch.cuda.get_device_name(next(iter(gpus)))
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


class _Marks(StoppingCriteria):
    """Notes when each new token is there, and stops nothing."""

    def __init__(self, now: Clock) -> None:
        self.now, self.at = now, []

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        self.at.append(self.now())
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


class _Timer:
    """Times answers of a model as it is at the time, on whatever devices it is."""

    def __init__(self, model: PreTrainedModel, new_tokens: int, clock: Clock) -> None:
        self.model, self.new_tokens, self.clock = model, new_tokens, clock
        self.gpus = {weight.device for weight in model.parameters() if weight.device.type == "cuda"}

    def run(self, batch: BatchFeature) -> Run:
        """Answer one question with as many tokens as asked for."""
        marks = _Marks(self._now)
        for gpu in self.gpus:
            torch.cuda.reset_peak_memory_stats(gpu)
        held, begun = self._held(), self._now()
        self.model.generate(
            **batch,
            min_new_tokens=self.new_tokens,
            max_new_tokens=self.new_tokens,
            stopping_criteria=StoppingCriteriaList([marks]),
        )
        ended = self._now()
        if len(marks.at) != self.new_tokens:
            raise ModelError(
                f"{type(self.model).__name__}: generate() made {len(marks.at)} tokens where {self.new_tokens} were "
                "asked for, so that its time cannot be measured."
            )
        return Run(
            marks.at[0] - begun,
            (marks.at[-1] - marks.at[0]) / (self.new_tokens - 1),
            ended - begun,
            self._working(batch, held),
        )

    def _now(self) -> float:
        """The time when the devices have done all that they were told to do."""
        for gpu in self.gpus:
            torch.cuda.synchronize(gpu)
        return self.clock()

    def _held(self) -> int:
        return sum(torch.cuda.memory_allocated(gpu) for gpu in self.gpus)

    def _working(self, batch: BatchFeature, held: int) -> int | None:
        """Peak of the memory, less what was held before: removed layers, which stay there, are no part of it."""
        if not self.gpus:
            return None
        given = sum(value.nbytes for value in batch.values() if torch.is_tensor(value))
        return sum(torch.cuda.max_memory_allocated(gpu) for gpu in self.gpus) - held + given


def _warmed(
    loaded: Loaded, benchmarks: Mapping[str, pl.DataFrame], share: int, timer: _Timer
) -> Iterator[BatchFeature]:
    """The model's inputs for each question, after an untimed answer of the dense model.

    So many of each benchmark as its share; they lie evenly apart in its table. One that cannot be answered (a damaged
    image, too large for the context or for memory) is replaced by another.
    """
    limit = context(loaded.model)
    for name, table in benchmarks.items():
        wanted = min(share, len(table))
        even = [(2 * place + 1) * len(table) // (2 * wanted) for place in range(wanted)]
        order = [*even, *(row for row in range(len(table)) if row not in even)]
        for row in order:
            if not wanted:
                break
            question = table[row]
            try:
                batch = inputs(loaded, prompts(loaded, question), [decode(shown_images(question)[0])])
                n_tokens = batch["input_ids"].shape[1] + timer.new_tokens
                if limit is not None and n_tokens > limit:
                    raise DataError(f"It takes {n_tokens} tokens of a context of {limit}.")
                timer.run(batch)
            except DataError as error:
                logging.warning("%s: question %s is not timed: %s", name, question["sample_id"][0], error)
                continue
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                logging.warning("%s: question %s is not timed: memory ran out", name, question["sample_id"][0])
                continue
            wanted -= 1
            yield batch
