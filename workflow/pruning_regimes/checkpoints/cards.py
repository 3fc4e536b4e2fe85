"""The model card of a pruned checkpoint: what was removed and why, what it costs, how to load it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import yaml

from pruning_regimes import __version__


@dataclass(frozen=True)
class Checkpoint:
    """A pruned checkpoint that was found to be the pruned model.

    Attributes:
        n_parameters, n_parameters_before: of the copy, and of the original.
        verification: what `verification.verify` found.
        base_card: the original's card, whose licence holds for the copy; None if it has none.
        takes_images: whether it is a vision-language model.
    """

    n_parameters: int
    n_parameters_before: int
    verification: Mapping[str, Any]
    base_card: str | None
    takes_images: bool


def card(
    base: Mapping[str, Any],
    checkpoint: Checkpoint,
    variant: Mapping[str, Any],
    criterion: Mapping[str, Any] | None,
    domains: Mapping[str, Mapping[str, Any]],
    retention: tuple[pl.DataFrame, float] | None,
) -> str:
    """The card as Markdown with a YAML head, as the hub reads it.

    Args:
        base: the original's row of the decoder table.
        variant: the row of the variants table; without a criterion, removed and kept are enough.
        criterion: the criterion's config entry; None if the layers were named one by one.
        domains: calibration domain -> provenance of its table. Without a criterion, they have only checked the copy.
        retention: rows of the retention table for this variant, and the confidence level of its limits; None if it was
            not measured.
    """
    name, n_layers, removed = base["model_id"], base["n_layers"], variant["removed"]
    head = {
        "base_model": name,
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text" if checkpoint.takes_images else "text-generation",
        "tags": ["depth-pruning", "vlm-pruning-regimes"],
        **_licence(checkpoint.base_card),
    }
    after, before, verification = checkpoint.n_parameters, checkpoint.n_parameters_before, checkpoint.verification
    auto = "AutoModelForImageTextToText" if checkpoint.takes_images else "AutoModelForCausalLM"
    processor = "AutoProcessor" if checkpoint.takes_images else "AutoTokenizer"
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip(),
        "---",
        f"# {name} without {len(removed)} of its {n_layers} decoder layers",
        "",
        f"Made from `{name}` (revision `{base['revision']}`) by removing whole decoder layers. It was not trained "
        "afterwards: the remaining weights are those of the original.",
        "",
        "| | |",
        "|---|---|",
        f"| removed layers (numbered from 0 in the original) | {', '.join(map(str, removed))} |",
        f"| kept layers | {', '.join(map(str, variant['kept']))} |",
        f"| parameters | {after:,} of {before:,} ({after / before:.1%}) |",
        *_choice(variant, criterion, "; ".join(_domain(key, entry) for key, entry in domains.items())),
        f"| decoder | `{base['decoder_path']}` of `{base['model_class']}` |",
        "",
        "## What it retains",
        "",
        *_retention(retention),
        "",
        "## How to load it",
        "",
        "It is an ordinary checkpoint; nothing but transformers is needed:",
        "",
        "    from transformers import " + f"{auto}, {processor}",
        "",
        f'    model = {auto}.from_pretrained("PATH", dtype="auto")',
        f'    processor = {processor}.from_pretrained("PATH")',
        "",
        f"vLLM serves it, if it serves `{name}`: `vllm serve PATH`.",
        "",
        "## How it was made",
        "",
        f"By vlm-pruning-regimes {__version__}, which implements the study of arXiv 2603.20275. "
        f"`verification.json` holds the check that this directory, loaded in a fresh process, answers "
        f"{len(verification['samples'])} calibration samples with the same logits, bit for bit, as the original with "
        f"the layers removed in memory ({verification['dtype']}, {verification['device']}, transformers "
        f"{verification['libraries']['transformers']}).",
        "",
    ]
    return "\n".join(lines)


def _choice(variant: Mapping[str, Any], criterion: Mapping[str, Any] | None, samples: str) -> list[str]:
    if criterion is None:
        return ["| chosen by | hand, not by a criterion |", f"| checked with | {samples} |"]
    replicate = f", replicate {variant['replicate']}" if variant["replicate"] else ""
    return [
        f"| criterion | `{variant['criterion']}`: `{json.dumps(criterion)}`{replicate} |",
        f"| budget | {variant['budget']} |",
        f"| calibration | {samples} |",
    ]


def _licence(base_card: str | None) -> dict[str, Any]:
    parts = (base_card or "").split("---", 2)
    if len(parts) < 3 or parts[0].strip():
        return {}
    try:
        head = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return {}
    keys = ("license", "license_name", "license_link", "language")
    return {key: head[key] for key in keys if key in head} if isinstance(head, dict) else {}


def _domain(key: str, provenance: Mapping[str, Any]) -> str:
    entry = provenance.get("config") or {}
    where = entry.get("path") or ", ".join(entry.get("benchmarks") or entry.get("datasets") or ["unknown"])
    return f"{key}: {entry.get('samples', 'unknown number of')} samples of {entry.get('source', 'unknown')} ({where})"


def _retention(measured: tuple[pl.DataFrame, float] | None) -> Sequence[str]:
    if measured is None:
        return ["Not measured."]
    rows, confidence = measured
    lines = [
        "Retention is (accuracy - chance) / (dense accuracy - chance): 1 is the original, 0 is guessing; in brackets "
        f"the limits of its {confidence:.0%} interval.",
        "",
        "| group | benchmark | questions | dense accuracy | accuracy | retention |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in rows.iter_rows(named=True):
        kept = "undefined: the original is not above chance"
        if row["retention"] is not None:
            kept = f"{row['retention']:.3f} [{row['retention_low']:.3f}, {row['retention_high']:.3f}]"
        cells = [row["group"], row["benchmark"] or "**mean**", str(row["n_questions"])]
        cells += [f"{row['dense_accuracy']:.3f}", f"{row['accuracy']:.3f}", kept]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
