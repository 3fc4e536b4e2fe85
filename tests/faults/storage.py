"""A disk that is full, a folder that is read-only, files of other tools, and a config that changes meanwhile."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.faults.study import Outcome, command, config, copied, differences, resumed, run, sentence


@contextmanager
def mounted(directory: Path, options: str) -> Iterator[Path]:
    """A file system in memory at directory/results; needs the rights to mount."""
    folder = directory / "results"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def full_disk(undisturbed: Path, directory: Path) -> Outcome:
    """The study on a disk of one megabyte, and then on a larger one."""
    with mounted(directory, "size=1m") as folder:
        said = sentence(run(directory, config()))
        subprocess.run(["mount", "-o", "remount,size=1g", str(folder)], check=True)
        went_on = resumed(directory, config())
        return said, differences(undisturbed, directory) if went_on else ["the study did not go on"]


def read_only(undisturbed: Path, directory: Path) -> Outcome:
    """The study in a results folder that cannot be written to, and then in one that can."""
    with mounted(directory, "size=1g") as folder:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        said = sentence(run(directory, config()))
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        went_on = resumed(directory, config())
        return said, differences(undisturbed, directory) if went_on else ["the study did not go on"]


def truncated(undisturbed: Path, directory: Path) -> Outcome:
    """A similarity table that another tool has cut, found when the figures are drawn; deleted as the sentence says."""
    copied(undisturbed, directory, "ranking", "stability", "figures")
    table = directory / "results" / "similarity" / "demo-llava" / "math.blocks.parquet"
    table.write_bytes(table.read_bytes()[:-200])
    said = sentence(run(directory, config()))
    table.unlink()
    went_on = resumed(directory, config())
    return said, differences(undisturbed, directory) if went_on else ["the study did not go on"]


def two_at_once(undisturbed: Path, directory: Path) -> Outcome:
    """Two runs in one folder: the second is refused, the first ends as if alone."""
    copied(undisturbed, directory, "regimes", "tables", "figures")
    first = subprocess.Popen(command(directory, config()), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(4)
    said = sentence(run(directory, config()))
    first.communicate()
    return said, differences(undisturbed, directory)


def changed_config(undisturbed: Path, directory: Path) -> Outcome:
    """The config's criteria change while the study runs; with the first config again, the study is as undisturbed."""
    copied(
        undisturbed,
        directory,
        "ranking",
        "stability",
        "variants",
        "predictions",
        "scores",
        "regimes",
        "tables",
        "figures",
    )
    process = subprocess.Popen(
        command(directory, config()), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    time.sleep(5)
    other = config(criteria={"mathaware": {}})
    (directory / "study.yaml").write_text(yaml.safe_dump(other, sort_keys=False))
    _, said = process.communicate()
    found = sentence(subprocess.CompletedProcess([], process.returncode, "", said)) or "the run ended as it had begun"
    went_on = resumed(directory, config())
    return found, differences(undisturbed, directory) if went_on else ["the study did not go on"]


FAULTS: dict[str, Callable[[Path, Path], Outcome]] = {
    "full disk (1 MB)": full_disk,
    "read-only results": read_only,
    "a truncated Parquet file": truncated,
    "two runs in one folder": two_at_once,
    "a config changed while running": changed_config,
}
