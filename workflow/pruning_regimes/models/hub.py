"""Where a model's files are: its directory, or the local copy of a hub repository at one commit.

Everything else of the package reads directories. What is not there yet is downloaded; offline (HF_HUB_OFFLINE=1, or no
network) the copy of an earlier download serves. Weights are safetensors only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from pruning_regimes.jobs.errors import ModelError, brief

# What a model is besides its weights: config, processor, tokenizer, chat template, card, licence.
DESCRIPTION = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "README.md", "LICENSE*", "NOTICE*")
CODE = ("*.py",)
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SAFE = ".safetensors"
PICKLED = (".bin", ".pt", ".pth")
LEAVING = ["../*", "*/../*"]  # names that would lead out of the copy of a commit


def directory(path: str, revision: str, code: bool = False) -> Path:
    """The directory with a model's config and processor; of a hub model, the copy of one commit, named by it.

    Args:
        path: directory or hub id.
        revision: commit, branch or tag of a hub model.
        code: whether the model brings Python code that is to be run.

    Raises: ModelError if there is no such model, or it cannot be reached.
    """
    return local(path) or _snapshot(path, revision, (*DESCRIPTION, *(CODE if code else ())))


def local(path: str) -> Path | None:
    """A model's own directory; None for a hub model."""
    found = Path(path).expanduser()
    return found if found.is_dir() else None


def weight_places(path: str, revision: str) -> dict[str, str]:
    """Name of each weight of a model -> name of the safetensors file that holds it.

    Downloads the index of a hub model, or the file if there is only one.

    Raises: ModelError if the checkpoint has no safetensors or cannot be read.
    """
    index = directory(path, revision) / INDEX
    # Where both are there, transformers loads the single file.
    if index.is_file() and not index.with_name(WEIGHTS).is_file():
        try:
            places: dict[str, str] = dict(json.loads(index.read_text())["weight_map"])
            if not all(isinstance(file, str) for file in places.values()):
                raise TypeError("a file's name is text")
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"Model '{path}': {INDEX} cannot be read as an index of weights.") from error
        return places
    file = with_weights(path, revision, [WEIGHTS]) / WEIGHTS
    try:
        with safe_open(file, framework="pt") as stored:
            return dict.fromkeys(stored.keys(), WEIGHTS)
    except SafetensorError as error:
        raise ModelError(f"Model '{path}' cannot be loaded: {WEIGHTS} is damaged ({error}).") from error


def with_weights(path: str, revision: str, files: Collection[str]) -> Path:
    """The directory of a model with some of its files of weights, downloaded if they are not there.

    Raises: ModelError if one cannot be had.
    """
    for file in files:
        if Path(file).name != file:
            raise ModelError(f"Model '{path}': {INDEX} names '{brief(file)}', which is no file of its own directory.")
        if Path(file).suffix != SAFE:
            # Transformers would load it by its suffix, as a pickle.
            raise ModelError(f"Model '{path}': {INDEX} names '{brief(file)}'; expected a file that ends in {SAFE}.")
    found = local(path) or _snapshot(path, revision, (*DESCRIPTION, *files))
    for file in files:
        if not os.path.isfile(found / file):  # unlike Path's, False for a name that no file system can have
            raise ModelError(_lacking(path, found, file))
    return found


def stated_config(path: str, revision: str) -> dict[str, Any] | None:
    """A model's config.json; None for a hub model whose config is neither in the cache nor to be had at once.

    Raises: ValueError if it is no JSON mapping.
    """
    file = Path(path).expanduser() / "config.json"
    text = file.read_text() if file.is_file() else _hub_config(path, revision)
    if text is None:
        return None
    stated = json.loads(text)
    if not isinstance(stated, dict):
        raise ValueError("it holds no mapping")
    return stated


def _hub_config(path: str, revision: str) -> str | None:
    from huggingface_hub import hf_hub_url, try_to_load_from_cache
    from huggingface_hub.utils import build_hf_headers, get_session

    # Why it cannot be had is said by the model's first job, which needs more than the config.
    with suppress(Exception):
        cached = try_to_load_from_cache(path, "config.json", revision=revision)
        if isinstance(cached, str):
            return Path(cached).read_text()
        # One request without the retries of a download, which would hold up every dry run without a network.
        url = hf_hub_url(path, "config.json", revision=revision)
        answer = get_session().get(url, headers=build_hf_headers(), timeout=5, follow_redirects=True)
        answer.raise_for_status()
        return answer.text
    return None


def _snapshot(path: str, revision: str, patterns: Collection[str]) -> Path:
    # Read when needed: it takes as long as the rest of a light job.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        wanted = {"allow_patterns": sorted(patterns), "ignore_patterns": LEAVING}
        return Path(snapshot_download(path, revision=revision, **wanted))
    except (ValueError, OSError) as error:  # HFValidationError among them, and names that leave the cache
        chain = [error]
        while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
            chain.append(cause)

        def met(*kinds: type[BaseException]) -> bool:
            return any(isinstance(link, kinds) for link in chain)

        # The gated case is a kind of the missing one.
        if met(GatedRepoError):
            reason = (
                f"is gated: accept its terms at https://huggingface.co/{path} and set HF_TOKEN to a token of yours "
                "(or run 'hf auth login')"
            )
        elif met(RepositoryNotFoundError):
            reason = "is neither a directory here nor a model on the hub that this token (HF_TOKEN) may read"
        elif met(RevisionNotFoundError):
            reason = f"has no revision '{revision}' on the hub; expected a commit, branch or tag"
        elif met(OfflineModeIsEnabled):
            reason = (
                "is not (or not completely) in the local cache, and HF_HUB_OFFLINE forbids to download it; run "
                f"'hf download {path} --revision {revision}' where there is a network, with the same HF_HOME"
            )
        elif met(HFValidationError):
            reason = "is neither a directory here nor a valid hub id (owner/name)"
        elif met(LocalEntryNotFoundError):
            reason = (
                "is not (or not completely) in the local cache, and the hub cannot be reached; check the network, or "
                f"run 'hf download {path} --revision {revision}' where there is one, with the same HF_HOME"
            )
        else:
            reason = f"cannot be downloaded: {' '.join(str(error).split()).rstrip('.')}"
        raise ModelError(f"Model '{path}' {reason}.") from error


def _lacking(path: str, found: Path, file: str) -> str:
    if file != WEIGHTS:
        return f"Model '{path}' lacks '{brief(file)}', a file of weights that its {INDEX} names."
    names = [child.name for child in found.iterdir()]
    if local(path) is None:
        from huggingface_hub import list_repo_files

        try:
            names = list_repo_files(path, revision=found.name)
        except OSError:
            names = []
    pickled = sorted(name for name in names if Path(name).suffix in PICKLED)
    if pickled:
        return (
            f"Model '{path}' has only pickled weights ({pickled[0]}), which can run code when loaded; expected "
            f"{WEIGHTS} or {INDEX}: look for a revision with safetensors, or convert it once with save_pretrained."
        )
    return f"Model '{path}' has no weights; expected {WEIGHTS} or {INDEX} in {'its directory' if names else 'it'}."
