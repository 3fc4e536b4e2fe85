"""The contamination guard: calibration samples that are questions of an evaluated benchmark."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import polars as pl

from pruning_regimes.inference.pictures import rgb, size
from pruning_regimes.jobs.errors import DataError

# sample_id of the domain, and the first sample of the benchmark that it matches by its image, or by its question.
MATCHES = {
    "domain": pl.String,
    "sample_id": pl.String,
    "benchmark": pl.String,
    "benchmark_sample_id": pl.String,
    "what": pl.Enum(("image", "question")),
}
# Words that a question needs to be told from a phrase that many ask: with images, and without.
MIN_WORDS, MIN_WORDS_TEXT_ONLY = 12, 6
ROWS = 64  # rows whose images are looked at in one go; bounds the memory
MARKER = re.compile(r"<image ?\d*>")

Tables = Mapping[str, pl.DataFrame]


def check(calibration: Tables, benchmarks: Tables) -> pl.DataFrame:
    """Compare all calibration samples with all benchmark questions.

    Images are equal if their decoded RGB pixels are, whatever the file format; one that cannot be decoded is compared
    by its bytes. Only images of a size that both sides have are decoded. Questions are equal if their words are, case
    and image markers aside: the raw question (`metadata.question`) or the whole one of the benchmark, if the raw one
    has at least 12 words, or 6 where neither sample has an image. A question that a table asks about several images
    is a template and matches nothing.

    Args:
        calibration: domain -> calibration table.
        benchmarks: name -> benchmark table.

    Returns: one row per calibration sample, benchmark, and kind of match; its columns are MATCHES.
    """
    sides = (calibration, benchmarks)
    with ThreadPoolExecutor(min(32, os.cpu_count() or 1)) as pool:
        looked = [{name: _look(table, pool) for name, table in side.items()} for side in sides]
        # Digests of the files -> digests of the pixels, where the other side has an image of that size.
        sizes = [pl.concat([_EMPTY, *side.values()])["size"].drop_nulls().unique() for side in looked]
        shared = sizes[0].filter(sizes[0].is_in(sizes[1].implode()))
        pixels: dict[str, str] = {}
        for side, found in zip(sides, looked, strict=True):
            for name, table in side.items():
                wanted = found[name].filter(pl.col("size").is_in(shared.implode()))
                wanted = wanted.filter(~pl.col("file").is_in(list(pixels))).unique("file", keep="first")
                pixels.update(_pixels(table, wanted, pool))
    images = [
        {name: table.select("sample_id", key=pl.col("file").replace(pixels)) for name, table in side.items()}
        for side in looked
    ]
    asked = [
        {name: _questions(table, looked[number][name]) for name, table in side.items()}
        for number, side in enumerate(sides)
    ]
    found = [_matches(images, "image"), _matches(asked, "question")]
    return pl.concat(found).sort("domain", "sample_id", "benchmark", "what")


def refuse(matches: pl.DataFrame) -> None:
    """Raises: DataError if there is a match."""
    if not len(matches):
        return
    count = matches.select("domain", "sample_id").n_unique()
    first = matches.row(0, named=True)
    raise DataError(
        f"Calibration and evaluation share data: {count} calibration samples, the first of them '{first['sample_id']}' "
        f"of domain '{first['domain']}', whose {first['what']} is that of '{first['benchmark_sample_id']}' of "
        f"benchmark '{first['benchmark']}'; use other calibration data, or set 'contamination: warn'."
    )


_EMPTY = pl.DataFrame(
    schema={"sample_id": pl.String, "row": pl.Int64, "place": pl.Int64, "file": pl.String, "size": pl.String}
)


def _look(table: pl.DataFrame, pool: ThreadPoolExecutor) -> pl.DataFrame:
    """One row per image: its sample, row and place in the table, the digest of its file, and its size if it has one."""
    found = [_EMPTY]
    for part in _parts(list(range(len(table)))):
        rows, samples = table["images"].gather(part).to_list(), table["sample_id"].gather(part)
        places = [
            (sample, row, place)
            for sample, row, images in zip(samples, part, rows, strict=True)
            for place in range(len(images))
        ]
        described = pool.map(_describe, (image for images in rows for image in images))
        lines = [(*place, *about) for place, about in zip(places, described, strict=True)]
        found.append(pl.DataFrame(lines, schema=_EMPTY.schema, orient="row"))
    return pl.concat(found)


def _pixels(table: pl.DataFrame, wanted: pl.DataFrame, pool: ThreadPoolExecutor) -> Iterator[tuple[str, str]]:
    """Digest of the file -> of the pixels, of the wanted images that can be decoded."""
    places: dict[int, list[tuple[int, str]]] = {}
    for row, place, file in wanted.select("row", "place", "file").iter_rows():
        places.setdefault(row, []).append((place, file))
    for part in _parts(sorted(places)):
        rows = dict(zip(part, table["images"].gather(part).to_list(), strict=True))
        files = [file for row in part for _, file in places[row]]
        digests = pool.map(_pixel_digest, [rows[row][place] for row in part for place, _ in places[row]])
        yield from ((file, digest) for file, digest in zip(files, digests, strict=True) if digest is not None)


def _parts(rows: Sequence[int]) -> Iterator[Sequence[int]]:
    """So many rows at a time that their images fit into memory."""
    return (rows[begin : begin + ROWS] for begin in range(0, len(rows), ROWS))


def _describe(image: bytes) -> tuple[str, str | None]:
    """Digest of a file, and the image's size as in its header."""
    try:
        shape = "{}x{}".format(*size(image))
    except Exception:  # damaged files make the decoders raise almost anything
        shape = None
    return hashlib.blake2b(image, digest_size=16).hexdigest(), shape


def _pixel_digest(image: bytes) -> str | None:
    try:
        decoded = rgb(image)
    except Exception:  # as above
        return None
    return hashlib.blake2b(decoded.tobytes(), digest_size=16, person=repr(decoded.size).encode()[:16]).hexdigest()


def _questions(table: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """sample_id, key: the words of each question that is long enough and no template, and whether it has images."""
    about = images.group_by("sample_id").agg(pl.col("file").sort())
    raw = pl.col("question")
    if "metadata" in table.columns:
        raw = pl.coalesce(pl.col("metadata").str.json_path_match("$.question"), raw)
    rows = table.select("sample_id", "question", raw=raw).join(about, on="sample_id", how="left", maintain_order="left")
    lines = []
    for sample, question, raw_question, files in rows.iter_rows():
        words = _words(raw_question)
        if len(words) >= MIN_WORDS_TEXT_ONLY:
            texts = {" ".join(words), " ".join(_words(question))}
            lines += [(sample, text, len(words), "".join(files or ())) for text in sorted(texts)]
    schema = {"sample_id": pl.String, "key": pl.String, "words": pl.Int64, "shown": pl.String}
    found = pl.DataFrame(lines, schema=schema, orient="row")
    return found.filter(pl.col("shown").n_unique().over("key") == 1)


def _words(text: str) -> list[str]:
    return MARKER.sub(" ", text.casefold()).split()


def _matches(sides: Iterable[Tables], what: str) -> pl.DataFrame:
    calibration, benchmarks = sides
    found = [pl.DataFrame(schema=MATCHES)]
    for benchmark, questions in benchmarks.items():
        first = questions.unique("key", keep="first", maintain_order=True).rename({"sample_id": "benchmark_sample_id"})
        for domain, samples in calibration.items():
            rows = samples.join(first, on="key", how="inner", maintain_order="left")
            if what == "question":
                text_only = (pl.col("shown") == "") & (pl.col("shown_right") == "")
                rows = rows.filter(text_only | (pl.min_horizontal("words", "words_right") >= MIN_WORDS))
            rows = rows.unique("sample_id", keep="first", maintain_order=True).with_columns(
                domain=pl.lit(domain), benchmark=pl.lit(benchmark), what=pl.lit(what)
            )
            found.append(rows.select(pl.col(name).cast(dtype) for name, dtype in MATCHES.items()))
    return pl.concat(found)
