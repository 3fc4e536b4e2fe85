"""Work through samples of unequal lengths in batches that fit into memory, whatever the memory."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

T = TypeVar("T")


def batches(lengths: Sequence[int], size: int, work: Callable[[list[int]], T]) -> Iterator[tuple[list[int], T]]:
    """Work on positions in batches of about equal lengths, the longest first: if memory runs out, it does so at once.

    If it does, the size halves, for everything that follows too, and the same positions are tried again.

    Args:
        lengths: of each position's sample, in any unit; equal lengths keep their order.
        size: how many positions a batch has at most, 1 or more.
        work: called with the positions of one batch; called again with the first of them if memory ran out.

    Yields: (positions, work(positions)), each position once.

    Raises: whatever `work` raises, running out of memory only if the batch is a single position.
    """
    order = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    begin = 0
    while begin < len(order):
        positions = order[begin : begin + size]
        try:
            result = work(positions)
        except (MemoryError, RuntimeError) as error:
            if len(positions) == 1 or not is_out_of_memory(error):
                raise
            size = len(positions) // 2
        else:
            begin += len(positions)
            yield positions, result
            continue
        # Only here the error is gone, and with it the frames that hold the failed batch's tensors.
        logging.warning("A batch of %d ran out of memory; from here on, batches have %d.", len(positions), size)
        gc.collect()
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a device or here."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "DefaultCPUAllocator" in str(error)
