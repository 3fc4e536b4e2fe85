"""Criteria by structure, where the spacing or the continuity of the removed layers decides; and the random control."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pruning_regimes.criteria import registry
from pruning_regimes.criteria.by_similarity import domain_list
from pruning_regimes.criteria.choices import Choice, Order, Structure, by_score, spaced
from pruning_regimes.criteria.registry import criterion
from pruning_regimes.criteria.study import Study


@criterion("contiguous", family="structure", parameters={"domains": domain_list("Domains whose samples count")})
def contiguous(study: Study, domains: Sequence[str]) -> Choice:
    """Gromov et al. (arXiv 2403.17887): the block of n consecutive layers with the smallest mean angular distance of
    the last token between its input and its output; of equal ones the deeper. Chosen anew for each n. Where protected
    layers leave no block of n, the block spans them, and they stay."""
    distances = study.blocks(domains or study.domains)
    candidates = study.candidates

    def choose(count: int) -> list[int]:
        blocks = [candidates[i : i + count] for i in range(len(candidates) - count + 1)]
        whole = [block for block in blocks if block[-1] - block[0] == count - 1]
        return min(whole or blocks, key=lambda block: (distances[block[0], block[-1] - block[0] + 1], -block[0]))

    return Structure(choose)


@criterion(
    "interlace",
    family="structure",
    parameters={"domains": domain_list("Domains whose samples count")},
    needs="windows",
)
def interlace(study: Study, domains: Sequence[str]) -> Choice:
    """INTERLACE (arXiv 2511.19676), its selection alone, without the fine-tuning: windows of three layers that do not
    overlap, by the mean cosine of what enters the first and what follows the last; of the first two layers of each, the
    more redundant one goes (the first, if alike). When windows run out, pairs take their place; when pairs run out
    (from about a third of the layers on), which the paper leaves open, single layers by their cosine, away from those
    that went (as `spaced` with a gap of 2). Chosen anew for each n."""
    names = domains or study.domains
    single = study.pooled(names, [study.similarity(name) for name in names])
    windows = {length: study.pooled(names, [study.windows(name, length) for name in names]) for length in (3, 2)}

    def choose(count: int) -> list[int]:
        gone: list[int] = []
        assigned: set[int] = set()
        for length, similarity in windows.items():
            for start in sorted(range(len(similarity)), key=lambda i: -similarity[i]):
                window = range(start, start + length)
                pair = [layer for layer in window[:2] if layer not in study.protected]
                if len(gone) == count or not pair or assigned.intersection(window):
                    continue
                gone.append(max(pair, key=lambda layer: (single[layer], -layer)))
                assigned.update(window)
        rest = [layer for layer in by_score(single, study.candidates).layers if layer not in gone]
        return [*gone, *spaced(rest, 2, gone)][:count]

    return Structure(choose)


@criterion("uniform", family="structure", sampled=False)
def uniform(study: Study) -> Choice:
    """Evenly spaced layers: the k-th of n is round((k + 0.5) C / n - 0.5), half up, among the C candidates; chosen anew
    for each n."""
    candidates = study.candidates

    def choose(count: int) -> list[int]:
        return [candidates[((2 * k + 1) * len(candidates)) // (2 * count)] for k in range(count)]

    return Structure(choose)


@criterion(
    "last",
    family="structure",
    parameters={"keep_last": {"description": "Keep the very last layer.", "type": "boolean", "default": False}},
    sampled=False,
)
def last(study: Study, keep_last: bool) -> Choice:
    """The deepest layers first; with keep_last, the very last layer goes after all others (the simple rule of Gromov et
    al., arXiv 2403.17887)."""
    order = sorted(study.candidates, key=lambda layer: (keep_last and layer == study.n_layers - 1, -layer))
    return Order(order)


@criterion(
    "first_middle",
    family="structure",
    parameters={
        "position": {
            "description": "Where the block lies: first, or middle.",
            "enum": ["first", "middle"],
            "default": "middle",
        }
    },
    sampled=False,
)
def first_middle(study: Study, position: str) -> Choice:
    """The first n candidates, or the n in the middle of them (with one more before the block than after it, if odd);
    chosen anew for each n."""
    candidates = study.candidates

    def choose(count: int) -> list[int]:
        start = 0 if position == "first" else (len(candidates) - count + 1) // 2
        return candidates[start : start + count]

    return Structure(choose)


@criterion(
    "spaced",
    family="structure",
    parameters={
        "of": {
            "description": "The criterion whose order is walked, by its key.",
            "type": "string",
            "names": "criteria",
        },
        "gap": {
            "description": "Smallest distance of two removed layers; 2 keeps a layer between them.",
            "type": "integer",
            "minimum": 2,
            "default": 2,
        },
    },
)
def spaced_out(study: Study, of: dict, gap: int) -> list[Choice]:
    """Walks the order of another criterion and takes a layer if no layer taken is closer than the gap; when the order
    is at its end, the gap is lowered by one and the walk goes on."""
    parameters = {name: value for name, value in of.items() if name != "kind"}
    return [Order(spaced(choice.layers, gap)) for choice in registry.get(of["kind"]).choices(study, parameters)]


@criterion(
    "random",
    family="control",
    parameters={
        "replicates": {"description": "Independent orders.", "type": "integer", "minimum": 1, "default": 3},
    },
    sampled=False,
)
def random(study: Study, replicates: int) -> list[Choice]:
    """Control: a random order per replicate, nested over budgets; replicate r draws from (study seed, r). In the
    statistics, the replicates are draws of one criterion."""
    return [
        Order(np.random.default_rng([study.seed, replicate]).permutation(study.candidates).tolist())
        for replicate in range(replicates)
    ]
