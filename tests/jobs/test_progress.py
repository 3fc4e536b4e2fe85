"""The log says how far work has come, and not too often."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from pruning_regimes.jobs import progress
from pruning_regimes.jobs.job import job
from pruning_regimes.jobs.progress import Progress


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[float], None]:
    """Let time pass, which does not pass otherwise."""
    caplog.set_level(logging.INFO)
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def passing(seconds: float) -> None:
        now[0] += seconds

    return passing


def test_a_line_says_done_total_rate_and_time_left(wait: Callable, caplog: pytest.LogCaptureFixture) -> None:
    work = Progress("similarity", 400)
    wait(40)
    work.advance(100)
    assert caplog.messages == ["similarity: 100/400, 2.5/s, 0:02:00 left"]


def test_lines_are_far_apart_but_the_last_one_always_comes(wait: Callable, caplog: pytest.LogCaptureFixture) -> None:
    work = Progress("answers", 100, every=10)
    for _ in range(100):
        wait(1)
        work.advance()
    assert [message.split(",")[0] for message in caplog.messages] == [f"answers: {n}/100" for n in range(10, 101, 10)]
    assert caplog.messages[-1] == "answers: 100/100, 1/s, took 0:01:40"


def test_quick_work_has_one_line(wait: Callable, caplog: pytest.LogCaptureFixture) -> None:
    work = Progress("answers", 3)
    for _ in range(3):
        work.advance()
    assert len(caplog.messages) == 1 and "3/3" in caplog.messages[0]


def test_before_anything_is_done_there_is_nothing_to_say(wait: Callable, caplog: pytest.LogCaptureFixture) -> None:
    work = Progress("answers", 3)
    wait(60)
    work.advance(0)
    assert not caplog.messages


class Terminal(io.StringIO):
    """What a terminal shows."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with redirect_stderr(Terminal()) as shown:
        work = Progress("answers", 3)
        for _ in range(3):
            work.advance()
    assert "answers: 100%|" in shown.getvalue() and "3/3" in shown.getvalue()
    assert shown.getvalue().endswith("\n") and not caplog.messages


def test_a_bar_that_is_cut_short_ends_its_line() -> None:
    with redirect_stderr(Terminal()) as shown:
        work = Progress("answers", 3)
        work.advance()
        del work
    assert "answers: " in shown.getvalue() and shown.getvalue().endswith("\n")


def test_a_job_writes_lines_to_its_log_whatever_it_was_started_from(tmp_path: Path) -> None:
    with redirect_stderr(Terminal()) as shown, job(tmp_path / "job.log"):
        Progress("answers", 3).advance(3)
    assert "answers: 3/3" in (tmp_path / "job.log").read_text() and shown.getvalue() == ""
