"""The general benchmarks' entries: prompts, answers and what aggregates need, on miniatures in their true schema."""

from __future__ import annotations

from functools import cache
from typing import Any

import polars as pl
import pytest

from pruning_regimes import benchmarks, scoring
from pruning_regimes.benchmarks import registry
from pruning_regimes.benchmarks.adapters import inline, mmbench, mmmu, mmstar, realworldqa
from pruning_regimes.inference import prompts
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.scoring import aggregates
from tests.helpers import miniatures
from tests.helpers.asked import answered, rows
from tests.helpers.miniatures.general import GENERAL, picture

N = 12
LETTER = "Answer with the option's letter from the given choices directly"
SELECT = "Please select the correct answer from the options above. \n"
PHRASE = "Answer the question using a single word or phrase."
SHAPES = "A. a red circle\nB. a blue square\nC. a green star\nD. a grey moon"
SCENES_0 = ["a red circle", "a blue square", "a green star", "a grey moon"]
SHAPE = "Which shape is on the left in picture 0?"
MCQ = f"Question: {SHAPE}\nOptions:\n{SHAPES}\n{SELECT}"
CROSSING = "How many signs are at crossing 2?"
MMMU_ITEM = "What does <image 1> show, at <image 2>?"

# The whole prompt of the first row that shows an image, by benchmark and preset.
PROMPTS: dict[str, dict[str, list[tuple[int, str]]]] = {
    "scienceqa": {
        "lmms-eval": [
            (0, f"{SHAPE}\n{SHAPES}\n{LETTER}."),
            (1, f"Context: Lamps and boats float.\nIs the lamp on in picture 1?\nA. on\nB. off\n{LETTER}."),
        ],
        "vlmevalkit": [
            (0, MCQ),
            (
                1,
                "Hint: Lamps and boats float.\nQuestion: Is the lamp on in picture 1?\nOptions:\n"
                f"A. on\nB. off\n{SELECT}",
            ),
        ],
    },
    "chartqa": {
        "lmms-eval": [(0, "What is bar 0?\nAnswer the question with a single word.")],
        "vlmevalkit": [(0, f"What is bar 0?\n{PHRASE}")],
    },
    "realworldqa": {
        "lmms-eval": [
            (
                0,
                f"{SHAPE}\n\n{SHAPES}\n"
                "Please answer directly with only the letter of the correct option and nothing else.",
            ),
            (2, f"{CROSSING}\nPlease answer directly with a single word or number."),
        ],
        "vlmevalkit": [(0, MCQ), (2, f"Question: {CROSSING}\n")],
    },
    "ai2d": {"lmms-eval": [(0, f"{SHAPE}\n{SHAPES}\n{LETTER}.")], "vlmevalkit": [(0, MCQ)]},
    "mmmu": {
        "lmms-eval": [
            (1, f"{MMMU_ITEM}\nA. a tuba\nB. a player's drum\n\n{LETTER}."),
            (11, f"Which follows <image 1>?\nA. <image 3>\nB. <image 2>\nC. <image 4>\n\n{LETTER}."),
            (21, f"<image 1> Find the slope.\n\n{PHRASE}"),
        ],
        "vlmevalkit": [
            (1, f"Question: {MMMU_ITEM}\nOptions:\nA. a tuba\nB. a player's drum\n{SELECT}"),
            (21, "Question: <image 1> Find the slope.\n"),
        ],
    },
    "mmstar": {
        "lmms-eval": [
            (0, f"{SHAPE}\nOptions: A: a red circle, B: a blue square, C: a green star, D: a grey moon\n{LETTER}")
        ],
        "vlmevalkit": [(0, MCQ), (4, f"Question: Is the lamp on in picture 4?\n{SELECT}")],
    },
    "mmbench": {
        "lmms-eval": [
            (0, f"{SHAPE} There are several options:\n{SHAPES}\n\n{LETTER}."),
            (1, f"It is night. Is the lamp on in picture 1? There are several options:\nA. on\nB. off\n\n{LETTER}."),
        ],
        "vlmevalkit": [
            (0, MCQ),
            (1, f"Hint: It is night.\nQuestion: Is the lamp on in picture 1?\nOptions:\nA. on\nB. off\n{SELECT}"),
        ],
    },
    "textvqa": {
        "plain": [(0, f"what does NIKE say?\n{PHRASE}")],
        "lmms-eval": [(0, f"What does nike say?\n{PHRASE}")],
        "vlmevalkit": [(0, f"what does NIKE say?\n{PHRASE}")],
    },
    "docvqa": dict.fromkeys(("lmms-eval", "vlmevalkit"), [(0, f"What is the date?\n{PHRASE}")]),
    "ocrbench": {
        "lmms-eval": [(0, "what is written in the image?")],
        "vlmevalkit": [(0, "what is written in the image? ")],
    },
    "pope": {
        "lmms-eval": [(0, f"Is there a kite0 in the image?\n{PHRASE}")],
        "vlmevalkit": [(0, "Is there a kite0 in the image?")],
    },
    "mme": {
        "lmms-eval": [(0, f"Is there a boat in picture 0?\n{PHRASE}")],
        "vlmevalkit": [(0, "Is there a boat in picture 0? Please answer yes or no.")],
    },
    "hallusionbench": dict.fromkeys(("lmms-eval", "vlmevalkit"), [(0, "Is bar 0 longer?")]),
    "seedbench": {"lmms-eval": [(0, f"{SHAPE}\n{SHAPES}\n{LETTER}.")], "vlmevalkit": [(0, MCQ)]},
    "vqav2": {"lmms-eval": [(0, f"Is it 0?\n{PHRASE}")]},
    "gqa": dict.fromkeys(("lmms-eval", "vlmevalkit"), [(0, f"Is 0 wooden?\n{PHRASE}")]),
}
PRESETS = [(name, preset) for name, presets in PROMPTS.items() for preset in presets]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Loads a general benchmark from its miniature, once per preset; rows in the order of the miniature."""
    folder = tmp_path_factory.mktemp("general")

    @cache
    def load(name: str, prompt: str | None = None) -> pl.DataFrame:
        directory = folder / name
        if not directory.exists():
            miniatures.write(name, directory, N)
        entry = {"source": "public", "benchmark": name, "path": str(directory)}
        if prompt:
            entry["prompt"] = prompt
        return benchmarks.load(name, entry, seed=0)

    return load


def _rows(questions: pl.DataFrame) -> list[dict[str, Any]]:
    return rows(questions.sort("sample_id"))


def _showing(questions: pl.DataFrame, image: int) -> dict[str, Any]:
    """The first row that shows an image first."""
    shown = picture(image)["bytes"]
    return next(row for row in _rows(questions) if row["images"][0] == shown)


def test_every_general_benchmark_is_tested() -> None:
    general = {name for name in registry.names() if registry.entry(name)["group"] == "general"}
    assert general == set(GENERAL) == set(PROMPTS)
    for name in general:
        assert list(registry.entry(name)["prompts"]) == list(PROMPTS[name])


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_prompts(local: Any, name: str, preset: str) -> None:
    for image, text in PROMPTS[name][preset]:
        assert _showing(local(name, preset), image)["question"] == text


@pytest.mark.parametrize("name", GENERAL)
def test_every_row_can_be_asked_and_scored(local: Any, name: str) -> None:
    questions = local(name)
    assert len(questions) == N
    assert questions["question"].to_list() == local(name, next(iter(PROMPTS[name])))["question"].to_list()
    assert questions["sample_id"].n_unique() == N
    scoring.check(name, questions)
    for row in _rows(questions):
        assert row["images"] and row["metadata"]["question"]
    # The reference answer is right, in both modes, and every aggregate finds what it needs.
    answers = [row["answers"][0] for row in questions.iter_rows(named=True)]
    for mode in scoring.MODES:
        scores = scoring.score(questions, answered(questions, answers), mode=mode)
        # Three annotators of ten must agree.
        assert scores["score"].to_list() == [1.0] * N, mode
    found = aggregates.metrics(questions, scores, registry.entry(name).get("metrics", ()))
    assert set(found.filter(pl.col("metric").str.contains("accuracy|acc|Acc|f1"))["value"]) == {1.0}


def test_options_their_letters_and_chance(local: Any) -> None:
    row = _showing(local("scienceqa"), 4)  # the second option of ["on", "off"]
    assert (row["choices"], row["answers"], row["chance"]) == (["on", "off"], ["B"], 0.5)
    assert (row["answer_type"], row["category"]) == ("letter_sqa", "social science")
    row = _showing(local("ai2d"), 5)
    assert (row["choices"], row["answers"], row["chance"]) == (["two", "three", "five"], ["B"], pytest.approx(1 / 3))
    assert row["answer_type"] == "letter_ai2d"
    row = _showing(local("seedbench"), 3)
    assert (row["answers"], row["chance"], row["answer_type"]) == (["D"], 0.25, "letter_first")
    assert (row["category"], row["metadata"]["question_type_id"]) == ("Instance Location", 4)


def test_open_answers(local: Any) -> None:
    row = _showing(local("chartqa"), 0)
    assert (row["choices"], row["answers"], row["chance"]) == (None, ["0.5"], 0.0)
    assert (row["answer_type"], row["category"], row["metadata"]["type"]) == ("relaxed", "human_test", "human_test")
    row = _showing(local("textvqa"), 1)
    assert row["answers"] == ["NIKE 1"] * 7 + ["nike", "unanswerable", "Nike air"]
    assert (row["sample_id"], row["answer_type"], row["chance"]) == ("34603", "vqa", 0.0)
    row = _showing(local("vqav2"), 2)
    assert row["answers"] == ["a pier"] * 8 + ["no idea", "boat"]
    assert (row["category"], row["sample_id"]) == ("other", "262148002")
    row = _showing(local("docvqa"), 0)
    assert (row["answers"], row["answer_type"], row["category"]) == (["0 May", "May 0"], "anls", "table/list")
    assert _showing(local("docvqa"), 2)["category"] == "unknown"
    row = _showing(local("ocrbench"), 1)
    assert (row["answers"], row["metadata"]["dataset"]) == ([r"\frac { 1 } { 2 }"], "HME100k")
    assert row["category"] == row["metadata"]["question_type"] == "Handwritten Mathematical Expression Recognition"


def test_yes_and_no(local: Any) -> None:
    row = _showing(local("pope"), 3)
    assert (row["answers"], row["chance"], row["answer_type"], row["category"]) == (
        ["no"],
        0.5,
        "yesno_pope",
        "popular",
    )
    first, second = [row for row in _rows(local("mme")) if row["images"] == [picture(1)["bytes"]]]
    assert (first["answers"], second["answers"], first["answer_type"]) == (["yes"], ["no"], "yesno_mme")
    assert first["metadata"]["pair"] == second["metadata"]["pair"] == "count/count/0001.png"
    row = _showing(local("hallusionbench"), 7)
    assert (row["answers"], row["chance"], row["answer_type"]) == (["yes"], 0.5, "yesno_hallusion")
    keys = ("category", "subcategory", "set_id", "figure_id", "question_id")
    assert [row["metadata"][key] for key in keys] == ["VS", "chart", "1", "1", "1"]
    assert (row["sample_id"], row["metadata"]["set"]) == ("VS_chart_1_1_1", "VS_chart_1")


def test_realworldqa_has_letters_and_words(local: Any) -> None:
    row = _showing(local("realworldqa"), 4)
    assert (row["choices"], row["answers"], row["chance"]) == (["on", "off"], ["B"], 0.5)
    assert (row["answer_type"], row["category"]) == ("letter_lmms", "multiple-choice")
    row = _showing(local("realworldqa"), 5)
    assert (row["choices"], row["answers"], row["chance"], row["answer_type"]) == (None, ["5"], 0.0, "exact")


def test_mmmu_interleaves_images_and_reads_lists(local: Any) -> None:
    row = _showing(local("mmmu"), 1)
    assert (row["choices"], row["answers"], row["chance"]) == (["a tuba", "a player's drum"], ["B"], 0.5)
    assert (row["answer_type"], row["category"], row["metadata"]["subfield"]) == ("letter_mmmu", "Music", "Scales")
    row = _showing(local("mmmu"), 11)
    assert row["images"] == [picture(10 + number)["bytes"] for number in (1, 2, 3, 4)]
    parts, order = prompts.content(row["question"], 4)
    assert order == [0, 2, 1, 3]
    kinds = [part.get("text", "image") for part in parts]
    assert kinds[:5] == ["Which follows", "image", "?\nA.", "image", "B."]
    row = _showing(local("mmmu"), 31)
    assert (row["choices"], row["answers"], row["chance"]) == (None, ["1/2", "0.5"], 0.0)
    assert (row["answer_type"], row["metadata"]["question_type"]) == ("mmmu_open", "open")
    assert _showing(local("mmmu"), 41)["category"] == "Energy_and_Power"


def test_mmmu_options_are_read_without_running_them() -> None:
    row = {"id": "validation_Art_1", "question_type": "multiple-choice", "answer": "A"}
    with pytest.raises(DataError, match="validation_Art_1"):
        mmmu.convert({**row, "options": "[__import__('os').getcwd()]"})
    with pytest.raises(DataError, match="expected to be a list"):
        mmmu.convert({**row, "options": "{'a': 1}"})
    assert mmmu.convert({**row, "options": "['[x]', 3]"})["options"] == ["[x]", "3"]


def test_mmstar_keeps_the_letters_where_options_cannot_be_read(local: Any) -> None:
    row = _showing(local("mmstar"), 0)
    assert (row["choices"], row["answers"], row["chance"]) == (SCENES_0, ["A"], 0.25)
    assert (row["category"], row["metadata"]["category"]) == ("geometry", "math")
    assert _showing(local("mmstar"), 7)["choices"] == ["on", "off"]  # "Choices:" and "(A)"
    assert _showing(local("mmstar"), 4)["choices"] == [""] * 4


def test_mmbench_rolls_share_a_base(local: Any) -> None:
    rolls = [row for row in _rows(local("mmbench")) if row["metadata"]["base"] == "2"]
    rolls.sort(key=lambda row: row["metadata"]["roll"])
    assert [row["images"] for row in rolls] == [[picture(2)["bytes"]]] * 3
    assert [row["metadata"]["roll"] for row in rolls] == [0, 1, 2]
    assert [row["sample_id"] for row in rolls] == ["2", "1000002", "2000002"]
    assert [row["choices"][ord(row["answers"][0]) - 65] for row in rolls] == ["two"] * 3
    assert all(row["chance"] == pytest.approx(1 / 3) for row in rolls)
    assert mmbench.convert({"index": 3000017}) == {"index": 3000017, "base": "17", "roll": 3}


def test_gqa_questions_find_their_images(local: Any) -> None:
    rows = _rows(local("gqa"))
    assert [row["images"] for row in rows] == [[picture(number // 2)["bytes"]] for number in range(N)]
    assert (rows[1]["answers"], rows[1]["answer_type"], rows[1]["category"]) == (["table"], "gqa", "query")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What?\nOptions: A: A cat, on a mat., B: 3, 4, C: None", ("What?", ["A cat, on a mat.", "3, 4", "None"])),
        ("Day?\nOptions: A: Yes\nB: No", ("Day?", ["Yes", "No"])),
        (
            "Give a letter, e.g., A, B.\nQuestion: How?\nChoices:\n(A) 1\n(B) 2",
            ("Give a letter, e.g., A, B.\nQuestion: How?", ["1", "2"]),
        ),
        ("Way?\n\nA. left\nB. right, B. or so\nC. on", ("Way?", ["left", "right, B. or so", "on"])),
        ("Pick\nOptions: A: Vitamin B: x, B: y C: z", ("Pick", ["Vitamin B: x", "y", "z"])),
        ("A. only one", ("A. only one", [])),
        ("Is A. B. near? ", ("Is A. B. near?", [])),
    ],
)
def test_options_within_a_question(text: str, expected: tuple[str, list[str]]) -> None:
    assert inline.split(text) == expected


def test_a_letter_beyond_the_options_read_means_that_they_were_misread() -> None:
    row = {"question": "Which?\nA. x\nB. y\nPlease answer directly with only the letter.", "answer": "C"}
    assert realworldqa.convert(row)["options"] == [""] * 4
    assert mmstar.convert({"question": "Which?\nOptions: A: x, B: y", "answer": "D"})["options"] == [""] * 4
