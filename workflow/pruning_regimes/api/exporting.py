"""Pruned models as checkpoints: of any model without layers that are named, or of a study's criterion and budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from pruning_regimes import calibration, tables
from pruning_regimes.api import entries
from pruning_regimes.config.study import complete, refuse_repeated_keys
from pruning_regimes.jobs.devices import leased
from pruning_regimes.jobs.errors import ConfigError, nearest

# Samples that check a checkpoint if none are given: each domain's first few are answered.
GENERATED = {"source": "demo", "benchmarks": ["chart", "attributes"], "samples": 4}


@dataclass(frozen=True)
class Exported:
    """A checkpoint.

    Attributes:
        path: its directory.
        removed: the layers that it lacks, numbered as in the original.
        n_parameters, n_parameters_before: of the checkpoint, and of the original.
        n_samples: calibration samples that it answers as the pruned model does, bit for bit.
    """

    path: Path
    removed: tuple[int, ...]
    n_parameters: int
    n_parameters_before: int
    n_samples: int


def export(
    model: str | Path,
    remove: Sequence[int],
    out: str | Path,
    *,
    domains: Mapping[str, entries.Samples] | None = None,
    revision: str | None = None,
    dtype: str | None = None,
    gpus: int | None = None,
    threads: int | None = None,
    trust_remote_code: bool = False,
    decoder_path: str | None = None,
) -> Exported:
    """Write a model without some decoder layers as a directory that transformers loads like any other, and check it.

    Args:
        model: a directory in transformers' format, or a hub id.
        remove: numbers of the layers, from 0.
        out: the directory to write; it must not exist.
        domains: domain -> calibration samples that check it, as `similarity` takes them; generated ones if not given.
        revision, dtype, gpus, threads, trust_remote_code, decoder_path: as `similarity` takes them.

    Raises: ConfigError if there is no such model or file, or a layer cannot be removed; ModelError if the checkpoint
        cannot be written, or is not the pruned model; then nothing is left of it.
    """
    options = {"revision": revision, "trust_remote_code": trust_remote_code, "decoder_path": decoder_path}
    key, entry = entries.model(model, **options, dtype=dtype, gpus=gpus)
    stated = entries.domains(domains, samples=None) if domains else {}
    samples = {domain: calibration.load(domain, of, seed=0) for domain, of in stated.items()}
    # These load torch, which what is wrong so far need not wait for.
    from pruning_regimes.checkpoints import cards, export
    from pruning_regimes.models import inspection, loading

    target = Path(out).expanduser()
    export.refuse_existing(target)
    source = loading.Source(entry)
    base = inspection.decoder_row(key, source, source.skeleton())
    removed = _removable(base, remove)
    if not stated:
        stated = {"generated": GENERATED}
        samples = {"generated": _generated(source.takes_images)}

    def card(checkpoint: cards.Checkpoint) -> str:
        variant = {"removed": removed, "kept": [layer for layer in range(base["n_layers"]) if layer not in removed]}
        made_from = {domain: {"config": tables.portable(of)} for domain, of in stated.items()}
        return cards.card(base, checkpoint, variant, None, made_from, None)

    pinned = {**loading.pinned(entry, base), "threads": entries.threads(threads)}
    with leased(entry["gpus"]):
        written = export.write(pinned, removed, samples, target, card)
    n_samples = len(written.verification["samples"])
    return Exported(target, tuple(removed), written.n_parameters, written.n_parameters_before, n_samples)


def _removable(base: Mapping[str, Any], remove: Sequence[int]) -> list[int]:
    """The layers to remove, ascending.

    Raises: ConfigError if one is none of the model's, or must stay.
    """
    removed, n_layers = sorted(set(remove)), base["n_layers"]
    if not 1 <= len(removed) <= n_layers - 1:
        raise ConfigError(f"remove: between 1 and {n_layers - 1} of the {n_layers} decoder layers have to be named.")
    for layer in removed:
        if not 0 <= layer < n_layers:
            raise ConfigError(f"remove: {layer} is no decoder layer; the model has layers 0 to {n_layers - 1}.")
        if layer in base["protected"]:
            reason = base["reasons"][base["protected"].index(layer)]
            raise ConfigError(f"remove: layer {layer} has to stay: {reason}.")
    return removed


def _generated(with_images: bool) -> pl.DataFrame:
    samples = calibration.load("generated", GENERATED, seed=0)
    if with_images:
        return samples
    return samples.with_columns(images=pl.lit([], dtype=samples.schema["images"]))


def export_variant(
    model: str,
    criterion: str,
    budget: str,
    *,
    replicate: int = 0,
    configfile: str | Path = "config/config.yaml",
    results: str | Path = "results",
    out: str | Path | None = None,
    threads: int | None = None,
) -> Path:
    """Export the model without the layers that a criterion of a study removes at a budget; and check it.

    Args:
        model, criterion, budget: as they stand in the study's config.
        replicate: of a random criterion.
        configfile, results: the study's config, and where its tables are.
        out: the directory to write; results/checkpoints/MODEL/CRITERION/BUDGET[-replicateN] if not given.
        threads: of the CPU; one per core if not given.

    Returns: the directory.

    Raises: ConfigError if the study has no such variant, or its tables are not there; ModelError as `export`.
    """
    study, results = _study(Path(configfile).expanduser()), Path(results).expanduser()
    for section, key in (("models", model), ("criteria", criterion)):
        if key not in study[section]:
            raise ConfigError(f"{section}.{key} is not in {configfile}; {nearest(key, study[section])}")
    files = [results / "models" / f"{model}.parquet", results / "variants" / f"{model}.parquet"]
    calibrations = {domain: results / "calibration" / f"{domain}.parquet" for domain in study["domains"]}
    for file in (*files, *calibrations.values()):
        if not file.is_file():
            raise ConfigError(f"{file} is not there yet; make it with 'snakemake --cores 2 {files[1]}'.")
    from pruning_regimes.checkpoints import export  # loads torch, which the checks above need not wait for

    name = budget + (f"-replicate{replicate}" if replicate else "")
    target = Path(out or results / "checkpoints" / model / criterion / name).expanduser()
    entry, rule = study["models"][model], study["criteria"][criterion]
    of_study = (*files, calibrations, results, target, replicate, entries.threads(threads))
    with leased(entry["gpus"]):
        export.export(entry, criterion, budget, rule, *of_study)
    return target


def _study(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ConfigError(f"configfile: there is no file '{file}'; expected the config of the study.")
    try:
        refuse_repeated_keys(file)
        study = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    complete(study)
    return study
