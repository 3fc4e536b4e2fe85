"""Calibration samples that are questions of an evaluated benchmark: found by their images and by their words."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import polars as pl
from PIL import Image

from pruning_regimes.errors import DataError

SCHEMA = {
    "domain": pl.String,
    "sample_id": pl.String,
    "benchmark": pl.String,
    "question_id": pl.String,
    "what": pl.String,
}
# Shorter questions, such as "What colour is the car?", are asked of many images.
WORDS, WORDS_WITHOUT_IMAGE = 12, 6
MARK = re.compile(r"<image \d+>")


def check(calibration: Mapping[str, pl.DataFrame], benchmarks: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Every calibration sample that shares an image or its question with a benchmark's question.

    Images are the same if their pixels are, however they are encoded. Questions are the same if their words are, there
    are enough of them, and the benchmark asks them about one image only: a form that it asks about many images is no
    sign.

    Args:
        calibration: domain -> calibration table.
        benchmarks: benchmark -> benchmark table.

    Returns: one row per pair, with `SCHEMA`; what is "image" or "question".
    """
    pixels = _Pixels([*calibration.values(), *benchmarks.values()])
    by_image: dict[str, list[tuple[str, str]]] = defaultdict(list)
    by_words: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for benchmark, table in benchmarks.items():
        shown: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        asked = list(_asked(table))
        for _, words, images in asked:
            shown[words].add(tuple(pixels.of(image) for image in images))
        for sample, words, images in asked:
            for image in {pixels.of(image) for image in images}:
                by_image[image].append((benchmark, sample))
            if len(shown[words]) == 1 and _tells(words, bool(images)):
                by_words[words].append((benchmark, sample))
    rows = []
    for domain, table in calibration.items():
        for sample, words, images in _asked(table):
            same = {"image": [hit for image in {pixels.of(image) for image in images} for hit in by_image[image]]}
            same["question"] = by_words.get(words, [])
            rows += [(domain, sample, *hit, what) for what, hits in same.items() for hit in sorted(set(hits))]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def refuse(matches: pl.DataFrame) -> None:
    """Stop a study whose calibration samples are in its benchmarks.

    Raises: DataError if there are matches.
    """
    if len(matches):
        first = matches.row(0, named=True)
        n = matches.select("domain", "sample_id").n_unique()
        raise DataError(
            f"{n} calibration samples are questions of evaluated benchmarks; the first is '{first['sample_id']}' of "
            f"domains.{first['domain']}, which has the {first['what']} of question '{first['question_id']}' of "
            f"benchmarks.{first['benchmark']}; take other calibration data, or set 'contamination: warn'."
        )


def _asked(table: pl.DataFrame) -> Iterator[tuple[str, str, list[bytes]]]:
    """Name, words of the question itself and images of each row."""
    for row in table.iter_rows(named=True):
        stated = json.loads(row.get("metadata") or "{}")
        question = stated.get("question", row["question"])
        yield row["sample_id"], " ".join(MARK.sub(" ", question).casefold().split()), row["images"]


def _tells(words: str, has_image: bool) -> bool:
    return len(words.split()) >= (WORDS if has_image else WORDS_WITHOUT_IMAGE)


class _Pixels:
    """What encoded images show, hashed; each different file is decoded once."""

    def __init__(self, tables: list[pl.DataFrame]) -> None:
        files = {image for table in tables for images in table["images"] for image in images}
        with ThreadPoolExecutor() as pool:
            self._shown = dict(zip(map(_file, files), pool.map(_pixels, files), strict=True))

    def of(self, image: bytes) -> str:
        """The hash of what an image shows."""
        return self._shown[_file(image)]


def _file(image: bytes) -> str:
    return hashlib.sha256(image).hexdigest()


def _pixels(image: bytes) -> str:
    """Hash of size and pixels; of the file itself if it cannot be decoded."""
    try:
        decoded = Image.open(io.BytesIO(image)).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return _file(image)
    return hashlib.sha256(f"{decoded.size}".encode() + decoded.tobytes()).hexdigest()
