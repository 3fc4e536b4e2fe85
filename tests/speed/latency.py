"""How much faster a pruned model is, against the layers that are left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from pruning_regimes.models.decoder import Removal
from tests.speed.measure import Seconds, in_turn
from tests.speed.subjects import Subject
from tests.speed.table import row

DECODED = 16  # tokens
DENSE = 0


@torch.inference_mode()
def rows(subject: Subject, repeats: int) -> list[dict[str, object]]:
    """Prefill, and decoding per token, at several depths, against the dense model of the same rounds."""
    model, n_layers = subject.loaded.model, subject.decoder.n_layers
    batch = subject.batch(next(iter(subject.questions.values())).head(subject.batch_size))
    removals = {
        count: Removal(model, range(n_layers - count, n_layers))
        for count in sorted({DENSE, 1, n_layers // 4, n_layers // 2})
    }

    def generation(removal: Removal, tokens: int) -> Callable[[], None]:
        def run() -> None:
            with removal.applied():
                model.generate(**batch, min_new_tokens=tokens, max_new_tokens=tokens)

        return run

    ways = {
        f"{count} {tokens}": generation(removal, tokens)
        for count, removal in removals.items()
        for tokens in (1, 1 + DECODED)
    }
    found = in_turn(ways, repeats, subject.device)
    timings: dict[str, dict[int, list[float]]] = {
        "prefill": {count: found[f"{count} 1"] for count in removals},
        "decode per token": {count: _per_token(found, count) for count in removals},
    }
    return [
        row(
            f"latency: {phase}, {n_layers - count} of {n_layers} layers",
            subject.name,
            of_depth[count],
            of_depth[DENSE],
            bound=(n_layers - count) / n_layers,
            note=f"plain is the dense model; {len(batch['input_ids'])} samples; bound: kept / L",
        )
        for phase, of_depth in timings.items()
        for count in removals
        if count != DENSE
    ]


def _per_token(found: Seconds, count: int) -> list[float]:
    longer, first = np.array(found[f"{count} {1 + DECODED}"]), np.array(found[f"{count} 1"])
    return ((longer - first) / DECODED).tolist()
