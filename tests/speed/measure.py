"""Time ways of doing the same thing in turn, and count the memory that they take."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

MIB = 2**20
MARK = "benchmark: the module begins"
Seconds = dict[str, list[float]]


def settle(device: torch.device) -> None:
    """Wait until the device has done all that it was told to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """How long one run takes, the device's work included."""
    settle(device)
    begun = time.perf_counter()
    work()
    settle(device)
    return time.perf_counter() - begun


def in_turn(ways: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device, warm: bool = True) -> Seconds:
    """Time each way `repeats` times, one after the other, every round beginning with another one.

    Args:
        warm: run each once before, untimed.
    """
    if warm:
        for work in ways.values():
            work()
    names, found = list(ways), {name: [] for name in ways}
    for repeat in range(repeats):
        start = repeat % len(names)
        for name in names[start:] + names[:start]:
            found[name].append(seconds(ways[name], device))
    return found


def ratios(ours: Sequence[float], plain: Sequence[float]) -> np.ndarray:
    """Ours over plain, round by round, so that what slows the machine for a while slows both sides."""
    return np.array(ours) / np.array(plain)


def spread(values: Sequence[float] | np.ndarray) -> float:
    """The distance between the quartiles."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low)


def peak_bytes(work: Callable[[], Any], device: torch.device, since: nn.Module) -> int:
    """Most memory that a run holds at a time from when a module begins, beyond what is held before the run."""
    settle(device)
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        handle = since.register_forward_pre_hook(lambda *_: torch.cuda.reset_peak_memory_stats(device))
        work()
        settle(device)
        handle.remove()
        return torch.cuda.max_memory_allocated(device) - before

    def begin(*_: object) -> None:
        with record_function(MARK):
            pass

    handle = since.register_forward_pre_hook(begin)
    # On the CPU only the profiler sees every allocation, those within an operation included.
    with TemporaryDirectory() as directory:
        file = Path(directory, "trace.json")
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            work()
        profiler.export_chrome_trace(str(file))
        trace = json.loads(file.read_text())["traceEvents"]
    handle.remove()
    begun = next(event["ts"] for event in trace if event.get("name") == MARK)
    events = sorted((event for event in trace if event.get("name") == "[memory]"), key=lambda e: e["args"]["Ev Idx"])
    held = np.cumsum([event["args"]["Bytes"] for event in events])
    return int(held[[event["ts"] >= begun for event in events]].max(initial=0))
