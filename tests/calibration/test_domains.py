"""Calibration domains: of public sets, in their true schema, and of the user's own files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pruning_regimes import calibration
from pruning_regimes.benchmarks import sources
from pruning_regimes.calibration import registry, schemas
from pruning_regimes.jobs.errors import ConfigError, DataError
from tests.helpers import miniatures
from tests.helpers.miniatures.general import picture
from tests.helpers.miniatures.math import SETS


def _public(path: Path | None, n: int, *names: str, seed: int = 0, **more: Any) -> pl.DataFrame:
    entry = {"source": "public", "samples": n, **({"path": str(path)} if path else {}), **more}
    return calibration.load("mine", {**entry, **({"datasets": list(names)} if names else {})}, seed)


def _custom(path: Path, schema: str, n: int = 1, **more: Any) -> pl.DataFrame:
    return calibration.load("mine", {"source": "custom", "path": str(path), "schema": schema, "samples": n, **more}, 0)


def test_sets_are_described() -> None:
    for name in registry.names():
        about = registry.entry(name)
        assert about["schema"] in SETS and about["title"] and about["licence"] and about["size_mb"] > 0
        assert all(source["id"].count("/") == 1 and source["revision"] for source in about["sources"])
    with pytest.raises(ConfigError, match="calibration set 'geo170'; did you mean 'geo170k'"):
        registry.entry("geo170")


@pytest.mark.parametrize("name", registry.names())
def test_every_set_is_read(tmp_path: Path, name: str) -> None:
    miniatures.write_set(name, tmp_path, 5)
    found = _public(tmp_path, 5, name)
    about = registry.entry(name)
    qa = about["schema"] == "qa"
    for number, row in enumerate(found.iter_rows(named=True)):
        assert row["question"] == (f"Find x{number}." if qa else f"What is {number}?")  # the first turn, no mark
        assert row["answer"] == (r"2 \sqrt { 3 }" if qa else f"It is {number}.")
        assert row["images"] == [picture(number)["bytes"]]
        assert (row["sample_id"], row["source"]) == (f"{name}-{number:06d}", name)


def test_two_sets_have_equal_shares(tmp_path: Path) -> None:
    for name in ("geo170k", "iconqa_train"):
        miniatures.write_set(name, tmp_path / name, 9)
    found = _public(tmp_path, 7, "geo170k", "iconqa_train")
    assert Counter(found["source"]) == {"geo170k": 4, "iconqa_train": 3}
    assert found["sample_id"].n_unique() == 7
    assert _public(tmp_path, 7, "geo170k", "iconqa_train").equals(found)
    assert not _public(tmp_path, 7, "geo170k", "iconqa_train", seed=1).equals(found)
    with pytest.raises(DataError, match=r"domains\.mine\.samples: 10 samples .* geo170k holds 9; ask for at most 9"):
        _public(tmp_path, 20, "geo170k", "iconqa_train")


def test_a_domain_may_have_a_sets_name(tmp_path: Path) -> None:
    miniatures.write_set("geomverse", tmp_path, 3)
    entry = {"source": "public", "samples": 2, "path": str(tmp_path)}
    assert set(calibration.load("geomverse", entry, 0)["source"]) == {"geomverse"}


def test_another_config_of_the_same_repository_is_not_taken(tmp_path: Path) -> None:
    miniatures.write_set("mavis_geometry", tmp_path, 3)
    with pytest.raises(DataError, match=r"holds no copy of Geo170K"):
        _public(tmp_path, 2, "geo170k")


def test_the_hub_is_asked_for_the_first_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    miniatures.write_set("geo170k", tmp_path, 3)
    calls = []

    def snapshot_download(repo_id: str, **kwargs: Any) -> str:
        calls.append((repo_id, kwargs["repo_type"], kwargs["revision"], kwargs["allow_patterns"]))
        return str(tmp_path)

    monkeypatch.setattr(sources, "snapshot_download", snapshot_download)
    assert len(_public(None, 2, "geo170k")) == 2
    assert calls == [
        ("lmms-lab/LLaVA-OneVision-Data", "dataset", "main", ["geo170k(qa)/train-00000-of-*.parquet"]),
    ]
    _public(None, 2, "geo170k", revision="abc")
    assert calls[1][2] == "abc"


@pytest.mark.parametrize("schema", SETS)
def test_own_parquet_files_of_every_schema(tmp_path: Path, schema: str) -> None:
    SETS[schema](4).to_parquet(tmp_path / "own.parquet")
    columns = {"columns": {"question": "problem"}} if schema == "qa" else {}
    found = _custom(tmp_path / "own.parquet", schema, 4, **columns)
    assert found["images"].to_list() == [[picture(number)["bytes"]] for number in range(4)]
    assert found["question"][1] == ("Find x1." if schema == "qa" else "What is 1?")
    assert found["sample_id"][1] == "own-000001" and set(found["source"]) == {"own"}
    with pytest.raises(DataError, match=r"domains\.mine\.samples: 5 samples .* own holds 4"):
        _custom(tmp_path / "own.parquet", schema, 5, **columns)


def test_own_json_files_name_their_images(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "0.png").write_bytes(picture(0)["bytes"])
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "That."}]
    file = tmp_path / "own.json"
    file.write_text(json.dumps([{"image": "0.png", "conversations": turns}, {"conversations": turns[:1]}]))
    found = _custom(file, "llava", 2, images=str(tmp_path / "pictures"))
    assert found.select("question", "images", "answer").rows() == [
        ("What?", [picture(0)["bytes"]], "That."),
        ("What?", [], None),
    ]
    with pytest.raises(DataError, match=r"The image '0\.png' is not in"):
        _custom(file, "llava", 2)


def test_own_tables_of_questions(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(picture(0)["bytes"])
    file = tmp_path / "own.csv"
    file.write_text("ask,shown,answer\nWhat?,0.png,4\n")
    found = _custom(file, "qa", columns={"question": "ask", "images": "shown"})
    assert found.select("question", "images", "answer").rows() == [("What?", [picture(0)["bytes"]], "4")]
    with pytest.raises(DataError, match="Row 0 of 'own' is not of the schema 'qa'; it has the columns .*ask"):
        _custom(file, "qa")
    with pytest.raises(DataError, match=r"domains\.mine\.path: 'own\.tsv' ends in '\.tsv'"):
        _custom(tmp_path / "own.tsv", "qa")
    with pytest.raises(DataError, match="is not of the schema 'llava'"):
        _custom(file, "llava")


@pytest.mark.parametrize(
    ("schema", "row"),
    [
        ("llava", {"conversations": []}),
        ("llava", {"conversations": [{"from": "gpt", "value": "It is."}]}),
        ("llava", {"conversations": None}),
        ("cauldron", {"texts": []}),
        ("cauldron", {"texts": [{"assistant": "x"}]}),
        ("qa", {"answer": "x"}),
    ],
)
def test_rows_of_another_schema_are_refused(schema: str, row: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=f"Row 3 is not of the schema '{schema}'"):
        schemas.sample("Row 3", schema, {}, row)


def test_rows_need_a_question() -> None:
    for question in ("<image>\n", "", None):
        with pytest.raises(DataError, match="Row 3 has no question"):
            schemas.sample("Row 3", "qa", {}, {"question": question})
