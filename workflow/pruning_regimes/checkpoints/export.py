"""Export a pruned model: write the checkpoint, check it, describe it, and only then put it in its place."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pruning_regimes import regimes, tables
from pruning_regimes.checkpoints import cards, verification, writing
from pruning_regimes.jobs.errors import ConfigError, ModelError, nearest
from pruning_regimes.measurement.samples import read_samples
from pruning_regimes.models import loading
from pruning_regimes.models.recorded import recorded
from pruning_regimes.tables.contracts import DENSE


def export(
    entry: Mapping[str, Any],
    criterion: str,
    budget: str,
    criterion_entry: Mapping[str, Any],
    decoder_file: str | Path,
    variants_file: str | Path,
    calibrations: Mapping[str, str | Path],
    results: str | Path,
    target: str | Path,
    replicate: int = 0,
    threads: int = 1,
) -> None:
    """Export the model without the layers that a criterion of a study removes at a budget.

    Args:
        entry: the model's config entry.
        criterion, budget, replicate: which row of the variants table.
        criterion_entry: the criterion's config entry, for the model card.
        decoder_file, variants_file: the model's tables.
        calibrations: domain -> calibration table; its samples check the checkpoint.
        results: where the study keeps its results; scores of this variant, if it has any, are in the model card.
        target: the directory to write; it must not exist.

    Raises: ConfigError if the study has no such variant; ModelError as `write`.
    """
    pinned, base = recorded(entry, decoder_file)
    variants = tables.read(variants_file, "variants")
    variant = _variant(variants, base["model"], criterion, budget, replicate)
    samples, domains = read_samples(list(calibrations), list(calibrations.values()))

    def card(checkpoint: cards.Checkpoint) -> str:
        retained = _retention(Path(results), base["model"], variants, variant)
        return cards.card(base, checkpoint, variant, criterion_entry, domains, retained)

    write({**pinned, "threads": threads}, variant["removed"], samples, target, card)


def write(
    entry: Mapping[str, Any],
    removed: Sequence[int],
    samples: Mapping[str, pl.DataFrame],
    target: str | Path,
    card: Callable[[cards.Checkpoint], str],
) -> cards.Checkpoint:
    """Write a model without some decoder layers, check it, describe it, and only then put it in its place.

    Args:
        entry: the model's config entry, pinned, with `threads`.
        removed: layer numbers in the original, ascending.
        samples: domain -> calibration samples, the first few of which check the checkpoint.
        target: the directory to write; it must not exist.
        card: gives the text of the model card.

    Returns: what was written and found.

    Raises: ModelError if the checkpoint cannot be written, or is not the pruned model; then nothing is left of it.
    """
    target = Path(target)
    refuse_existing(target)
    source = loading.Source(entry)
    card_file = source.directory / "README.md"
    base_card = card_file.read_text(encoding="utf-8", errors="replace") if card_file.is_file() else None
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an export that was killed
    copy, exchange = partial / "copy", partial / "exchange"
    copy.mkdir(parents=True)
    exchange.mkdir()
    try:
        written = writing.write(source, removed, copy)
        logging.info("Wrote %d of %d parameters", written.n_parameters, written.n_parameters_before)
        asked = pl.concat(table.with_columns(source=pl.lit(domain)) for domain, table in samples.items())
        found = verification.verify(entry, removed, copy, written.rename, asked, exchange)
        (copy / "verification.json").write_text(json.dumps(found, indent=2) + "\n")
        n_parameters = written.n_parameters, written.n_parameters_before
        checkpoint = cards.Checkpoint(*n_parameters, found, base_card, source.takes_images)
        (copy / "README.md").write_text(card(checkpoint), encoding="utf-8")
        copy.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    logging.info("Exported to %s", target)
    return checkpoint


def refuse_existing(target: Path) -> None:
    """Raises: ModelError if the directory that is to be written exists."""
    if target.exists() or target.is_symlink():
        raise ModelError(f"{target} exists already; remove it or name another directory.")


def _variant(variants: pl.DataFrame, model: str, criterion: str, budget: str, replicate: int) -> dict[str, Any]:
    rows = variants.filter(pl.col("criterion") != DENSE)
    for column, value in (("criterion", criterion), ("budget", budget), ("replicate", replicate)):
        choices = rows[column].unique(maintain_order=True).to_list()
        if value not in choices:
            raise ConfigError(f"{column} '{value}' is not in the study of models.{model}; {nearest(value, choices)}")
        rows = rows.filter(pl.col(column) == value)
    return rows.row(0, named=True)


def _retention(
    results: Path, model: str, variants: pl.DataFrame, variant: Mapping[str, Any]
) -> tuple[pl.DataFrame, float] | None:
    """Retention of this very variant, from its stored scores; None if the study has not measured it."""
    file = results / "regimes" / "retention.parquet"
    if not file.is_file():
        return None
    settings = tables.provenance(file)
    dense = variants.filter(pl.col("criterion") == DENSE)
    asked = pl.concat([dense, tables.frame("variants", [{**variant, "replicate": 0}])])
    scored = {}
    for benchmark, group in settings["groups"].items():
        scores = results / "scores" / model / f"{benchmark}.parquet"
        rows = tables.read(scores, "scores") if scores.is_file() else tables.frame("scores", [])
        if not set(asked["variant_id"]) <= set(rows["variant_id"]):
            return None
        scored[benchmark] = regimes.scored(
            group, rows.filter(pl.col("variant_id").is_in(asked["variant_id"].to_list()))
        )
    statistics = {name: settings[name] for name in ("resamples", "confidence", "seed")}
    measured = regimes.retention(regimes.results(model, asked, scored, **statistics))
    return measured.filter(pl.col("criterion") != DENSE), settings["confidence"]
