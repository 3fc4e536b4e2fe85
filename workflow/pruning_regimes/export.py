"""Export a variant of a study: write the checkpoint, check it, describe it, and only then put it in its place."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pruning_regimes import cards, checkpoints, models, tables, verification
from pruning_regimes.errors import ConfigError, ModelError, nearest
from pruning_regimes.tables import DENSE


def export(
    entry: Mapping[str, Any],
    criterion: str,
    budget: str,
    criterion_entry: Mapping[str, Any],
    decoder_file: str | Path,
    variants_file: str | Path,
    calibrations: Mapping[str, str | Path],
    retention_file: str | Path,
    target: str | Path,
    replicate: int = 0,
    threads: int = 1,
) -> None:
    """Export the model without the layers that a criterion removes at a budget.

    Args:
        entry: the model's config entry.
        criterion, budget, replicate: which row of the variants table.
        criterion_entry: the criterion's config entry, for the model card.
        decoder_file, variants_file: the model's tables.
        calibrations: domain -> calibration table; its samples check the checkpoint.
        retention_file: the retention table, if there is one, for the model card.
        target: the directory to write; it must not exist.

    Raises: ConfigError if the study has no such variant; ModelError if the checkpoint cannot be written, or is not the
        pruned model; then nothing is left of it.
    """
    target = Path(target)
    base = tables.read(decoder_file, "decoder").row(0, named=True)
    variant = _variant(tables.read(variants_file, "variants"), base["model"], criterion, budget, replicate)
    if target.exists():
        raise ModelError(f"{target} exists already; remove it or name another directory.")
    entry = {**models.pinned(entry, base), "threads": threads}
    source = models.Source(entry)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an export that was killed
    copy, exchange = partial / "copy", partial / "exchange"
    copy.mkdir(parents=True)
    exchange.mkdir()
    try:
        written = checkpoints.write(source, variant["removed"], copy)
        logging.info("Wrote %d of %d parameters", written.n_parameters, written.n_parameters_before)
        samples = pl.concat(
            tables.read(file, "calibration").with_columns(source=pl.lit(domain))
            for domain, file in calibrations.items()
        )
        found = verification.verify(entry, variant["removed"], copy, written.rename, samples, exchange)
        (copy / "verification.json").write_text(json.dumps(found, indent=2) + "\n")
        base_card = source.directory / "README.md"
        text = cards.card(
            base,
            base_card.read_text() if base_card.is_file() else None,
            variant,
            criterion_entry,
            {domain: tables.provenance(file) for domain, file in calibrations.items()},
            (written.n_parameters, written.n_parameters_before),
            _retention(retention_file, base["model"], criterion, budget),
            found,
            source.takes_images,
        )
        (copy / "README.md").write_text(text, encoding="utf-8")
        copy.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    logging.info("Exported to %s", target)


def _variant(variants: pl.DataFrame, model: str, criterion: str, budget: str, replicate: int) -> dict[str, Any]:
    rows = variants.filter(pl.col("criterion") != DENSE)
    for column, value in (("criterion", criterion), ("budget", budget), ("replicate", replicate)):
        choices = rows[column].unique(maintain_order=True).to_list()
        if value not in choices:
            raise ConfigError(f"{column} '{value}' is not in the study of models.{model}; {nearest(value, choices)}")
        rows = rows.filter(pl.col(column) == value)
    return rows.row(0, named=True)


def _retention(file: str | Path, model: str, criterion: str, budget: str) -> tuple[pl.DataFrame, float] | None:
    if not Path(file).is_file():
        return None
    rows = tables.read(file, "retention").filter(
        pl.col("model") == model, pl.col("criterion") == criterion, pl.col("budget") == budget
    )
    return (rows, tables.provenance(file)["confidence"]) if len(rows) else None
