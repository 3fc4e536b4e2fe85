"""The command `pruning-regimes`: the five verbs of `pruning_regimes.api`, for a terminal or a script."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pruning_regimes.cli.options import as_options, parse
from pruning_regimes.jobs.errors import StudyError

GOOD, AT_FAULT, INTERRUPTED, PIPE_CLOSED = 0, 1, 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: those of the command line if not given.

    Returns: 0; 1 with one sentence if the user's input is at fault; 130 if interrupted; 141 if nobody reads the output
        any more. Wrong usage ends with SystemExit 2.
    """
    options = parse(arguments)
    try:
        with _logging():
            from pruning_regimes.cli import commands  # what a command needs takes longer to import than help to show

            getattr(commands, options.command)(options)
            sys.stdout.flush()
        return GOOD
    except KeyboardInterrupt:
        status, said = INTERRUPTED, "Interrupted."
    except BrokenPipeError:
        # What is still to be written goes nowhere, or the interpreter would complain as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except StudyError as error:
        status, said = AT_FAULT, f"Error: {as_options(str(error), options)}"
    except Exception as error:
        from pruning_regimes.jobs.job import storage_fault

        fault = storage_fault(error)
        if fault is None and isinstance(error, OSError) and error.filename and error.strerror:
            fault = f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
        if fault is None:
            raise
        status, said = AT_FAULT, f"Error: {fault}."
    # By now the error is gone, and with it whatever it held: a bar of progress that it cut short has ended its line.
    print(said, file=sys.stderr)
    return status


@contextmanager
def _logging() -> Iterator[None]:
    """Log lines on stderr; on a terminal, above the bars of progress."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    for library in ("httpx2", "httpx"):
        logging.getLogger(library).setLevel(logging.WARNING)
    if not sys.stderr.isatty():
        yield
        return
    from tqdm.contrib.logging import logging_redirect_tqdm

    with logging_redirect_tqdm():
        yield
