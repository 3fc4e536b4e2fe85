"""Run the checks and say what they found: `python -m tests.gpu --device cuda`, or `make test-gpu`.

Needs torch, transformers, polars, pillow and psutil with what these bring; with accelerate, models are placed as a
study places them. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported

import torch
import transformers

from pruning_regimes.evaluation.latency import device_name
from tests.gpu.checks import CHECKS, FAMILIES, Compared, check_family, check_placement, no_placement
from tests.gpu.faults import FAULTS
from tests.gpu.sides import DEMO, Sides, load

DTYPES = ("float32", "bfloat16")
OTHERS = ("families", "placement", "faults")
CPU = torch.device("cpu")


class Report:
    """Prints each comparison at once, and counts those that do not hold."""

    def __init__(self) -> None:
        self.count = self.failed = 0

    def add(self, where: str, check: Callable[[], Iterable[Compared]]) -> None:
        """Run a check; an error fails it, and the others go on."""
        try:
            for found in check():
                said = f"found {found.found:.3g}, allowed {found.allowed:.3g}"
                self.say(found.holds, f"{where}: {found.what}", said)
        except Exception:
            self.say(False, where, traceback.format_exc())

    def say(self, holds: bool, what: str, found: str) -> None:
        """One line."""
        self.count += 1
        self.failed += not holds
        print(f"{'ok    ' if holds else 'FAILED'} {what}: {found}", flush=True)


def noticed(report: Report, sides: Sides, only: Iterable[str]) -> None:
    """Put each fault into the tested side; the checks that have to notice it must fail."""
    for fault, (inject, names) in FAULTS.items():
        for name in [name for name in names if name in only]:
            with inject(sides):
                missed = [found for found in CHECKS[name](sides) if not found.holds]
            told = missed[0] if missed else None
            found = f"{told.what}, found {told.found:.3g}, allowed {told.allowed:.3g}" if told else "not noticed"
            report.say(bool(missed), f"fault: {fault}, seen by {name}", found)


def run(device: torch.device, only: Iterable[str]) -> Report:
    """All checks, or some of them.

    Args:
        only: names of checks.
    """
    report = Report()
    for name in DEMO:
        known: dict = {}
        reference = load(name, "float32", CPU)
        for dtype in DTYPES:
            sides = Sides(name, dtype, reference, load(name, dtype, device), known)
            for key, check in CHECKS.items():
                if key in only:
                    report.add(f"{key}, {name}, {dtype}", lambda check=check, sides=sides: check(sides))
            if "placement" in only and not no_placement(device):
                report.add(f"gpus: 2, {name}, {dtype}", lambda sides=sides: check_placement(sides))
            if "faults" in only and dtype == "float32" and name == DEMO[0]:
                noticed(report, sides, only)
    if "placement" in only and (reason := no_placement(device)):
        print(f"skipped gpus: 2, since {reason}")
    if "families" in only:
        for family in FAMILIES:
            report.add(f"tiny {family}, float32", lambda family=family: check_family(family, device))
    return report


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description="Check a GPU against the CPU.")
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--only", nargs="+", default=[*CHECKS, *OTHERS], choices=[*CHECKS, *OTHERS])
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "No GPU was checked: torch sees no CUDA device; --device cpu (DEVICE=cpu) tries the command without one."
        )
    # By default, convolutions of float32 use TF32, which keeps 10 of 23 bits.
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    torch.set_num_threads(1)  # the models are tiny
    begun = time.monotonic()
    gpus = [torch.device("cuda", 0)] if device.type == "cuda" else []
    print(f"{device_name(gpus)}; torch {torch.__version__}, transformers {transformers.__version__}")
    report = run(device, options.only)
    print(f"{report.failed} of {report.count} comparisons failed; took {time.monotonic() - begun:.0f} s")
    sys.exit(report.failed > 0)


if __name__ == "__main__":
    main()
