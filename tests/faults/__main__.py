"""Run every fault and write the docs' page."""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.faults import content, interrupted, storage
from tests.faults.study import Outcome, finished
from tests.helpers import ROOT

DOCS = ROOT / "workflow" / "docs" / "faults.md"
PAGE = """\
# Faults

Made by `make test-faults`: each fault through the real workflow on a small study of a demo model. Afterwards the study
goes on as the README says (`--unlock`, `--rerun-incomplete`), and all its tables and figures are compared with those of
an undisturbed run.

## Killed jobs

{n} runs; a job is killed at a random moment. `hit` is how many were killed before they had ended by themselves.

| job | signal | runs | hit | final results as undisturbed |
|---|---|---:|---:|---:|
{killed}

## Storage and the user

| fault | what is said | final results as undisturbed |
|---|---|---|
{others}

## Questions

Each is added to a finished study of {good} questions of the user's own. A job that fails for it goes on without it;
otherwise it alone is answered, and the answers of all others stay.

| question | what is said of it | others as undisturbed |
|---|---|---|
{questions}

## Models

| model | what is said | the study ends |
|---|---|---|
{models}
"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Disturb studies and see what is lost.")
    parser.add_argument("--runs", type=int, default=20, help="killed jobs")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    folder = Path(tempfile.mkdtemp())
    undisturbed = finished(folder / "undisturbed")
    logging.info("The undisturbed study is there")
    found = []
    for seed in range(options.runs):
        found.append(interrupted.interrupt(undisturbed, folder / f"killed{seed}", seed))
        logging.info("%s", found[-1])
        shutil.rmtree(folder / f"killed{seed}")
    killed = []
    for stage, signal in dict.fromkeys((one.stage, one.signal) for one in found):
        same = [one for one in found if (one.stage, one.signal) == (stage, signal)]
        intact = sum(not one.differing for one in same)
        killed.append(
            f"| {stage} | {signal} | {len(same)} | {sum(one.hit for one in same)} | {intact} of {len(same)} |"
        )
    others = {name: fault(undisturbed, folder / f"fault{i}") for i, (name, fault) in enumerate(storage.FAULTS.items())}
    questions = content.questions(folder / "questions")
    models = {name: fault(folder / f"model{i}") for i, (name, fault) in enumerate(content.MODELS.items())}
    page = PAGE.format(
        n=len(found),
        killed="\n".join(killed),
        others=_rows(others, folder),
        good=content.N_GOOD,
        questions=_rows(questions, folder),
        models=_rows(models, folder),
    )
    shutil.rmtree(folder)
    DOCS.write_text(page)
    print(page)


def _rows(outcomes: Mapping[str, Outcome], folder: Path) -> str:
    return "\n".join(
        f"| {name} | {said.replace(str(folder), '...')} | {'yes' if not differing else ', '.join(differing)} |"
        for name, (said, differing) in outcomes.items()
    )


if __name__ == "__main__":
    main()
