"""What every job of the workflow does around its work: a log file, and errors in one sentence."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

from pruning_regimes.devices import leased
from pruning_regimes.errors import StudyError


@contextmanager
def job(log_file: str | os.PathLike[str], gpus: int = 0) -> Iterator[None]:
    """Send logging and stderr to a log file; end with one sentence, not a traceback, if the input is at fault.

    Args:
        gpus: devices that the job holds meanwhile; it waits for them.
    """
    Path(log_file).parent.mkdir(parents=True, exist_ok=True)
    with open(log_file, "w", buffering=1) as log, redirect_stderr(log):
        logging.basicConfig(stream=log, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True)
        try:
            with leased(gpus):
                yield
        except StudyError as error:
            logging.error("%s", error)
            print(f"Error: {error}", file=sys.__stderr__)
            sys.exit(1)
        except Exception:
            logging.exception("Unexpected error")
            raise
