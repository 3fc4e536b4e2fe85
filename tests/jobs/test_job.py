"""What a job says when its input, or where its results go, is at fault."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from pruning_regimes.demo import datasets
from pruning_regimes.evaluation.grid import answer
from pruning_regimes.inference import prompts
from pruning_regimes.jobs import job
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.measurement.similarity import measure
from pruning_regimes.models import loading


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (pl.exceptions.ComputeError("parquet: underlying IO error: No space left on device (os error 28)"), "full"),
        (OSError("Read-only file system (os error 30): x"), "read-only"),
        (PermissionError(errno.EACCES, "Permission denied"), "permission"),
        (FileNotFoundError(errno.ENOENT, "x"), None),
        (ValueError("28"), None),
    ],
)
def test_faults_of_the_storage_are_told_from_others(error: Exception, said: str | None) -> None:
    found = job.storage_fault(error)
    assert found is None if said is None else said in found


def test_a_file_that_may_not_be_read_is_told_from_one_that_may_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.touch()
    monkeypatch.setattr(job.os, "access", lambda file, mode: False)  # the tests may run as root
    said = [job.storage_fault(PermissionError(errno.EACCES, "x", str(file))) for file in (there, tmp_path / "new")]
    assert said[0] == f"{there} cannot be read: the permission is missing; give it"
    assert said[1].startswith(f"{tmp_path / 'new'} cannot be written: ")


JOB = """
import sys
from pruning_regimes.jobs.job import job
with job(sys.argv[1]):
    {work}
"""


@pytest.mark.parametrize(
    ("work", "said", "trace"),
    [
        ("raise OSError(28, 'No space left on device')", "Error: A result cannot be written: the disk is full", False),
        (
            "from pruning_regimes.jobs.errors import DataError; raise DataError('One sentence.')",
            "Error: One sentence.",
            False,
        ),
        ("1 / 0", "ZeroDivisionError", True),
    ],
)
def test_a_job_says_one_sentence_and_logs_the_rest(work: str, said: str, trace: bool, tmp_path: Path) -> None:
    command = [sys.executable, "-c", JOB.format(work=work), str(tmp_path / "logs" / "job.log")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and said in done.stderr
    assert ("Traceback" in done.stderr) == trace
    assert (tmp_path / "logs" / "job.log").read_text()


@pytest.fixture
def short(loaded: loading.Loaded, monkeypatch: pytest.MonkeyPatch) -> loading.Loaded:
    """A model whose context holds the shorter of two questions only."""
    limit = len(loaded.tokenizer(prompts.prompt(loaded, "How many?", 0))["input_ids"]) + 20
    monkeypatch.setattr(loaded.model.config.get_text_config(decoder=True), "max_position_embeddings", limit)
    return loaded


def test_a_question_longer_than_the_context_is_an_error_of_its_own(short: loading.Loaded) -> None:
    texts = [prompts.prompt(short, question, 0) for question in ("How many?", "How many? " * 30)]
    alone = answer(short, texts[:1], [[]], 4)
    first, second = answer(short, texts, [[], []], 4)
    assert first == alone[0] and first["error"] is None
    assert second["error"].startswith("Its prompt of ") and "do not fit into the model's context" in second["error"]
    assert answer(short, texts[1:], [[]], 4)[0]["finish_reason"] == "error"


def test_a_calibration_sample_longer_than_the_context_is_named(short: loading.Loaded) -> None:
    samples = datasets.calibration_table(["counting"], 3, 0).with_columns(images=pl.lit([], pl.List(pl.Binary)))
    samples = samples.with_columns(question=pl.Series(["How many?", "How many? " * 30, "How many?"]))
    with pytest.raises(DataError, match=rf"'{samples['sample_id'][1]}' has \d+ tokens, and the model's context \d+"):
        measure(short, samples, 2)
