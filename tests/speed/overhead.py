"""Similarity on against off: time and memory of a forward pass, ours, plain, and with `output_hidden_states=True`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from pruning_regimes.demo import datasets
from pruning_regimes.inference.passes import last_logits
from pruning_regimes.inference.prompts import image_token_id
from pruning_regimes.measurement.similarity import observe, token_groups
from tests.speed.measure import MIB, in_turn, peak_bytes
from tests.speed.subjects import DEMO, SEED, Subject
from tests.speed.table import row

TARGETS = {"cpu": 1.10, "cuda": 1.05}
PASSES = 2  # per timing, so that one is no matter of milliseconds


@torch.inference_mode()
def rows(subject: Subject, repeats: int) -> list[dict[str, object]]:
    """Time and memory on one batch; the head sees the last token alone on every side."""
    calibration = datasets.calibration_table(DEMO["domains"]["math"]["benchmarks"], subject.batch_size, SEED)
    batch, device = subject.batch(calibration), subject.device
    model, decoder = subject.loaded.model, subject.decoder
    groups = token_groups(batch["input_ids"], batch["attention_mask"], image_token_id(model))

    def forward(**options: bool) -> Any:
        with last_logits(model, 1):
            return model(**batch, use_cache=False, **options)

    ways: dict[str, Callable[[], Any]] = {
        "plain": forward,
        "ours": lambda: observe(model, decoder.layers, batch, groups),
        "stored": lambda: forward(output_hidden_states=True),
    }

    def several(work: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(PASSES):
                work()

        return run

    found = in_turn({name: several(work) for name, work in ways.items()}, repeats, device)
    held = {name: peak_bytes(work, device, decoder.owner) for name, work in ways.items()}
    n_samples, n_tokens = groups.shape[1:]
    state = n_samples * n_tokens * decoder.config.hidden_size * model.dtype.itemsize / MIB
    extra = {name: [(held[name] - held["plain"]) / MIB] for name in ("ours", "stored")}
    shape = f"{PASSES} passes of {n_samples} samples x {n_tokens} tokens"
    unit = "MiB"
    return [
        row("similarity: time", subject.name, found["ours"], found["plain"], bound=1, target=TARGETS[device.type],
            note=f"hooks and statistics against none, {shape}"),
        row("output_hidden_states: time", subject.name, found["stored"], found["plain"], bound=1,
            note="states stored only, no statistics"),
        row("similarity: extra peak memory", subject.name, extra["ours"], [state], unit, target=2,
            note="in the decoder; plain is one hidden state"),
        row("output_hidden_states: extra peak memory", subject.name, extra["stored"], [state], unit,
            note=f"in the decoder; plain is one hidden state; L + 1 = {decoder.n_layers + 1}"),
    ]  # fmt: skip
