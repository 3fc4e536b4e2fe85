"""What a criterion returns: how it removes any number of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Order:
    """A nested choice: every budget removes the first layers of one order.

    Attributes:
        layers: all candidates, the first to remove first.
        scores: score of each layer by its number, larger is removed earlier; None if the order is not by score.
    """

    layers: Sequence[int]
    scores: Sequence[float] | None = None

    def remove(self, count: int) -> list[int]:
        """The first `count` layers of the order."""
        return list(self.layers[:count])


@dataclass(frozen=True)
class Structure:
    """A choice made anew for each number to remove, by position.

    Attributes:
        choose: number to remove -> the layers.
    """

    choose: Callable[[int], list[int]]
    scores: None = None

    def remove(self, count: int) -> list[int]:
        """The layers to remove, in order."""
        return self.choose(count)


Choice = Order | Structure


def by_score(scores: np.ndarray, candidates: Iterable[int]) -> Order:
    """Order the candidates by score, largest first; of equal scores the deeper layer goes first.

    Args:
        scores: [L], one per layer.
    """
    order = sorted(candidates, key=lambda layer: (-scores[layer], -layer))
    return Order(order, [float(score) for score in scores])


def spaced(order: Sequence[int], gap: int, taken: Sequence[int] = ()) -> list[int]:
    """Walk an order and take a layer if none taken is closer than `gap`; at the end, lower the gap by one and go on.

    Args:
        order: layers, the first to remove first.
        gap: smallest distance of two taken layers, 1 or more.
        taken: layers that are removed already; they are not returned.

    Returns: all layers of the order, as they are taken.
    """
    chosen: list[int] = []
    for distance in range(gap, 0, -1):
        for layer in order:
            if all(abs(layer - other) >= distance for other in (*taken, *chosen)):
                chosen.append(layer)
    return chosen
