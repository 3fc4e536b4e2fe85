"""What makes a model, and a variant of it, the same on any machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

# What decides a model's answers, of the files in its directory.
MODEL_FILES = (".json", ".jinja", ".safetensors", ".model", ".tiktoken", ".txt", ".py")


def variant_id(model: str, revision: str, kept: Sequence[int]) -> str:
    """Short hash of model id, revision and kept layers: the same layers of the same model are the same variant."""
    return hashlib.sha256(json.dumps([model, revision, sorted(kept)]).encode()).hexdigest()[:12]


def identity(path: str, revision: str) -> tuple[str, str]:
    """Id and revision of a model, the same on any machine.

    Returns: hub id and revision of a hub model; for a directory its name and a short hash of its files, so that other
        weights at the same path are another model.
    """
    directory = Path(path).expanduser()
    if not directory.is_dir():
        return path, revision
    digest = hashlib.sha256()
    for file in sorted(found for found in directory.iterdir() if found.suffix in MODEL_FILES):
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return directory.resolve().name, digest.hexdigest()[:12]
