"""Whether a written checkpoint is the pruned model: both answer calibration samples, each in a process of its own.

    python -m pruning_regimes.checkpoints.verification REQUEST.json SAMPLES.parquet ANSWERS.safetensors

loads the model that the request names, with plain `from_pretrained`, and writes what it answers.
"""

from __future__ import annotations

import hashlib
import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import pruning_regimes
from pruning_regimes import tables
from pruning_regimes.inference.prompts import decode, inputs, prompts, shown_images
from pruning_regimes.jobs.errors import ModelError, StudyError
from pruning_regimes.jobs.paths import searched_first
from pruning_regimes.models import loading
from pruning_regimes.models.decoder import pruned

SAMPLES_PER_DOMAIN = 4
ANSWER_TOKENS = 8


def verify(
    entry: Mapping[str, Any],
    removed: Sequence[int],
    copy: Path,
    rename: Callable[[str], str | None],
    samples: pl.DataFrame,
    work: Path,
) -> dict[str, Any]:
    """Compare a checkpoint, loaded in a fresh process, with the original without the removed layers in memory.

    Args:
        entry: config entry of the original.
        removed: its layers that the copy does not have.
        copy: the written directory.
        rename: name of a weight in the original -> in the copy, None for a removed one.
        samples: calibration samples, the first few of which are answered.
        work: an empty directory for what the processes hand over.

    Returns: what was compared and found, for `verification.json`.

    Raises: ModelError if the copy cannot be loaded, lacks or exceeds the model's weights, or answers otherwise.
    """
    asked = samples.head(0)
    for _, part in samples.group_by("source", maintain_order=True):
        asked = pl.concat([asked, part.head(SAMPLES_PER_DOMAIN)])
    tables.write(asked, "calibration", work / "samples.parquet", {})
    expected, before = _answers({**entry, "removed": list(removed)}, work, "original")
    found, after = _answers({**entry, "path": str(copy), "revision": "main", "removed": []}, work, "copy")
    identical = {
        name: [a[name] == b[name] for a, b in zip(before["answers"], after["answers"], strict=True)]
        for name in ("inputs", "logits", "tokens")
    }
    difference = max(float((expected[name] - found[name]).abs().max()) for name in expected)
    # What the original has beyond the model, such as blocks for the prediction of several tokens, the copy may have.
    unexpected = sorted(set(after["unexpected"]) - {rename(name) for name in before["unexpected"]})
    result = {
        "passed": all(map(all, identical.values())) and not unexpected,
        "compared": "the original with the layers removed in memory, and this directory loaded by from_pretrained",
        "samples": asked["sample_id"].to_list(),
        "inputs_identical": sum(identical["inputs"]),
        "logits_bit_identical": sum(identical["logits"]),
        "greedy_answers_identical": sum(identical["tokens"]),
        "largest_difference_of_last_logits": difference,
        "missing_keys": [],  # from_pretrained with missing keys is refused in `models`
        "unexpected_keys": unexpected,
        "dtype": after["dtype"],
        "device": after["device"],
        "sha256": {file.name: _sha256(file) for file in sorted(copy.glob("*.safetensors"))},
        **{name: tables.environment()[name] for name in ("package_version", "libraries", "date")},
    }
    if not result["passed"]:
        other = ", ".join(f"{same.count(False)} other {name}" for name, same in identical.items())
        raise ModelError(
            f"The checkpoint of '{entry['path']}' without layers {list(removed)} is not the pruned model and was not "
            f"kept: {other} of {len(asked)} samples (logits by up to {difference:.2g}), {len(unexpected)} weights that "
            "the model has no place for."
        )
    return result


def _answers(request: Mapping[str, Any], work: Path, name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    (work / f"{name}.json").write_text(json.dumps(request))
    files = [work / f"{name}.json", work / "samples.parquet", work / f"{name}.safetensors"]
    command = [sys.executable, "-m", "pruning_regimes.checkpoints.verification", *map(str, files)]
    environment = searched_first(str(Path(pruning_regimes.__file__).parents[1]))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.stderr.strip():
        logging.info("%s", done.stderr.strip())
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ModelError(
            f"The check of the checkpoint of '{request['path']}' was ended by {name}, as a system does that is out of "
            "memory."
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelError(f"The check of the checkpoint of '{request['path']}' failed: {last}")
    with safe_open(files[-1], "pt") as stored:
        described = json.loads(stored.metadata()["answers"])
    return load_file(files[-1]), described


@torch.inference_mode()
def answer(loaded: loading.Loaded, removed: Sequence[int], samples: pl.DataFrame, file: Path) -> None:
    """Answer samples one at a time and write the logits of the last token, with hashes of inputs, logits and answers.

    Args:
        removed: layers that the model answers without.
        file: safetensors, one tensor [V] float32 per sample; the hashes are in its metadata.
    """
    last, answers = {}, []
    with pruned(loaded.model, removed, loaded.decoder_path):
        for number, (text, images) in enumerate(zip(prompts(loaded, samples), shown_images(samples), strict=True)):
            batch = inputs(loaded, [text], [decode(images)])
            logits = loaded.model(**batch, use_cache=False).logits
            tokens = loaded.model.generate(**batch, max_new_tokens=ANSWER_TOKENS)
            last[f"sample-{number}"] = logits[0, -1].float().cpu()
            ordered = [value for _, value in sorted(batch.items()) if torch.is_tensor(value)]
            answers.append({"inputs": _digest(*ordered), "logits": _digest(logits), "tokens": _digest(tokens)})
    described = {
        "answers": answers,
        "unexpected": loaded.unexpected,
        "dtype": str(loaded.model.dtype).removeprefix("torch."),
        "device": loaded.device.type,
    }
    save_file(last, file, metadata={"answers": json.dumps(described)})


def _digest(*tensors: torch.Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).cpu().numpy())
    return digest.hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _main(request_file: str, samples_file: str, answers_file: str) -> None:
    request = json.loads(Path(request_file).read_text())
    loaded = loading.load(request, request["threads"])
    answer(loaded, request["removed"], tables.read(samples_file, "calibration"), Path(answers_file))


if __name__ == "__main__":
    try:
        _main(*sys.argv[1:])
    except StudyError as problem:
        sys.exit(str(problem))
