"""Run every fault and write the docs' page."""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
from pathlib import Path

from faults import interrupted, storage
from faults.study import ROOT, finished

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
"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="faults", description="Disturb studies and see what is lost.")
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
    others = []
    for number, (name, fault) in enumerate(storage.FAULTS.items()):
        said, differing = fault(undisturbed, folder / f"fault{number}")
        logging.info("%s: %s; differing: %s", name, said, differing)
        others.append(
            f"| {name} | {said.replace(str(folder), '...')} | {'yes' if not differing else ', '.join(differing)} |"
        )
    shutil.rmtree(folder)
    DOCS.write_text(PAGE.format(n=len(found), killed="\n".join(killed), others="\n".join(others)))


if __name__ == "__main__":
    main()
