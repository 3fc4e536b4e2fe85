"""Entries and adapters on real rows of benchmarks, which are not part of the repository."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from pruning_regimes import scoring
from pruning_regimes.benchmarks import registry
from pruning_regimes.inference import prompts
from pruning_regimes.scoring import aggregates
from tests.helpers import ROOT, asked
from tests.helpers.asked import all_right, load
from tests.helpers.miniatures.general import GENERAL, picture

SAMPLES = ROOT.parent / "shared" / "real_samples"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="real rows are not here (../shared/real_samples)")


def _found(name: str, directory: Path, **entry: Any) -> list[dict[str, Any]]:
    return asked.rows(load(name, directory, **entry).sort("sample_id"))


def _png(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(len(path.name))["bytes"])
    return path.read_bytes()


def _copy(source: Path, target: Path) -> Any:
    """Copies a JSON or JSONL file and gives its content."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(SAMPLES / source, target)
    text = target.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if target.suffix == ".jsonl" else json.loads(text)


def test_real_mathvista_rows(tmp_path: Path) -> None:
    raws = _copy(Path("mathvista_textonly/testmini_sample.json"), tmp_path / "data" / "testmini.json")
    for raw in raws.values():
        _png(tmp_path / raw["image"])
    questions = load("mathvista", tmp_path, prompt="vlmevalkit")
    scoring.check("mathvista", questions)
    for row, raw in zip(asked.rows(questions), raws.values(), strict=True):
        assert (row["question"], row["choices"], row["answers"]) == (raw["query"], raw["choices"], [raw["answer"]])
        assert (row["category"], row["sample_id"]) == (raw["metadata"]["task"], raw["pid"])
    assert load("mathvista", tmp_path)["question"].str.contains("Answer ").all()


def test_real_mathverse_rows(tmp_path: Path) -> None:
    raws = json.loads((SAMPLES / "mathverse_textonly" / "testmini_text_only_sample.json").read_text())
    (tmp_path / "data").mkdir()
    rows = [{**raw, "image": "x.png"} for raw in raws]
    (tmp_path / "data" / "testmini.json").write_text(json.dumps(rows))
    _png(tmp_path / "images" / "x.png")
    questions = load("mathverse", tmp_path)
    scoring.check("mathverse", questions)
    for row, raw in zip(asked.rows(questions), raws, strict=True):
        assert row["question"] == raw["query_wo"]
        assert bool(row["choices"]) == raw["question_type"].startswith("multi")
        # A letter may stand in brackets, and there may be two.
        right = [c for c in raw["answer"] if c in "ABCD"] if row["choices"] else [raw["answer"].strip()]
        assert row["answers"] == right
        assert all(option and option in raw["question"] for option in row["choices"] or ())


def test_real_mathvision_rows(tmp_path: Path) -> None:
    raws = _copy(Path("mathvision/testmini_sample.jsonl"), tmp_path / "data" / "testmini.jsonl")
    shutil.copytree(SAMPLES / "mathvision" / "images", tmp_path / "images")
    questions = load("mathvision_testmini", tmp_path)
    scoring.check("mathvision_testmini", questions)
    for row, raw in zip(asked.rows(questions), raws, strict=True):
        assert row["images"] == [(tmp_path / raw["image"]).read_bytes()]
        assert (row["answers"], row["choices"] or []) == ([raw["answer"]], raw["options"])
        assert prompts.decode(row["images"])[0].size > (1, 1)
        # Marks of further images, of which there are none, are gone.
        assert prompts.content(row["question"], 1)[1] == [0]


def test_real_wemath_rows(tmp_path: Path) -> None:
    raws = _copy(Path("wemath/testmini_sample.json"), tmp_path / "data" / "testmini.json")
    shutil.copytree(SAMPLES / "wemath" / "data", tmp_path / "data", dirs_exist_ok=True)
    questions = load("wemath", tmp_path)
    scoring.check("wemath", questions)
    for row, raw in zip(asked.rows(questions), raws, strict=True):
        assert row["question"] == f"{raw['question']}\n{raw['option']}"
        assert row["images"] == [(SAMPLES / "wemath" / "data" / raw["image_path"]).read_bytes()]
        assert len(row["choices"]) >= 2 and row["answers"] == [raw["answer"]]
        # Every question's last option.
        last = "ABCDEFGH"[len(row["choices"]) - 1]
        assert row["choices"][-1] == "No correct answer" and f"{last}. No correct answer" in raw["option"]
    found = aggregates.metrics(questions, all_right(questions), ["wemath"])
    assert dict(found.select("metric", "n").iter_rows())["wemath_cm_strict"] == len({raw["ID"] for raw in raws})


def test_real_dynamath_rows(tmp_path: Path) -> None:
    trials = tmp_path / "samples and result" / "10trials"
    shutil.copytree(SAMPLES / "dynamath", trials)
    raws = {number: json.loads((trials / f"trial{number}" / "dataset.json").read_text()) for number in (1, 2, 3)}
    questions = load("dynamath", tmp_path)
    scoring.check("dynamath", questions)
    assert len(questions) == sum(map(len, raws.values()))
    for row in asked.rows(questions):
        variant, key = row["metadata"]["variant"], row["metadata"]["question_id"]
        raw = raws[variant][key]
        assert raw["question"] in row["question"] and row["answers"] == [raw["answer"].strip()]
        assert row["images"] == [(trials / f"trial{variant}" / raw["image"]).read_bytes()]
        assert bool(row["choices"]) == (raw["answer_type"] == "multiple choice")
        if row["choices"]:
            assert len(row["choices"]) == sum(f"({letter})" in raw["question"] for letter in "ABCDEFG")


def test_real_tabmwp_rows(tmp_path: Path) -> None:
    raws = _copy(Path("tabmwp/problems_test1k_sample.json"), tmp_path / "data" / "tabmwp" / "problems_test1k.json")
    shutil.copytree(SAMPLES / "tabmwp" / "tables", tmp_path / "data" / "tabmwp" / "tables")
    questions = load("tabmwp", tmp_path)
    scoring.check("tabmwp", questions)
    for row, (pid, raw) in zip(asked.rows(questions), raws.items(), strict=True):
        assert row["images"] == [(SAMPLES / "tabmwp" / "tables" / f"{pid}.png").read_bytes()]
        assert (row["sample_id"], row["choices"], row["answers"]) == (pid, raw["choices"], [raw["answer"]])
        assert row["metadata"]["unit"] == raw["unit"]


def test_real_geoqa_rows(tmp_path: Path) -> None:
    raws = _copy(Path("geoqa_textonly/test_questions_sample.jsonl"), tmp_path / "test_questions.jsonl")
    answers = _copy(Path("geoqa_textonly/test_answers_sample.jsonl"), tmp_path / "test_answers.jsonl")
    gold = {answer["question_id"]: answer["text"] for answer in answers}
    for raw in raws:
        _png(tmp_path / raw["image"])
    questions = load("geoqa", tmp_path)
    scoring.check("geoqa", questions)
    for row, raw in zip(asked.rows(questions), raws, strict=True):
        assert (row["question"], row["answers"]) == (raw["text"], [gold[raw["question_id"]]])
        assert len(row["choices"]) == 4 and all(option in raw["text"] for option in row["choices"])


def _hub(directory: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """Real rows in the schema that the benchmark has on the hub."""
    source = registry.entry(name)["sources"][0]
    config = source.get("config", "default")
    folder = directory / ("data" if config == "default" else config)
    folder.mkdir()
    features = GENERAL[name](1).features
    table = Dataset.from_list([{**dict.fromkeys(features), **row} for row in rows], features=features)
    table.to_parquet(folder / f"{source['split']}-00000-of-00001.parquet")


def test_real_scienceqa_rows(tmp_path: Path) -> None:
    folder = SAMPLES / "scienceqa"
    problems = json.loads((folder / "problems_sample.json").read_text())
    rows = [
        {**row, "image": {"bytes": (folder / "images" / "test" / pid / "image.png").read_bytes(), "path": None}}
        for pid, row in problems.items()
    ]
    _hub(tmp_path, "scienceqa", [{key: row[key] for key in row if key != "split"} for row in rows])
    found = _found("scienceqa", tmp_path)
    for row, raw in zip(found, problems.values(), strict=True):
        hint = f"Context: {raw['hint']}\n" if raw["hint"] else ""
        assert row["question"].startswith(f"{hint}{raw['question']}\nA. {raw['choices'][0]}\nB. ")
        assert row["choices"][ord(row["answers"][0]) - 65] == raw["choices"][raw["answer"]]
        assert prompts.decode(row["images"])[0].size > (1, 1)


def test_real_mmmu_rows(tmp_path: Path) -> None:
    folder = SAMPLES / "mmmu_pro_tool"
    raws = [json.loads(line) for line in (folder / "data_sample.jsonl").read_text().splitlines()]
    rows = []
    for number, raw in enumerate(raws):
        images = {key: value for key, value in raw.items() if key.startswith("image_")}
        row = {"id": f"validation_Music_{number:02}", "options": str(raw["options"]), "topic_difficulty": "Easy"}
        row |= {"question": raw["question"], "answer": raw["answer"], "question_type": "multiple-choice"}
        row |= {key: {"bytes": (folder / value).read_bytes(), "path": None} for key, value in images.items()}
        rows.append({**row, "subfield": "Music"})
    _hub(tmp_path, "mmmu", rows)
    found = _found("mmmu", tmp_path)
    assert max(len(row["images"]) for row in found) == 5
    for row, raw in zip(found, raws, strict=True):
        assert row["choices"] == raw["options"] and row["answers"] == [raw["answer"]]
        assert row["chance"] == 1 / len(raw["options"])
        # The k-th image stands where `<image k>` was first mentioned.
        mentioned = list(dict.fromkeys(re.findall(r"<image (\d)>", raw["question"] + str(raw["options"]))))
        assert [str(number + 1) for number in prompts.content(row["question"], len(row["images"]))[1]] == mentioned


def test_real_chartqa_rows(tmp_path: Path) -> None:
    raws = json.loads((SAMPLES / "chartqa_textonly" / "test_human_sample.json").read_text())
    rows = [
        {"type": "human_test", "question": raw["query"], "answer": raw["label"], "image": picture(1)} for raw in raws
    ]
    _hub(tmp_path, "chartqa", [{**row, "image": picture(1)} for row in rows])
    for row, raw in zip(_found("chartqa", tmp_path), raws, strict=True):
        assert row["question"] == f"{raw['query']}\nAnswer the question with a single word."
        assert row["answers"] == [raw["label"]]


def test_real_pope_rows(tmp_path: Path) -> None:
    rows = []
    for path in sorted((SAMPLES / "pope_textonly").glob("coco_pope_*.json")):
        for raw in map(json.loads, path.read_text().splitlines()):
            row = {"id": str(len(rows)), "question_id": str(raw["question_id"]), "image_source": raw["image"]}
            row |= {"question": raw["text"], "answer": raw["label"], "category": path.stem.split("_")[2]}
            rows.append({**row, "image": picture(len(rows))})
    _hub(tmp_path, "pope", rows)
    found = _found("pope", tmp_path)
    assert [row["answers"] for row in found] == [[row["answer"]] for row in rows]
    assert {row["category"] for row in found} == {"adversarial", "popular", "random"}
    assert len({row["sample_id"] for row in found}) == len(rows)  # question_id counts anew in each setting


def test_real_ocrbench_file(tmp_path: Path) -> None:
    raws = json.loads((SAMPLES / "ocrbench_textonly" / "OCRBench_sample.json").read_text())
    (tmp_path / "OCRBench.json").write_text(json.dumps(raws))
    images = [_png(tmp_path / "OCRBench_Images" / raw["image_path"]) for raw in raws]
    found = _found("ocrbench", tmp_path)
    for row, raw, image in zip(found, raws, images, strict=True):
        assert row["question"] == raw["question"].strip() and row["images"] == [image]
        assert row["answers"] == (raw["answers"] if isinstance(raw["answers"], list) else [raw["answers"]])
        assert (row["category"], row["metadata"]["dataset"]) == (raw["type"], raw["dataset_name"])


def test_real_hallusionbench_file(tmp_path: Path) -> None:
    raws = json.loads((SAMPLES / "hallusionbench_textonly" / "HallusionBench_sample.json").read_text())
    (tmp_path / "HallusionBench.json").write_text(json.dumps(raws))
    raws = [raw for raw in raws if raw["filename"]]
    for raw in raws:
        _png(tmp_path / raw["filename"])
    found = {row["sample_id"]: row for row in _found("hallusionbench", tmp_path)}
    assert len(found) == len(raws)  # those without an image are left out
    for raw in raws:
        keys = ("category", "subcategory", "set_id", "figure_id", "question_id")
        row = found["_".join(raw[key] for key in keys)]
        assert row["question"] == raw["question"]
        assert row["answers"] == ["yes" if raw["gt_answer"] == "1" else "no"]
