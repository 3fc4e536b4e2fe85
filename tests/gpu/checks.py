"""The checks: a name and a function each, which compares the two sides and says how far they may be apart."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from pruning_regimes import tables
from pruning_regimes.evaluation.grid import Journal, Tally, answer_all
from pruning_regimes.evaluation.latency import Plan, device_name
from pruning_regimes.evaluation.latency import measure as measure_latency
from pruning_regimes.inference.prompts import image_token_id
from pruning_regimes.inference.replay import Replay, trie_size
from pruning_regimes.measurement import importance, losses, similarity, windows
from pruning_regimes.measurement.loss_tables import greedy_path, mean_losses
from pruning_regimes.models.decoder import find_decoder
from pruning_regimes.models.loading import Loaded
from tests.gpu.data import SAMPLES, benchmarks, domains, questions
from tests.gpu.sides import Sides, batch, devices_of_layers, free_layers, layer_sets, load, removals
from tests.helpers.families import Tensors, build, images, words
from tests.helpers.replayed import alone, equal, together
from tests.helpers.variants import variants

# Some whose layers differ: plain, sliding windows, linear attention, rotary positions in three dimensions, visual
# features that later layers add.
FAMILIES = ("gemma3", "llama", "llava", "qwen2_5_vl", "qwen3_5", "qwen3_vl")
STEPS = 2  # of the greedy search
PLAN = Plan(questions=2, repeats=2, new_tokens=4)
# Most that the tested side may differ from the CPU's float32, in float32 and in bfloat16.
#
# float32 without TF32: both sides round alike but add in another order. On the CPU, float32 and float64, which stands
# for any other order, are apart by a tenth of these numbers or less (windows, which float64 cannot have, are given what
# layers are).
#
# bfloat16 keeps 8 bits: what has to hold is that layers are ranked nearly alike, and that states and logits point the
# same way. On the CPU, bfloat16 and float32 are apart by a third of these numbers or less.
#
# `tests.gpu.faults` has errors that go beyond those of float32.
ALLOWED = {
    "cosine": (1e-5, 0.01),
    "relative update, relative": (1e-5, 0.01),
    "angular distance": (1e-5, 0.01),
    "angular distance of blocks": (1e-5, 0.01),
    "cosine over windows": (1e-5, 0.01),
    "loss per token, nats": (1e-4, 0.3),
    "importance, relative": (1e-4, 0.1),
    "ranking of layers, 1 - rank correlation": (0.01, 0.05),
    "share of other answers": (0.02, 0.1),
    "logits of the first token, 1 - cosine": (1e-8, 1e-3),
}


@dataclass(frozen=True)
class Compared:
    """How far the sides are apart in one respect, and how far they may be."""

    what: str
    found: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether they are near enough; NaN is not."""
        return self.found <= self.allowed


def compared(what: str, found: float, exact: bool) -> Compared:
    """With the tolerance of its kind.

    Args:
        exact: whether the tested side computes in float32.
    """
    return Compared(what, float(found), ALLOWED[what][not exact])


def holds(what: str, true: bool) -> Compared:
    """Something that is so or not."""
    return Compared(what, 0.0 if true else 1.0, 0.0)


def unequal_ranks(one: Sequence[float], other: Sequence[float]) -> float:
    """1 - Spearman's correlation."""
    ranks = [np.argsort(np.argsort(values)) for values in (one, other)]
    return 1 - float(np.corrcoef(ranks)[0, 1])


def apart(one: pl.DataFrame, other: pl.DataFrame, column: str, relative: bool = False) -> float:
    """Largest difference of a column of two tables of the same rows, in float64."""
    a, b = (table[column].to_numpy().astype(float) for table in (one, other))
    return float(np.max(np.abs(a - b) / (np.abs(a) if relative else 1)))


def measured_similarity(loaded: Loaded) -> similarity.Measured:
    """Of all domains."""
    parts = [similarity.measure(loaded, table, SAMPLES) for table in domains().values()]
    return similarity.Measured(*map(pl.concat, zip(*parts, strict=True)))


def check_similarity(sides: Sides) -> Iterator[Compared]:
    """Statistics of layers, and distances over blocks of them."""
    (ours, our_blocks), (theirs, their_blocks) = sides.both(measured_similarity)
    exact = sides.dtype == "float32"
    yield compared("cosine", apart(ours, theirs, "cosine"), exact)
    update = apart(*(by_layer(table, "relative_update") for table in (ours, theirs)), "relative_update", True)
    yield compared("relative update, relative", update, exact)
    yield compared("angular distance", apart(ours, theirs, "angular_distance"), exact)
    yield compared("angular distance of blocks", apart(our_blocks, their_blocks, "angular_distance"), exact)
    means = [by_layer(table, "cosine")["cosine"].to_numpy() for table in (ours, theirs)]
    yield compared("ranking of layers, 1 - rank correlation", unequal_ranks(*means), exact)


def by_layer(table: pl.DataFrame, column: str) -> pl.DataFrame:
    """Means over all tokens and samples."""
    everything = table.filter(pl.col("token_group") == "all")
    return everything.group_by("layer").agg(pl.col(column).cast(pl.Float64).mean()).sort("layer")


def measured_windows(loaded: Loaded) -> pl.DataFrame:
    """Of one domain."""
    return windows.measure(loaded, domains()["math"], SAMPLES)


def check_windows(sides: Sides) -> Iterator[Compared]:
    """Cosines over windows of two and three layers."""
    yield compared("cosine over windows", apart(*sides.both(measured_windows), "cosine"), sides.dtype == "float32")


def measured_losses(loaded: Loaded) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Losses without each layer, and those of a greedy search."""
    with TemporaryDirectory() as directory:
        single, search = Path(directory, "single.parquet"), Path(directory, "greedy.parquet")
        candidates = free_layers(loaded.model)
        losses.leave_one_out(loaded, domains(), candidates, SAMPLES, losses.Journal(single, {}))
        losses.greedy(loaded, domains(), candidates, STEPS, SAMPLES, losses.Journal(search, {}))
        return tables.read(single, "losses"), tables.read(search, "losses")


def check_losses(sides: Sides) -> Iterator[Compared]:
    """Losses without single layers, the order of layers by them, and the path of a greedy search."""
    exact = sides.dtype == "float32"
    ours, theirs = sides.both(measured_losses)
    per_token = [
        single.with_columns(nll=pl.col("nll").cast(pl.Float64) / pl.col("n_tokens")) for single, _ in (ours, theirs)
    ]
    yield compared("loss per token, nats", apart(*per_token, "nll"), exact)
    means = [mean_losses(single, list(domains())) for single, _ in (ours, theirs)]
    orders = [[of_set[removed] for removed in sorted(of_set)] for of_set in means]
    yield compared("ranking of layers, 1 - rank correlation", unequal_ranks(*orders), exact)
    candidates = free_layers(sides.tested.model)
    paths = [greedy_path(mean_losses(search, list(domains())), candidates, STEPS) for _, search in (ours, theirs)]
    if exact:  # in bfloat16, two layers of nearly the same loss may change places
        yield holds(f"the greedy search removes {paths[0]}", paths[0] == paths[1])


def measured_importance(loaded: Loaded) -> pl.DataFrame:
    """Taylor importance."""
    return importance.measure(loaded, domains(), SAMPLES)


def check_taylor(sides: Sides) -> Iterator[Compared]:
    """Importance by gradients."""
    exact = sides.dtype == "float32"
    ours, theirs = sides.both(measured_importance)
    yield compared("importance, relative", apart(ours, theirs, "importance", relative=True), exact)
    ranks = unequal_ranks(*(table["importance"].to_numpy() for table in (ours, theirs)))
    yield compared("ranking of layers, 1 - rank correlation", ranks, exact)


def answered(loaded: Loaded) -> tuple[Tally, pl.DataFrame]:
    """The answers of all variants, by the package's own evaluation, in one batch."""
    table, cells = questions(), variants(find_decoder(loaded.model).n_layers, *layer_sets(loaded.model)[1:])
    with TemporaryDirectory() as directory:
        paths = {budget: Path(directory, f"{budget}.parquet") for budget in cells["budget"].unique(maintain_order=True)}
        tally = answer_all(loaded, table, cells, Journal(paths, {}), len(table), 8)
        return tally, pl.concat(tables.read(path, "predictions") for path in paths.values())


@torch.inference_mode()
def first_logits(loaded: Loaded) -> list[torch.Tensor]:
    """Logits of each variant's first token, computed by itself; float32, on the CPU."""
    return [logits[0].float().cpu() for _, logits in alone(loaded.model, removals(loaded.model), batch(loaded))]


def check_evaluation(sides: Sides) -> Iterator[Compared]:
    """Answers and logits with replay: against each variant alone on the device, bit for bit, and against the CPU."""
    exact = sides.dtype == "float32"
    model, inputs = sides.tested.model, batch(sides.tested)
    yield from replayed_as_alone(model, inputs)
    (_, ours), (tally, theirs) = sides.both(answered)
    kept = [removal.kept for removal in removals(model)]
    yield holds("layers on shared paths are computed once", tally.layers_computed == trie_size(kept))
    same = ours["response"] == theirs["response"]
    yield compared("share of other answers", 1 - same.mean(), exact)
    pairs = zip(*sides.both(first_logits), strict=True)
    yield compared("logits of the first token, 1 - cosine", unlike(pairs), exact)


@torch.inference_mode()
def replayed_as_alone(model: PreTrainedModel, inputs: Tensors) -> Iterator[Compared]:
    """Tokens and logits of variants that share a batch, and of each alone, on one device."""
    every, replay = removals(model), Replay(model)
    shared = together(model, every, inputs, replay)
    yield holds("layers are replayed", replay.replayed > 0)
    yield holds(
        "tokens and logits with replay are those of each variant alone", equal(shared, alone(model, every, inputs))
    )


def unlike(pairs: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Largest 1 - cosine of rows of logits; what is set to minus infinity, since no answer has it, is left out."""
    found = []
    for one, other in pairs:
        one, other = (torch.nan_to_num(logits.double(), neginf=0) for logits in (one, other))
        found.append(float((1 - functional.cosine_similarity(one, other, dim=-1)).max()))
    return max(found)


def check_latency(sides: Sides) -> Iterator[Compared]:
    """Times are there and positive, the weights' bytes are as they should be, and so is the memory of a GPU."""
    cells = variants(find_decoder(sides.tested.model).n_layers, *layer_sets(sides.tested.model)[1:])
    table = measure_latency(sides.tested, cells, benchmarks(), PLAN)
    plain = measure_latency(sides.reference, cells, benchmarks(), PLAN)
    # Some buffers, such as rotary frequencies, stay in float32.
    scale = getattr(torch, sides.dtype).itemsize / torch.float32.itemsize
    bytes_ = [plain.select(b=pl.col("weight_bytes") * scale), table.select(b=pl.col("weight_bytes"))]
    yield Compared("bytes of weights, relative", apart(*bytes_, "b", relative=True), 0.0 if scale == 1 else 0.01)
    classes = [found["cost_class"].to_list() for found in (plain, table)]
    yield holds("classes of equal cost", classes[0] == classes[1])
    seconds = table["seconds"].to_numpy()
    yield holds("seconds are positive", bool(np.isfinite(seconds).all() and (seconds > 0).all()))
    gpus = [device for device in devices_of_layers(sides.tested.model) if device.type == "cuda"]
    yield holds(f"the device is {device_name(gpus)}", table["device"].unique().to_list() == [device_name(gpus)])
    if not gpus:
        yield holds("no memory is counted on the CPU", table["peak_bytes"].null_count() == len(table))
        return
    working, peak = table["working_bytes"], table["peak_bytes"]
    whole = torch.cuda.get_device_properties(gpus[0]).total_memory
    yield holds("working memory is counted", working.null_count() == 0 and working.min() > 0)
    yield holds("weights and working memory fit into the device", peak.max() < whole)
    dense = table.filter(pl.col("cost_class") == 0)["peak_bytes"].max()
    yield holds("no variant takes more than the dense model", peak.max() <= dense)


def check_placement(sides: Sides) -> Iterator[Compared]:
    """`gpus: 2`: layers on both devices, and the same results as on one."""
    spread = Sides(sides.name, sides.dtype, sides.reference, load(sides.name, sides.dtype, torch.device("cuda"), 2))
    spread.known.update(sides.known)
    yield holds("decoder layers are on two devices", len(devices_of_layers(spread.tested.model)) == 2)
    for check in (check_similarity, check_windows, check_losses, check_taylor, check_evaluation, check_latency):
        yield from check(spread)


def no_placement(device: torch.device) -> str | None:
    """Why placement on two devices is not checked; None if it is."""
    if device.type != "cuda" or torch.cuda.device_count() < 2:
        return "there are fewer than two GPUs"
    return None if find_spec("accelerate") else "accelerate, which places layers, is not installed"


@torch.inference_mode()
def check_family(family: str, device: torch.device) -> Iterator[Compared]:
    """Similarity, windows, logits and replay of a tiny random model of a family, float32."""
    model = build(family)
    inputs = images(family, model) or words()
    moved = copy.deepcopy(model).to(device)
    at_device = {name: value.to(device) for name, value in inputs.items()}
    for name, observe in {"cosine": similarity.observe, "cosine over windows": windows.observe}.items():
        ours, theirs = (observed(observe, *side) for side in ((model, inputs), (moved, at_device)))
        yield compared(name, np.nanmax(np.abs(ours - theirs)), True)
    yield from replayed_as_alone(moved, at_device)
    pairs = zip(
        *([logits[0].cpu() for _, logits in alone(m, removals(m), given)] for m, given in
          ((model, inputs), (moved, at_device))),
        strict=True,
    )  # fmt: skip
    yield compared("logits of the first token, 1 - cosine", unlike(pairs), True)


def observed(observe: Callable[..., tuple[np.ndarray, ...]], model: PreTrainedModel, inputs: Tensors) -> np.ndarray:
    """What a measurement sees of a batch, its cosines alone."""
    groups = similarity.token_groups(inputs["input_ids"], inputs["attention_mask"], image_token_id(model))
    found = observe(model, find_decoder(model).layers, inputs, groups)[0]
    return found[..., 0] if observe is similarity.observe else found


CHECKS: Mapping[str, Callable[[Sides], Iterator[Compared]]] = {
    "similarity": check_similarity,
    "windows": check_windows,
    "losses": check_losses,
    "taylor": check_taylor,
    "evaluation": check_evaluation,
    "latency": check_latency,
}
