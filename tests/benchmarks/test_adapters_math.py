"""The math benchmarks' entries: prompts, answers and what aggregates need, on miniatures in their true schema."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from datasets import Dataset

from pruning_regimes import scoring
from pruning_regimes.benchmarks import registry
from pruning_regimes.benchmarks.adapters import dynamath, geometry3k, geoqa, iconqa, mathverse, wemath
from pruning_regimes.inference import prompts
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.scoring import aggregates
from tests.helpers import miniatures
from tests.helpers.asked import all_right, answered, load, rows
from tests.helpers.miniatures.general import picture
from tests.helpers.miniatures.math import MATH, UPSTREAM

N = 14
NAMES = (*MATH, *UPSTREAM)
LETTER = "Answer with the option's letter from the given choices directly."
SELECT = "Please select the correct answer from the options above. \n"
PHRASE = "Answer the question using a single word or phrase."
FLOATING = "Answer the question using a single floating-point number with"
STEPS = 'Please solve the problem step by step and put your answer in one "\\boxed{}".'
OPTIONS = "Rod 0 is twice as long as AB. Find AB.\nChoices:\nA:3°\nB:6, or 7\nC:9°\nD:1°"
FREE = "Rod 1 is twice as long as AB. Find AB."
CUBES = "A. 4\nB. 5\nC. 6"
DYNAMATH = (
    "## Question\n {}\n\n## Answer Instruction\nPlease provide an answer to the question outlined above. Your response "
    "should adhere to the following JSON format, which includes two keys: 'solution' and 'short answer'. The "
    "'solution' key can contain detailed steps needed to solve the question, and the 'short answer' key should "
    "provide a concise response. The 'short answer' should be {}\n\nExample of expected JSON response format:\n\n{{\n"
    '    "solution": "[Detailed step-by-step explanation]",\n    "short answer": "[Concise Answer]"\n}}'
)
ICONQA = "Given a set of images and a question, please provide the answer to the question.\nQuestion: Which is {}.\n"
GEOQA = "AB, CD, angle 0: find it ()"
VISION = {
    "lmms-eval": [
        (
            0,
            f"{STEPS}How many cubes has pile 0?\n<image 1>\nChoices: {CUBES}\n"
            "Answer the question with the option's letter from the given choices directly.",
        ),
        (2, f"{STEPS}How many cubes has pile 2?\n<image 1>"),
    ],
    "vlmevalkit": [
        (0, f"Question: How many cubes has pile 0?\n<image 1>\nOptions:\n{CUBES}\n{SELECT}"),
        (2, "How many cubes has pile 2?\n<image 1>"),
    ],
    "direct": [
        (0, f"How many cubes has pile 0?\n<image 1>\n{CUBES}\n{LETTER}"),
        (2, f"How many cubes has pile 2?\n<image 1>\n{PHRASE}"),
    ],
}

# The whole prompt of the row that shows an image first, by benchmark and preset.
PROMPTS: dict[str, dict[str, list[tuple[int, str]]]] = {
    "mathvista": {
        "lmms-eval": [
            (0, f"How long is rod 0?\nA. 10\nB. 20\nC. 15\n{LETTER}"),
            (1, "How long is rod 1? (Unit: cm)\nAnswer the question using a single integer number."),
            (2, f"How long is rod 2?\n{FLOATING} one decimal place."),
            (3, f"How long is rod 3?\n{FLOATING} two decimal places."),
            (4, "How long is rod 4?\nAnswer the question using a Python list."),
        ],
        "vlmevalkit": [(0, "Hint: Tell.\nQuestion: How long is rod 0?")],
    },
    "mathverse": {
        "lmms-eval": [(0, f"Directly.\nQuestion: {OPTIONS}"), (5, f"Directly.\nQuestion: {FREE}")],
        "vlmevalkit": [(0, OPTIONS), (5, FREE)],
        "vlmevalkit-cot": [(0, f"Reason first.\nQuestion: {OPTIONS}")],
    },
    "mathvision": VISION,
    "mathvision_testmini": VISION,
    "wemath": {
        "lmms-eval": [(0, "What is area 0?\nA. 5 cm;B．6; C、x = 1; y;D: 8")],
        "vlmevalkit": [(0, f"Question: What is area 0?\nOptions:\nA. 5 cm\nB. 6\nC. x = 1; y\nD. 8\n{SELECT}")],
        "direct": [(1, f"What is area 1?\nA. ①\nB. ②\nC. No correct answer\n{LETTER}")],
    },
    "dynamath": {
        "vlmevalkit": [
            (0, DYNAMATH.format("What is 1 + 0?", "a three-digit floating-point number.")),
            (1, DYNAMATH.format("Is it 1? choice: (A) Yes (B) No (C) Both ", "the letter of the right option.")),
            (2, DYNAMATH.format("Where is it?", "a word or phrase.")),
        ],
        "lmms-eval": [(100, "What is 2 + 0?")],
    },
    "geometry3k": {"lmms-eval": [(0, f"Find x0.\nA. 4\nB. 2 \\sqrt {{ 3 }}\nC. 9\nD. 1\n{LETTER}")]},
    "clevr_math": {"plain": [(3, f"Add 3 cubes to none. How many objects are there?\n{PHRASE}")]},
    "iconqa": {
        "lmms-eval": [
            (
                0,
                ICONQA.format(0) + "Options:\nA. The first image.\nB. The second image.\n"
                "Please answer with the option letter from the given choices directly.",
            ),
            (2, ICONQA.format(2) + "Please answer the question using a single word or phrase."),
        ]
    },
    "tabmwp": {
        "plain": [
            (0, f"What costs 0? (Unit: $)\n{PHRASE}"),
            (1, f"What costs 1?\n{PHRASE}"),
            (2, f"What costs 2?\nA. Bob\nB. Ann\n{LETTER}"),
        ]
    },
    "geoqa": {
        "g-llava": [
            (
                0,
                "\nFirst perform reasoning, then select in the following format: Answer: xxx.\n"
                f"Question:{GEOQA}\nChoices:\nA:40°\nB:60°\nC:80°",
            )
        ],
        "direct": [(0, f"{GEOQA}\nA. 40°\nB. 60°\nC. 80°\n{LETTER}")],
    },
}
PRESETS = [(name, preset) for name, presets in PROMPTS.items() for preset in presets]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Loads a math benchmark from its miniature, once per preset."""
    folder = tmp_path_factory.mktemp("math")

    @cache
    def loaded(name: str, prompt: str | None = None) -> pl.DataFrame:
        if not (folder / name).exists():
            miniatures.write(name, folder / name, N)
        return load(name, folder / name, **({"prompt": prompt} if prompt else {}))

    return loaded


def _showing(questions: pl.DataFrame, image: int) -> dict[str, Any]:
    """The row that shows an image first."""
    shown = picture(image)["bytes"]
    (row,) = [row for row in rows(questions) if row["images"][0] == shown]
    return row


def test_every_math_benchmark_is_tested() -> None:
    names = {name for name in registry.names() if registry.entry(name)["group"] == "math"}
    assert names == set(NAMES) == set(PROMPTS)
    assert set(miniatures.NAMES) == set(registry.names())
    for name in names:
        assert list(registry.entry(name)["prompts"]) == list(PROMPTS[name])


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_prompts(local: Any, name: str, preset: str) -> None:
    for image, text in PROMPTS[name][preset]:
        assert _showing(local(name, preset), image)["question"] == text


@pytest.mark.parametrize("name", NAMES)
def test_every_row_can_be_asked_and_scored(local: Any, name: str) -> None:
    questions = local(name)
    assert len(questions) == (2 * N if name == "dynamath" else N)
    assert questions["question"].to_list() == local(name, next(iter(PROMPTS[name])))["question"].to_list()
    assert questions["sample_id"].n_unique() == len(questions)
    scoring.check(name, questions)
    for row in rows(questions):
        assert row["images"] and prompts.decode(row["images"])[0].size >= (28, 28)
        assert row["metadata"]["question"]
        assert row["chance"] == (pytest.approx(1 / len(row["choices"])) if row["choices"] else 0.0)
    # The reference answer is right, in both modes, and every aggregate finds what it needs.
    answers = [row["answers"][0] for row in questions.iter_rows(named=True)]
    for mode in scoring.MODES:
        form = WITH_FORM.get((name, mode), "{}")
        said = answered(questions, [form.format(answer) for answer in answers])
        scores = scoring.score(questions, said, mode=mode)
        assert scores["score"].to_list() == [1.0] * len(questions), mode
    found = aggregates.metrics(questions, scores, registry.entry(name)["metrics"])
    assert set(found.filter(pl.col("metric").str.contains("accuracy"))["value"]) == {1.0}


# What the benchmark's own code needs around an answer to find it.
WITH_FORM = {("geoqa", "upstream"): "Answer: {}", ("dynamath", "upstream"): '{{"short answer": "{}"}}'}


def test_mathvista(local: Any) -> None:
    row = _showing(local("mathvista"), 3)
    assert (row["choices"], row["answers"], row["chance"], row["answer_type"]) == (None, ["0.25"], 0.0, "mathvista")
    assert (row["sample_id"], row["category"]) == ("4", "figure question answering")
    kept = {key: row["metadata"][key] for key in ("question_type", "answer_type", "precision", "unit", "source")}
    assert kept == dict(question_type="free_form", answer_type="float", precision=2.0, unit=None, source="Ours")
    row = _showing(local("mathvista"), 0)
    assert (row["choices"], row["answers"]) == (["10", "20", "15"], ["20"])


def test_mathverse(local: Any) -> None:
    row = _showing(local("mathverse"), 1)
    assert (row["choices"], row["answers"], row["chance"]) == (["3°", "6, or 7", "9°", "1°"], ["B"], 0.25)
    assert (row["sample_id"], row["category"], row["answer_type"]) == ("2", "Text Lite", "mathverse")
    assert (row["metadata"]["problem_index"], row["metadata"]["subfield"]) == ("1", "Length")
    row = _showing(local("mathverse"), 5)
    assert (row["choices"], row["answers"], row["chance"]) == (None, [r"\frac{3}{2}"], 0.0)
    assert _showing(local("mathverse"), 6)["choices"] == [""] * 4


def test_two_right_options_raise_chance(tmp_path: Path) -> None:
    row = MATH["mathverse"](1).to_list()[0] | {"answer": "A\nC"}
    Dataset.from_list([row], features=MATH["mathverse"](1).features).to_parquet(tmp_path / "testmini.parquet")
    found = rows(load("mathverse", tmp_path))[0]
    assert (found["answers"], found["chance"]) == (["A", "C"], 0.5)


def test_mathvision(local: Any) -> None:
    row = _showing(local("mathvision"), 1)
    assert (row["choices"], row["answers"], row["chance"]) == (list("ABCDE"), ["D"], 0.2)
    assert (row["category"], row["metadata"]["level"], row["answer_type"]) == ("counting", 2, "mathvision")
    row = _showing(local("mathvision"), 2)
    assert (row["choices"], row["answers"], row["chance"]) == (None, ["12"], 0.0)
    assert prompts.content(row["question"], 1)[1] == [0]


def test_wemath(local: Any) -> None:
    row = _showing(local("wemath"), 2)
    assert (row["choices"], row["answers"]) == (["5 cm", "6", "x = 1; y", "8"], ["C"])
    assert (row["sample_id"], row["category"], row["answer_type"]) == (
        "2steps_0-2steps_multi",
        "2steps_multi",
        "letter",
    )
    assert (row["metadata"]["ID"], row["metadata"]["key"]) == ("2steps_0", "2steps_multi")
    found = aggregates.metrics(local("wemath"), all_right(local("wemath")), ["wemath"])
    assert dict(found.select("metric", "n").iter_rows())["wemath_score_strict"] == 4
    assert dict(found.select("metric", "value").iter_rows())["wemath_cm_strict"] == 1.0


def test_dynamath(local: Any) -> None:
    row = _showing(local("dynamath"), 101)
    assert (row["choices"], row["answers"], row["chance"]) == (["Yes", "No", "Both"], ["B"], pytest.approx(1 / 3))
    assert (row["sample_id"], row["category"], row["answer_type"]) == ("1-2", "counting", "dynamath")
    assert (row["metadata"]["question_id"], row["metadata"]["variant"]) == ("1", 2)
    assert _showing(local("dynamath"), 100)["choices"] is None
    # A question that is wrong in one variant is wrong in the worst case.
    scores = all_right(local("dynamath")).with_columns(
        score=pl.when(pl.col("sample_id") == "1-2").then(0.0).otherwise("score")
    )
    found = aggregates.metrics(local("dynamath"), scores, ["dynamath"])
    values = dict(found.select("metric", "value").iter_rows())
    assert values["worst_case"] == pytest.approx(1 - 1 / N) and values["average"] == pytest.approx(1 - 1 / (2 * N))


def test_geometry3k_and_clevr_math(local: Any, tmp_path: Path) -> None:
    row = _showing(local("geometry3k"), 3)
    assert (row["answers"], row["chance"], row["answer_type"]) == (["B"], 0.25, "letter_geometry3k")
    assert (row["sample_id"], row["metadata"]["id"], row["category"]) == ("000003", 2403, "all")
    # Copies without options ask for the value.
    table = MATH["geometry3k"](2).remove_columns(["choices", "ground_truth", "id"])
    (tmp_path / "data").mkdir()
    table.to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    row = _showing(load("geometry3k", tmp_path), 1)
    assert (row["choices"], row["answers"], row["chance"]) == (None, [r"2 \sqrt { 3 }"], 0.0)
    assert (row["answer_type"], row["question"]) == ("number_math", f"Find x1.\n{PHRASE}")
    row = _showing(local("clevr_math"), 0)
    assert (row["answers"], row["answer_type"], row["category"]) == (["0"], "word", "subtraction")


def test_iconqa(local: Any) -> None:
    row = _showing(local("iconqa"), 0)
    assert row["images"] == [picture(number)["bytes"] for number in (0, 50, 51)]
    assert (row["choices"], row["answers"]) == (iconqa.IMAGES, ["B"])
    assert (row["chance"], row["answer_type"], row["category"]) == (0.5, "letter", "choose_img")
    row = _showing(local("iconqa"), 1)
    assert (row["choices"], row["answers"]) == (["star", "moon", "sun"], ["B"])
    row = _showing(local("iconqa"), 2)
    assert (row["choices"], row["answers"], row["chance"], row["answer_type"]) == (None, ["8"], 0.0, "word")


def test_upstream_files(local: Any) -> None:
    row = _showing(local("tabmwp"), 2)
    assert (row["choices"], row["answers"], row["chance"], row["answer_type"]) == (
        ["Bob", "Ann"],
        ["Ann"],
        0.5,
        "tabmwp",
    )
    assert (row["sample_id"], row["category"]) == ("3", "extractive_text")
    assert (row["metadata"]["ques_type"], row["metadata"]["ans_type"]) == ("multi_choice", "extractive_text")
    assert _showing(local("tabmwp"), 0)["metadata"]["unit"] == "$"
    row = _showing(local("geoqa"), 2)
    assert (row["choices"], row["answers"], row["answer_type"]) == (["40°", "60°", "80°"], ["C"], "letter_geoqa")
    assert row["sample_id"] == "2"


@pytest.mark.parametrize("name", ["mathvista", "mathverse", "geometry3k"])
def test_a_copy_saved_to_disk_is_the_same(local: Any, tmp_path: Path, name: str) -> None:
    MATH[name](N).save_to_disk(tmp_path)
    assert load(name, tmp_path).equals(local(name))


def test_the_split_of_another_config_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "multihop").mkdir()
    MATH["clevr_math"](2).to_parquet(tmp_path / "multihop" / "test-00000-of-00001.parquet")
    with pytest.raises(DataError, match=r"holds no copy of CLEVR-Math; expected general/test-\*\.parquet in it"):
        load("clevr_math", tmp_path)
    shutil.move(tmp_path / "multihop", tmp_path / "data")
    assert len(load("clevr_math", tmp_path)) == 2


def test_errors_of_adapters() -> None:
    with pytest.raises(DataError, match=r"the name of 'test\.parquet' does not tell the variant"):
        dynamath.convert({"_file": "test.parquet", "id": 1})
    with pytest.raises(DataError, match="GeoQA's question '7' holds no options"):
        geoqa.convert({"question_id": 7, "text": "Question: x?"})
    row = {"id": 1, "answer_type": "float"}
    for file, variant in {"trial3/data/sample12-00000-of-00001.parquet": 12, "sample1/trial4/dataset.json": 4}.items():
        assert dynamath.convert({**row, "_file": file})["variant"] == variant
    row = {"question_id": "7", "ques_type": "choose_txt", "choices": "a,b", "answer": "c"}
    with pytest.raises(DataError, match="IconQA's question '7': the answer 'c' is none of its options"):
        iconqa.convert(row)
    with pytest.raises(DataError, match="is none of its options"):
        iconqa.convert({**row, "label": 2})
    assert iconqa.convert({**row, "label": 0})["gold"] == "A"
    assert geometry3k.convert({"choices": [], "answer": "4", "ground_truth": "A"})["gold"] == "4"
    assert mathverse.convert({"question_type": "multi-choice", "question": "x", "answer": "D"})["options"] == [""] * 4
    row = {"question_type": "multi-choice", "question": "x\nA:1\nB:2\nC:3"}
    assert [mathverse.convert({**row, "answer": answer})["answers"] for answer in ("(C)", "A\nC")] == [
        ["C"],
        ["A", "C"],
    ]
    row = {"question_type": "multi-choice", "question": "x\nChoices:\nA.$x$\nB.One", "answer": "B"}
    assert mathverse.convert(row)["options"] == ["$x$", "One"]
    text = "A. ①;B．②; C、a.b: c;D: E 4"
    assert wemath.convert({"option": text, "ID": "1", "key": "k"})["options"] == ["①", "②", "a.b: c", "E 4"]


def test_answers_have_to_be_options(tmp_path: Path) -> None:
    table = MATH["wemath"](1).to_list()[0] | {"answer": "F"}
    (tmp_path / "data").mkdir()
    rows = Dataset.from_list([table], features=MATH["wemath"](1).features)
    rows.to_parquet(tmp_path / "data" / "testmini-00000-of-00001.parquet")
    with pytest.raises(DataError, match="question '2steps_0-2steps_1': the answer 'F' is no letter of its 4 options"):
        load("wemath", tmp_path)


def test_missing_answers_and_images_are_named(tmp_path: Path) -> None:
    miniatures.write("geoqa", tmp_path, 2)
    (tmp_path / "test" / "1.png").unlink()
    with pytest.raises(DataError, match=r"The image 'test/1\.png' is not in"):
        load("geoqa", tmp_path)
    (tmp_path / "test_answers.jsonl").write_text('{"question_id": 0, "text": "A"}\n')
    (tmp_path / "test" / "1.png").write_bytes(picture(1)["bytes"])
    with pytest.raises(DataError, match="GeoQA, question '1': the column 'answer' is empty"):
        load("geoqa", tmp_path)
