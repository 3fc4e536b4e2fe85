"""The folder with a model's similarity tables: what lies where.

The workflow's `results/similarity/{model}` is one, beside `results/models/{model}.parquet`; so is the folder of a model
outside of a study, which holds the decoder table itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning_regimes import tables
from pruning_regimes.jobs.errors import DataError

if TYPE_CHECKING:
    from pruning_regimes.measurement.similarity import Measured

# Domains' names hold no dot, so that no domain has such files.
BLOCKS, WINDOWS = ".blocks.parquet", ".windows.parquet"
# Names that the folder's other tables have.
DECODER, PROFILE = "decoder", "profile"


def paths(folder: Path, domain: str) -> tuple[Path, Path]:
    """Files of a domain's similarity and blocks tables."""
    return folder / f"{domain}.parquet", folder / f"{domain}{BLOCKS}"


def windows(folder: Path, domains: Iterable[str]) -> list[Path]:
    """Files of the domains' tables of windows; none if any of them is not there, as the workflow alone makes them."""
    files = [folder / f"{domain}{WINDOWS}" for domain in domains]
    return files if all(file.is_file() for file in files) else []


def write(measured: Measured, layers: str | Path, blocks: str | Path, made_from: Mapping[str, Any]) -> None:
    """Write what was measured of a domain; the blocks come last, so that where they are, all of it is there.

    Args:
        layers, blocks: files of the similarity and the blocks table.
    """
    tables.write(measured.similarity, "similarity", layers, made_from)
    tables.write(measured.blocks, "blocks", blocks, made_from)


def domains(folder: Path) -> list[str]:
    """The domains whose tables are in a folder, in the order of their names.

    Raises: DataError if there are none.
    """
    named = {file.name.removesuffix(BLOCKS) for file in folder.glob(f"[!.]*{BLOCKS}")}
    found = sorted(named - {PROFILE})  # a study keeps a summary of all domains' blocks
    if not found:
        raise DataError(
            f"'{folder}' holds no similarity tables; expected a folder that 'pruning-regimes similarity' wrote, or "
            "results/similarity/MODEL of a study."
        )
    return found


def decoder_file(folder: Path) -> Path:
    """The decoder table of the model whose similarity tables are in a folder.

    Raises: DataError if there is none.
    """
    own, studys = folder / f"{DECODER}.parquet", folder.absolute().parent.parent / "models" / f"{folder.name}.parquet"
    for file in (own, studys):
        if file.is_file():
            return file
    raise DataError(f"'{folder}' has no decoder table; expected {own}, or {studys} of a study.")
