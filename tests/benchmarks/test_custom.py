"""Benchmarks of the user's own, in every format, and public ones from the hub's door."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from datasets import Dataset, Features, Image, List, Value
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from pruning_regimes import benchmarks, scoring
from pruning_regimes.benchmarks import registry, sources
from pruning_regimes.jobs.errors import DataError
from tests.helpers import miniatures
from tests.helpers.miniatures.general import picture

PNGS = [picture(number)["bytes"] for number in range(4)]
ROWS: list[dict[str, Any]] = [
    {"question": "Which?", "answers": ["B"], "choices": ["x | y", "z"], "images": ["0.png"], "category": "a"},
    {"question": "What?", "answers": ["A"], "choices": ["p", "q", "r"], "images": ["1.png", "sub/2.png"]},
    {"question": "Who?", "answers": ["A"], "choices": ["p", "q"], "images": [], "category": "b"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with images."""
    (tmp_path / "sub").mkdir()
    for name, content in zip(("0.png", "1.png", "sub/2.png"), PNGS, strict=False):
        (tmp_path / name).write_bytes(content)
    return tmp_path


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _json(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def _csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, sorted({name for row in rows for name in row}))
        writer.writeheader()
        writer.writerows(
            {name: "|".join(value) if isinstance(value, list) else value for name, value in row.items()} for row in rows
        )
    return path


def _parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pl.DataFrame(rows).write_parquet(path)
    return path


WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], Path]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "parquet": _parquet,
}


def _load(path: Path, **entry: Any) -> pl.DataFrame:
    about = {"source": "custom", "path": str(path), "answer_type": "letter", **entry}
    return benchmarks.load("mine", {name: value for name, value in about.items() if value is not None}, seed=0)


@pytest.mark.parametrize("form", WRITERS)
def test_every_format_gives_the_same_table(folder: Path, form: str) -> None:
    # In CSV, "|" lies between values: an option cannot hold it.
    rows = [{**row, "choices": [text.replace(" | ", "/") for text in row["choices"]]} for row in ROWS]
    found = _load(WRITERS[form](folder / f"rows.{form}", rows))
    assert found["images"].to_list() == [PNGS[:1], PNGS[1:3], []]
    assert found["choices"].to_list() == [["x/y", "z"], ["p", "q", "r"], ["p", "q"]]
    assert found["answers"].to_list() == [["B"], ["A"], ["A"]]
    assert found["question"].to_list() == ["Which?", "What?", "Who?"]
    assert found["category"].to_list() == ["a", "all", "b"]
    assert found["chance"].to_list() == pytest.approx([1 / 2, 1 / 3, 1 / 2])
    assert found["sample_id"].to_list() == ["000000", "000001", "000002"]
    assert set(found["answer_type"]) == {"letter"}
    assert json.loads(found["metadata"][0]) == {"question": "Which?"}
    scoring.check("mine", found)


def test_a_bar_is_text_but_in_csv(folder: Path) -> None:
    assert _load(_jsonl(folder / "a.jsonl", ROWS[:1]))["choices"].to_list() == [["x | y", "z"]]
    row = {"question": "Norm of x?", "answers": "|x|"}
    found = _load(_jsonl(folder / "b.jsonl", [row]), answer_type="exact")
    assert found["answers"].to_list() == [["|x|"]] and found["choices"].to_list() == [None]
    assert _load(_csv(folder / "b.csv", [row | {"answers": "x|y"}]))["answers"].to_list() == [["x", "y"]]


def test_columns_have_other_names_and_images_another_folder(folder: Path) -> None:
    row = {"id": 7, "ask": "Sum?", "gold": 12, "left": "2.png", "right": None, "kind": "integer", "topic": "sums"}
    names = {"sample_id": "id", "question": "ask", "answers": "gold", "answer_type": "kind", "category": "topic"}
    columns = {**names, "images": ["left", "right"]}
    path = _jsonl(folder / "rows.jsonl", [row, row | {"id": 8, "right": "2.png"}])
    found = _load(path, columns=columns, images=str(folder / "sub"), answer_type=None, chance=0.1)
    assert found["images"].to_list() == [[PNGS[2]], [PNGS[2], PNGS[2]]]
    assert found.select("sample_id", "answers", "answer_type", "category", "chance").row(0) == (
        *("7", ["12"], "integer", "sums", 0.1),
    )


@pytest.mark.parametrize("form", ["bytes", "struct", "structs", "saved"])
def test_images_within_the_file(tmp_path: Path, form: str) -> None:
    rows = [{"question": f"{number}?", "answers": "A"} for number in range(2)]
    path = tmp_path / "rows.parquet"
    if form == "bytes":
        _parquet(path, [row | {"images": PNGS[number]} for number, row in enumerate(rows)])
    else:
        feature = List(Image()) if form == "structs" else Image()
        held = [[picture(at)] if form == "structs" else picture(at) for at in range(2)]
        features = Features({"question": Value("string"), "answers": Value("string"), "images": feature})
        made = [row | {"images": image} for row, image in zip(rows, held, strict=True)]
        table = Dataset.from_list(made, features=features)
        if form == "saved":
            path = tmp_path / "saved"
            table.save_to_disk(path)
        else:
            table.to_parquet(path)
    found = _load(path)
    assert found["images"].to_list() == [[PNGS[0]], [PNGS[1]]]
    assert found["question"].to_list() == ["0?", "1?"]


def test_a_subsample_keeps_the_shares_of_categories(folder: Path) -> None:
    rows = [{"question": f"{number}?", "answers": "A", "category": "ab"[number % 4 == 0]} for number in range(20)]
    path = _jsonl(folder / "rows.jsonl", rows)
    found = _load(path, samples=8)
    assert sorted(found["category"]) == ["a"] * 6 + ["b"] * 2
    assert _load(path, samples=8).equals(found)
    with pytest.raises(DataError, match=r"benchmarks\.mine\.samples: 21 .* holds 20; ask for at most 20"):
        _load(path, samples=21)


def test_errors_name_the_column(folder: Path) -> None:
    path = _jsonl(folder / "rows.jsonl", [{"question": "?", "answer": "A", "picture": "0.png"}])
    with pytest.raises(DataError, match=r"benchmarks\.mine\.columns\.answers: .* 'answers'; did you mean 'answer'\?"):
        _load(path)
    columns = {"answers": "answer"}
    with pytest.raises(DataError, match=r"columns\.images: .* no column 'pictures'; did you mean 'picture'\?"):
        _load(path, columns=columns | {"images": ["pictures"]})
    with pytest.raises(DataError, match=r"columns\.choice: there is no such column .* did you mean 'choices'\?"):
        _load(path, columns=columns | {"choice": "x"})
    with pytest.raises(DataError, match="the key 'answer_type' is missing"):
        _load(path, columns=columns, answer_type=None)
    table = _parquet(folder / "rows.parquet", [{"question": "?", "answers": "A", "image": PNGS[0]}])
    with pytest.raises(DataError, match=r"columns\.images: .* 'imag'; did you mean 'image'\?"):
        _load(table, columns={"images": "imag"})


def test_texts_may_hold_other_line_ends(folder: Path) -> None:
    row = {"question": "one\u2028two\x85three", "answers": "A"}
    path = folder / "rows.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\r\n\n", encoding="utf-8")
    assert _load(path)["question"].to_list() == [row["question"]]


def test_a_column_may_be_missing_in_some_rows(folder: Path) -> None:
    rows = [{"question": "1?", "answers": "A"}, {"question": "2?", "answers": "B", "options": ["p", "q"]}]
    found = _load(_jsonl(folder / "rows.jsonl", rows), columns={"choices": "options"})
    assert found["choices"].to_list() == [None, ["p", "q"]]


def test_errors_name_the_image(folder: Path) -> None:
    row = {"question": "?", "answers": "A"}
    with pytest.raises(DataError, match=r"The image 'none\.png' is not in"):
        _load(_jsonl(folder / "rows.jsonl", [row | {"images": "none.png"}]))
    (folder / "deep").mkdir()
    for name in ("../0.png", str(folder / "0.png")):
        with pytest.raises(DataError, match="lies outside its folder"):
            _load(_jsonl(folder / "rows.jsonl", [row | {"images": name}]), images=str(folder / "deep"))
    (folder / "deep" / "link.png").symlink_to(folder / "0.png")
    with pytest.raises(DataError, match="lies outside its folder"):
        _load(_jsonl(folder / "rows.jsonl", [row | {"images": "link.png"}]), images=str(folder / "deep"))
    named = pl.DataFrame([row | {"images": {"bytes": None, "path": "9.png"}}])
    named = named.with_columns(pl.col("images").cast(pl.Struct({"bytes": pl.Binary, "path": pl.String})))
    named.write_parquet(folder / "named.parquet")
    with pytest.raises(DataError, match=r"The image '9\.png' is named in the data set, but its bytes are not in it"):
        _load(folder / "named.parquet")


def test_errors_of_files(folder: Path) -> None:
    row = {"question": "?", "answers": "A", "sample_id": "x"}
    with pytest.raises(DataError, match=r"'rows\.tsv' ends in '\.tsv'; expected one of \.parquet, \.jsonl"):
        _load(folder / "rows.tsv")
    for form in WRITERS:
        with pytest.raises(DataError, match=rf"There is no file '.*none\.{form}'"):
            _load(folder / f"none.{form}")
    (folder / "bad.jsonl").write_text('{"question": ')
    with pytest.raises(DataError, match=r"bad\.jsonl' cannot be read as rows of \.jsonl"):
        _load(folder / "bad.jsonl")
    for name, text in {
        "a.jsonl": "[1]\n",
        "a.json": "[1]",
        "b.json": "3",
        "a.csv": "question,answers\nx,y,z\n",
    }.items():
        (folder / name).write_text(text)
        with pytest.raises(DataError, match=rf"{name}' cannot be read as rows of .*: not every row has named fields"):
            _load(folder / name)
    (folder / "bad.parquet").write_bytes(b"PAR?")
    with pytest.raises(DataError, match=r"bad\.parquet' cannot be read"):
        _load(folder / "bad.parquet")
    with pytest.raises(DataError, match="sub' cannot be read as a saved data set"):
        _load(folder / "sub")
    with pytest.raises(DataError, match="holds no rows"):
        _load(_jsonl(folder / "empty.jsonl", []))
    with pytest.raises(DataError, match=r"benchmarks\.mine\.path: .* has the sample_id 'x' more than once"):
        _load(_jsonl(folder / "twice.jsonl", [row, row]))
    with pytest.raises(DataError, match=r"benchmarks\.mine: question 'x' is empty"):
        _load(_jsonl(folder / "none.jsonl", [row | {"question": ""}]))


Call = dict[str, Any]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Call], dict[str, Path | Exception]]:
    """A hub that holds what a test puts into it, and the calls that are made to it."""
    calls: list[Call] = []
    holds: dict[str, Path | Exception] = {}

    def snapshot_download(repo_id: str, **kwargs: Any) -> str:
        calls.append({"id": repo_id, **kwargs})
        found = holds.get(repo_id, LocalEntryNotFoundError("offline\nand so on"))
        if isinstance(found, Exception):
            raise found
        return str(found)

    monkeypatch.setattr(sources, "snapshot_download", snapshot_download)
    return calls, holds


def _refused(kind: type[Exception]) -> Exception:
    """A hub's error, which cannot be made without a response."""
    error = kind.__new__(kind)
    Exception.__init__(error, "refused")
    return error


def _public(name: str, **entry: Any) -> pl.DataFrame:
    return benchmarks.load("key", {"source": "public", "benchmark": name, **entry}, seed=0)


def test_the_hub_is_asked_for_one_split(hub: Any, tmp_path: Path) -> None:
    calls, holds = hub
    miniatures.write("mathvista", tmp_path, 5)
    holds["AI4Math/MathVista"] = tmp_path
    assert len(_public("mathvista")) == 5
    about = {"id": "AI4Math/MathVista", "repo_type": "dataset", "allow_patterns": ["data/testmini-*.parquet"]}
    assert calls == [about | {"revision": "main"}]
    _public("mathvista", revision="abc123", samples=2)
    assert calls[1] == about | {"revision": "abc123"}
    # What else a repository holds is not read.
    (tmp_path / "data" / "test-00000-of-00001.parquet").write_bytes(b"other")
    assert len(_public("mathvista")) == 5


@pytest.mark.parametrize("kind", [RepositoryNotFoundError, GatedRepoError, LocalEntryNotFoundError, None])
def test_the_next_source_is_asked(hub: Any, tmp_path: Path, kind: type[Exception] | None) -> None:
    calls, holds = hub
    first, second = (source["id"] for source in registry.entry("iconqa")["sources"])
    (tmp_path / "empty").mkdir()
    holds[first] = tmp_path / "empty" if kind is None else _refused(kind)
    miniatures.write("iconqa", tmp_path / "full", 3)
    holds[second] = tmp_path / "full"
    assert len(_public("iconqa")) == 3
    assert [call["id"] for call in calls] == [first, second]


def test_what_could_not_be_downloaded_is_told(hub: Any, tmp_path: Path) -> None:
    _, holds = hub
    first, second = (source["id"] for source in registry.entry("iconqa")["sources"])
    with pytest.raises(DataError, match=rf"IconQA .*: {first}: offline; {second}: offline\. .* named by 'path'\."):
        _public("iconqa")
    holds |= {first: _refused(GatedRepoError), second: _refused(RepositoryNotFoundError)}
    with pytest.raises(DataError, match=rf"{first} is gated .* HF_TOKEN\); {second} is not on the hub\. .*'path'"):
        _public("iconqa")
    holds[first] = tmp_path
    with pytest.raises(DataError, match=rf"{first} has no file data/test-\*\.parquet"):
        _public("iconqa")


def test_some_benchmarks_are_not_on_the_hub(hub: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"TabMWP could not be downloaded: it is not on the hub\. .*'path'"):
        _public("tabmwp")
    with pytest.raises(DataError, match=r"holds no copy of GeoQA; expected test_questions\.jsonl in it"):
        _public("geoqa", path=str(tmp_path))


def test_an_image_that_no_model_could_be_shown_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no image")
    file = tmp_path / "q.jsonl"
    file.write_text(json.dumps({"question": "What?", "answers": ["a"], "images": ["1.png"]}))
    with pytest.raises(DataError, match=r"The image '1\.png' in .* cannot be used: it is none of PNG, JPEG"):
        benchmarks.load("mine", {"source": "custom", "path": str(file), "answer_type": "exact"}, 0)


@pytest.mark.parametrize(("linked", "named"), [("blobs/ab12", "1.png"), ("blobs/ab12", "sub/1.png")])
def test_links_of_a_hub_cache_are_followed_within_the_data_set(tmp_path: Path, linked: str, named: str) -> None:
    cache = tmp_path / "datasets--owner--name"
    snapshot = cache / "snapshots" / "c0ffee"
    (cache / "blobs").mkdir(parents=True)
    (cache / linked).write_bytes(picture(1)["bytes"])
    (snapshot / named).parent.mkdir(parents=True)
    (snapshot / named).symlink_to(cache / linked)
    file = snapshot / "q.jsonl"
    file.write_text(json.dumps({"question": "What?", "answers": ["a"], "images": [named]}))
    entry = {"source": "custom", "path": str(file), "answer_type": "exact"}
    assert benchmarks.load("mine", entry, 0)["images"][0].to_list() == [picture(1)["bytes"]]
    other = tmp_path / "datasets--other--name" / "blobs" / "secret"
    other.parent.mkdir(parents=True)
    other.write_bytes(picture(1)["bytes"])
    (snapshot / named).unlink()
    (snapshot / named).symlink_to(other)
    with pytest.raises(DataError, match="lies outside its folder"):
        benchmarks.load("mine", entry, 0)
