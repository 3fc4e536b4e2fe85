"""Similarity of decoder layers, measured outside of a study and kept in a folder of tables."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pruning_regimes import calibration, tables
from pruning_regimes.api import entries
from pruning_regimes.jobs.errors import ConfigError
from pruning_regimes.measurement import profiles, similarity_tables
from pruning_regimes.measurement.similarity_tables import DECODER, PROFILE

# What of a model's entry decides the similarities, besides the model itself.
SETTINGS = ("dtype", "decoder_path")


def similarity(
    model: str | Path,
    domains: Mapping[str, entries.Samples],
    out: str | Path,
    *,
    samples: int | None = None,
    seed: int = 0,
    revision: str | None = None,
    dtype: str | None = None,
    gpus: int | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    trust_remote_code: bool = False,
    decoder_path: str | None = None,
    force: bool = False,
) -> pl.DataFrame:
    """Measure how little each decoder layer, and each block of them, changes its input.

    What the folder already has for the same model and samples is kept as it is, so that a call that was cut short goes
    on, and a domain can be added.

    Args:
        model: a directory in transformers' format, or a hub id.
        domains: domain -> where its samples are: a file as `source: custom` takes it (Parquet, JSON, JSONL, CSV), a
            calibration table, the name of a known calibration set, or a domain's config entry.
        out: the folder of the tables: `{domain}.parquet`, `{domain}.blocks.parquet`, `profile.parquet` (as in
            `results/similarity/{model}` of a study) and `decoder.parquet`.
        samples: how many of each domain; if not given, 128, or all of a file that holds fewer.
        seed: of the draw of samples.
        revision: commit, branch or tag of a hub model; main if not given.
        dtype: float32, bfloat16, float16, or auto (as stored), which is meant if not given.
        gpus: over which the model is spread; 0, for the CPU, if not given.
        batch_size: samples at a time, 128 if not given; halved when memory runs out.
        threads: of the CPU; one per core if not given.
        trust_remote_code: whether the model's own Python code may run; the revision must then be a commit.
        decoder_path: where the list of decoder layers is, if it is not found.
        force: measure anew what the folder has of other samples.

    Returns: the profile table of all domains in the folder: mean and spread over samples of the cosine of each layer's
        input and output, per domain and token group.

    Raises: ConfigError if there is no such model or file, or the folder holds tables of another model or other samples;
        DataError if a sample cannot be used; ModelError if the model cannot be loaded or run.
    """
    out = Path(out).expanduser()
    options = {"revision": revision, "trust_remote_code": trust_remote_code, "decoder_path": decoder_path}
    key, entry = entries.model(model, **options, dtype=dtype, gpus=gpus, batch_size=batch_size)
    _check_names(domains)
    asked, described = {}, {}
    for domain, stated in entries.domains(domains, samples).items():
        asked[domain] = calibration.load(domain, stated, seed)
        described[domain] = {"domain": domain, "config": stated, "seed": seed, "digest": _digest(asked[domain])}
    from pruning_regimes.measurement import similarity  # these load torch, which what is wrong so far need not wait for
    from pruning_regimes.models import loading

    row = _decoder(key, entry, out)
    missing = [domain for domain in asked if not _is_there(out, domain, described[domain], force)]
    if missing:
        entry = loading.pinned(entry, row)
        loaded = loading.load(entry, entries.threads(threads))
        for domain in missing:
            measured = similarity.measure(loaded, asked[domain], entry["batch_size"])
            layers, blocks = similarity_tables.paths(out, domain)
            blocks.unlink(missing_ok=True)  # of other samples
            made_from = {"model": entry, "calibration": described[domain]}
            similarity_tables.write(measured, layers, blocks, made_from)
    there = similarity_tables.domains(out)
    read = {domain: tables.read(similarity_tables.paths(out, domain)[0], "similarity") for domain in there}
    profile = profiles.profile(row["model"], read)
    tables.write(profile, "profile", out / f"{PROFILE}.parquet", {"model": row["model"], "domains": there})
    return profile


def _check_names(domains: Mapping[str, Any]) -> None:
    if not domains:
        raise ConfigError("domains: at least one entry is needed.")
    if DECODER in domains:
        raise ConfigError(f"domains.{DECODER}: the key '{DECODER}' is taken by the decoder table; choose another name.")


def _decoder(key: str, entry: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """The model's row of the decoder table, which is written if the folder has none.

    Raises: ConfigError if the folder belongs to something else.
    """
    from pruning_regimes.models import inspection, loading
    from pruning_regimes.models.identity import identity

    source = loading.Source(entry)
    model_identity = identity(source.path, source.revision)
    settings = {name: entry.get(name) for name in SETTINGS}
    file = out / f"{DECODER}.parquet"
    if file.is_file():
        row, found = tables.read(file, "decoder").row(0, named=True), tables.provenance(file)["settings"]
        if (row["model_id"], row["revision"]) != model_identity or found != settings:
            held = " ".join([row["model_id"], row["revision"], *(value for value in found.values() if value)])
            raise ConfigError(f"out: '{out}' holds tables of {held}; name another folder.")
        return row
    if next(out.glob("*.parquet"), None) is not None:
        raise ConfigError(f"out: '{out}' holds other tables; name another folder.")
    row = inspection.decoder_row(key, source, source.skeleton())
    tables.write([row], "decoder", file, {"model": entry, "settings": settings})
    return row


def _is_there(out: Path, domain: str, described: Mapping[str, Any], force: bool) -> bool:
    """Whether the folder has a domain's tables of the same samples; False if they are to be measured anew.

    Raises: ConfigError if they are of other samples, and are not.
    """
    layers, blocks = similarity_tables.paths(out, domain)
    if not blocks.is_file():
        return False
    if tables.provenance(layers)["calibration"]["digest"] == described["digest"]:
        logging.info("%s: measured already, from the same samples", domain)
        return True
    if not force:
        raise ConfigError(
            f"domains.{domain}: '{layers}' is of other samples; name another folder (out), or measure anew (force)."
        )
    return False


def _digest(samples: pl.DataFrame) -> str:
    """Hash of calibration samples: the same ones, the same similarities."""
    digest = hashlib.sha256()
    for row in samples.iter_rows():
        digest.update(repr(row).encode())
    return digest.hexdigest()[:12]
