"""What every job of the workflow does around its work: a log file, and errors in one sentence."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

from pruning_regimes.jobs.devices import leased
from pruning_regimes.jobs.errors import StudyError

OS_ERROR = re.compile(r"\(os error (\d+)\)")
STORAGE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the quota is used up; free some space",
    errno.EROFS: "the file system is read-only; make it writable",
    errno.EACCES: "the permission is missing; give it",
}


@contextmanager
def job(log_file: str | os.PathLike[str], gpus: int = 0) -> Iterator[None]:
    """Send logging and stderr to a log file; end with one sentence, not a traceback, if the input is at fault.

    Args:
        gpus: devices that the job holds meanwhile; it waits for them.
    """
    Path(log_file).parent.mkdir(parents=True, exist_ok=True)
    with open(log_file, "w", buffering=1) as log, redirect_stderr(log):
        logging.basicConfig(stream=log, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True)
        logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every table of a font that it keeps
        try:
            with leased(gpus):
                yield
        except StudyError as error:
            logging.error("%s", error)
            print(f"Error: {error}", file=sys.__stderr__)
            sys.exit(1)
        except Exception as error:
            logging.exception("Unexpected error")
            fault = storage_fault(error)
            if fault is None:
                raise
            print(f"Error: {fault}, and run again; what is finished is kept.", file=sys.__stderr__)
            sys.exit(1)


def storage_fault(error: Exception) -> str | None:
    """Which file cannot be written or read, and what to do, without a full stop; None if the error is another."""
    # Polars tells the system's number in its message alone.
    told = OS_ERROR.search(str(error))
    number = getattr(error, "errno", None) or (int(told[1]) if told else None)
    if number not in STORAGE:
        return None
    file = getattr(error, "filename", None)
    unreadable = number == errno.EACCES and file is not None and os.path.exists(file) and not os.access(file, os.R_OK)
    return f"{file or 'A result'} cannot be {'read' if unreadable else 'written'}: {STORAGE[number]}"
