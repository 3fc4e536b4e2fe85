"""Checksums of a model's directory: a file SHA256SUMS in it, as `sha256sum` writes it, is checked at each load.

It tells damage and mixed-up files; it is not signed, and tells nothing of who wrote them. What is in the directory
but not in the list is not checked.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path, PurePosixPath

from pruning_regimes.jobs.errors import ModelError, brief
from pruning_regimes.models import hub
from pruning_regimes.models.identity import MODEL_FILES

SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


def write(directory: Path) -> None:
    """List what decides the answers of the model in a directory."""
    files = sorted(file for file in directory.iterdir() if file.suffix in MODEL_FILES)
    (directory / SUMS).write_text("".join(f"{_sha256(file)}  {file.name}\n" for file in files))


def check(model: str, directory: Path, weights: bool) -> None:
    """Compare the files of a directory with their list; a directory without one is as it is.

    Weights are large, and read by few jobs: they are hashed by those, and the rest by all.

    Args:
        model: the model's name in errors.
        weights: whether the files of weights are hashed, or the others.

    Raises: ModelError if the list cannot be read, or a file is missing or another.
    """
    for name, expected in _listed(model, directory).items():
        file = directory / name
        if not os.path.isfile(file):  # unlike Path's, False for a name that no file system can have
            raise ModelError(f"Model '{model}' lacks '{brief(name)}', which its {SUMS} lists.")
        if (file.suffix == hub.SAFE) == weights and _sha256(file) != expected:
            raise ModelError(
                f"Model '{model}': '{name}' is not the file that its {SUMS} lists; get it anew or, if you changed it, "
                f"remove {SUMS}."
            )


def _listed(model: str, directory: Path) -> dict[str, str]:
    """Name of each listed file -> its hash."""
    sums = directory / SUMS
    if not sums.is_file():
        return {}
    listed = {}
    for number, line in enumerate(sums.read_text(errors="replace").rstrip("\n").split("\n"), start=1):
        found = LINE.fullmatch(line)
        if found is None:
            raise ModelError(f"Model '{model}': line {number} of its {SUMS} is none that sha256sum writes.")
        path = PurePosixPath(found[2])
        if path.is_absolute() or ".." in path.parts:
            raise ModelError(
                f"Model '{model}': its {SUMS} names '{brief(path)}', which is no file of its own directory."
            )
        listed[str(path)] = found[1].lower()
    return listed


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
