"""Say how far long work has come: as a bar on a terminal, now and then in the log elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from datetime import timedelta


class Progress:
    """Shows done and total, rate and time left.

    On a terminal as a bar; elsewhere (the log of a job, a pipe, a notebook) as log lines, one every so often and one at
    the end.

    Args:
        what: what is counted, such as "similarity, samples".
        total: how many there are.
        every: seconds between two lines at least.
    """

    def __init__(self, what: str, total: int, every: float = 30.0) -> None:
        self.what, self.total, self.every = what, total, every
        self.done = 0
        self._begun = self._told = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm  # takes as long to import as the rest of a light job

            self._bar = tqdm(total=total, desc=what, file=sys.stderr, dynamic_ncols=True)

    def advance(self, n: int = 1) -> None:
        """Count n more as done."""
        self.done += n
        finished = self.done >= self.total
        if self._bar is not None:
            self._bar.update(n)
            if finished:
                self._bar.close()
            return
        now = time.monotonic()
        if not self.done or (not finished and now - self._told < self.every):
            return
        self._told = now
        passed = now - self._begun
        rate = self.done / max(passed, 1e-9)
        end = f"took {_clock(passed)}" if finished else f"{_clock((self.total - self.done) / rate)} left"
        logging.info("%s: %d/%d, %.3g/s, %s", self.what, self.done, self.total, rate, end)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
