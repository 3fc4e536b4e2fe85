"""Raw rows of a data set: from the hub, a local copy in the hub's layout, or upstream's own files.

Images stay encoded, and are read only for the rows that are wanted.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx
import pyarrow as pa
import pyarrow.dataset as arrow
from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from pruning_regimes.inference.pictures import unfit
from pruning_regimes.jobs.errors import DataError, brief

Row = dict[str, Any]


class Rows(Protocol):
    """A data set's rows."""

    def light(self) -> list[Row]:
        """All rows, without what is in image columns."""

    def take(self, positions: Sequence[int]) -> list[Row]:
        """Some rows in full, images as bytes."""


class Parquet:
    """Rows of Parquet files as the hub keeps them: an image is a struct of bytes and path."""

    def __init__(self, files: Sequence[Path]) -> None:
        missing = next((file for file in files if not file.is_file()), None)
        if missing is not None:
            raise DataError(f"There is no file '{missing}'.")
        try:
            self._data = arrow.dataset([str(file) for file in files], format="parquet")
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"'{files[0]}' cannot be read as Parquet: {error}.") from error

    @property
    def light_columns(self) -> list[str]:
        """The columns that hold no images."""
        return [field.name for field in self._data.schema if not _is_image(field.type)]

    def light(self) -> list[Row]:
        """All rows, without what is in image columns."""
        # The file that a row is in, as a column: some data sets tell something by it.
        return [
            {"_file": row.pop("__filename"), **row}
            for row in self._data.to_table(columns=[*self.light_columns, "__filename"]).to_pylist()
        ]

    def take(self, positions: Sequence[int]) -> list[Row]:
        """Some rows in full, images as bytes."""
        wanted = pa.array(positions, pa.int64())
        files = self._data.to_table(columns=["__filename"]).column(0).take(wanted).to_pylist()
        rows = self._data.take(wanted).to_pylist()
        return [{**_flat(row), "_file": file} for row, file in zip(rows, files, strict=True)]


class Saved:
    """A data set that `save_to_disk` of the library `datasets` wrote."""

    def __init__(self, directory: Path, split: str) -> None:
        import datasets  # slow to import, and seldom needed

        try:
            _check_parts(directory)
            found = datasets.load_from_disk(str(directory))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"'{directory}' cannot be read as a saved data set: {error}.") from error
        if isinstance(found, datasets.DatasetDict):
            if split not in found:
                raise DataError(f"{directory} has no split '{split}'; it has {', '.join(found)}.")
            found = found[split]
        self._data, self._split = found.with_format("arrow"), split

    def light(self) -> list[Row]:
        """All rows, without what is in image columns."""
        names = [field.name for field in self._data.features.arrow_schema if not _is_image(field.type)]
        return [{**row, "_file": self._split} for row in self._data.select_columns(names)[:].to_pylist()]

    def take(self, positions: Sequence[int]) -> list[Row]:
        """Some rows in full, images as bytes."""
        chosen = self._data.select(list(positions))[:].to_pylist() if len(positions) else []
        return [{**_flat(row), "_file": self._split} for row in chosen]


class Files:
    """Rows of a JSON, JSONL or CSV file; an image is the name of a file below a folder."""

    def __init__(self, rows: Sequence[Row], images: Path, image_columns: Sequence[str]) -> None:
        self._rows, self._images, self._columns = rows, images, image_columns

    def light(self) -> list[Row]:
        """All rows, images as names."""
        return [dict(row) for row in self._rows]

    def take(self, positions: Sequence[int]) -> list[Row]:
        """Some rows in full, images as bytes."""
        return [
            {**self._rows[i], **{name: self._read(self._rows[i].get(name)) for name in self._columns}}
            for i in positions
        ]

    def _read(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self._read(item) for item in value]
        return image_file(self._images, value) if isinstance(value, str) and value else value or None


def image_file(folder: Path, name: str) -> bytes:
    """The bytes of an image below a folder.

    Raises: DataError if the name leads out of the folder, there is no such file, or no model could be shown it.
    """
    path = _below(folder, name, "image")
    if not path.is_file():
        raise DataError(f"The image '{brief(name)}' is not in '{folder}'.")
    encoded = path.read_bytes()
    if fault := unfit(encoded):
        raise DataError(f"The image '{brief(name)}' in '{folder}' cannot be used: {fault}.")
    return encoded


def _below(folder: Path, name: str, what: str) -> Path:
    """A path below a folder, links followed.

    Raises: DataError if the name leads out of the folder, or can be none.
    """
    try:
        path = (folder / name).resolve()
        path.is_file()  # fails where no file system can have the name
        inside = path.is_relative_to(folder.resolve()) or _in_cache(folder, name, path)
    except (OSError, ValueError, RuntimeError) as error:  # too long, a null character, links in a circle
        raise DataError(f"The {what} '{brief(name)}' is no name of a file.") from error
    if not inside:
        raise DataError(f"The {what} '{brief(name)}' lies outside its folder '{folder}'; it must be below it.")
    return path


def _in_cache(folder: Path, name: str, path: Path) -> bool:
    """Whether a name below a snapshot in the hub's cache is a link to a file that the cache keeps of that data set.

    `hf download` leaves `datasets--OWNER--NAME/snapshots/COMMIT/FILE` as links to `datasets--OWNER--NAME/blobs/HASH`.
    """
    stated = Path(os.path.abspath(folder / name))
    if not stated.is_relative_to(os.path.abspath(folder)):
        return False
    caches = [parent.parent for parent in stated.parents if parent.name == "snapshots"]
    return any(path.is_relative_to((cache / "blobs").resolve()) for cache in caches)


def _check_parts(directory: Path) -> None:
    """Check that what a saved data set names as its splits and files is in it.

    Raises: DataError if a name leads out of it; others, as the library itself, if its own files are damaged.
    """
    splits = ["."]
    if (directory / "dataset_dict.json").is_file():
        splits += json.loads((directory / "dataset_dict.json").read_text())["splits"]
    for split in splits:
        state = _below(directory, split, "split") / "state.json"
        if state.is_file():
            for part in json.loads(state.read_text())["_data_files"]:
                _below(directory, f"{split}/{part['filename']}", "file")


def read_rows(file: Path) -> list[Row]:
    """Rows of a JSON file (a list, or an object of rows by their id, which becomes `_key`), JSONL or CSV.

    Raises: DataError if the file is none of these.
    """
    if not file.is_file():
        raise DataError(f"There is no file '{file}'.")
    try:
        if file.suffix == ".csv":
            with file.open(newline="", encoding="utf-8-sig") as stream:
                found = list(csv.DictReader(stream))
        else:
            text = file.read_text(encoding="utf-8-sig")
            if file.suffix == ".json":
                found = json.loads(text)
                if isinstance(found, dict):
                    found = [{"_key": key, **row} for key, row in found.items()]
            else:
                # Not splitlines: JSON texts may hold other marks of line ends.
                found = [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, TypeError) as error:
        raise DataError(f"'{file}' cannot be read as rows of {file.suffix or 'JSONL'}: {error}.") from error
    # A row of CSV with more cells than the header has the rest under None.
    if not isinstance(found, list) or not all(isinstance(row, dict) and None not in row for row in found):
        raise DataError(f"'{file}' cannot be read as rows of {file.suffix or 'JSONL'}: not every row has named fields.")
    return found


def rows(
    about: Mapping[str, Any], path: str | None, revision: str | None, image_columns: Sequence[str], part: str = ""
) -> Rows:
    """Open a public data set.

    Args:
        about: its entry: title, sources, and perhaps upstream.
        path: a local copy; None for the hub.
        revision: in place of those of the sources.
        image_columns: columns with images, for upstream's own files.
        part: name of an entry's further table, such as `join`.

    Raises: DataError if there is no such data set.
    """
    sources = [{**source, **about[part]} for source in about["sources"]] if part else list(about["sources"])
    upstream = about.get("upstream")
    if path is None:
        return Parquet(_downloaded(about["title"], sources, revision))
    directory = Path(path).expanduser()
    if (directory / "state.json").is_file() or (directory / "dataset_dict.json").is_file():
        return Saved(directory, sources[0]["split"] if sources else "")
    for source in sources:
        # Not in any folder: another config's split may have the same name.
        folders = (source.get("config", "default"), "data", ".")
        patterns = [pattern(source), *(f"{folder}/{source['split']}-*.parquet" for folder in folders)]
        found = next(filter(None, (sorted(directory.glob(wanted)) for wanted in patterns)), None)
        if found:
            return Parquet(found)
    if upstream is not None and list(directory.glob(upstream["file"])):
        return _upstream(upstream, directory, image_columns)
    wanted = [pattern(source) for source in sources] + ([upstream["file"]] if upstream else [])
    raise DataError(f"'{path}' holds no copy of {about['title']}; expected {' or '.join(wanted)} in it.")


def _upstream(about: Mapping[str, Any], directory: Path, image_columns: Sequence[str]) -> Files:
    """Upstream's own files: where they are, how their columns are named, and where their images are."""
    raw = []
    for file in sorted(directory.glob(about["file"])):
        beside = file.parent.relative_to(directory) if about["images"] == "beside" else None
        for row in read_rows(file):
            row = {"_file": str(file.relative_to(directory)), **row}
            row |= {column: row.get(old) for column, old in about.get("rename", {}).items()}
            row |= {column: name.format(**row) for column, name in about.get("image", {}).items()}
            if beside is not None:
                row |= {column: str(beside / row[column]) for column in image_columns if row.get(column)}
            raw.append(row)
    if "join" in about:
        join = about["join"]
        others = {row[join["by"]]: row for row in read_rows(directory / join["file"])}
        for row in raw:
            other = others.get(row[join["by"]], {})
            row |= {column: other.get(name) for column, name in join["columns"].items()}
    return Files(raw, directory / ("." if about["images"] == "beside" else about["images"]), image_columns)


def pattern(source: Mapping[str, Any]) -> str:
    """Which files of a repository hold the split."""
    config = source.get("config", "default")
    folder = "data" if config == "default" else config
    return source.get("data_files") or f"{folder}/{source['split']}-*.parquet"


def _downloaded(title: str, sources: Sequence[Mapping[str, Any]], revision: str | None) -> list[Path]:
    """The Parquet files of the first source that the hub, or its cache, has."""
    failures = []
    for source in sources:
        try:
            directory = snapshot_download(
                source["id"],
                repo_type="dataset",
                revision=revision or source["revision"],
                allow_patterns=[pattern(source)],
            )
        except GatedRepoError:
            failures.append(f"{source['id']} is gated (accept its terms on the hub, and set HF_TOKEN)")
            continue
        except RepositoryNotFoundError:
            failures.append(f"{source['id']} is not on the hub")
            continue
        except (HfHubHTTPError, httpx.HTTPError, OSError, ValueError) as error:
            failures.append(f"{source['id']}: {str(error).strip().splitlines()[0]}")
            continue
        files = sorted(Path(directory).glob(pattern(source)))
        if files:
            return files
        failures.append(f"{source['id']} has no file {pattern(source)}")
    told = "; ".join(failures) or "it is not on the hub"
    raise DataError(f"{title} could not be downloaded: {told}. A local copy is named by 'path'.")


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_image(kind.value_type)
    if pa.types.is_struct(kind):
        return {field.name for field in kind} == {"bytes", "path"}
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _flat(value: Any) -> Any:
    """The same, with the bytes of an image in place of its struct."""
    if isinstance(value, dict):
        if value.keys() == {"bytes", "path"}:
            if value["bytes"] is None and value["path"]:
                raise DataError(f"The image '{value['path']}' is named in the data set, but its bytes are not in it.")
            return value["bytes"]
        return {key: _flat(below) for key, below in value.items()}
    return [_flat(item) for item in value] if isinstance(value, list) else value


def field(row: Mapping[str, Any], name: str) -> Any:
    """A field of a row; dots lead into structs. None if it is not there."""
    found: Any = row
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def usable(at: str, found: Iterable[bytes]) -> list[bytes]:
    """Encoded images, each of which a model can be shown.

    Raises: DataError naming the first that cannot be, and why; `at` is the row's name.
    """
    found = list(found)
    for number, encoded in enumerate(found, 1):
        if fault := unfit(encoded):
            raise DataError(f"{at}: image {number} cannot be used: {fault}.")
    return found


def images(row: Mapping[str, Any], columns: Sequence[str]) -> Iterator[bytes]:
    """The encoded images of some columns, in their order; empty ones are left out, lists are flattened."""
    for name in columns:
        found = field(row, name)
        for image in found if isinstance(found, list) else [found]:
            if image is not None and len(image):
                yield image
