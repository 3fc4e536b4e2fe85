"""Miniatures of the math benchmarks: rows of our own making in each one's schema on the hub or in upstream's files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from datasets import Dataset, Features, Image, List, Value

from tests.helpers.miniatures.general import INT, TEXT, Miniature, Row, picture, texts

MATH: dict[str, Callable[[int], Miniature]] = {}
# Benchmarks that are not on the hub: functions that write upstream's files below a folder.
UPSTREAM: dict[str, Callable[[Path, int], None]] = {}

TASKS = ("geometry problem solving", "figure question answering")
VERSIONS = ("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")
SUBJECTS = ("algebra", "counting", "solid geometry")
WEMATH_KEYS = ("2steps_1", "2steps_2", "2steps_multi", "3steps_1", "3steps_2", "3steps_3", "3steps_multi")


def _miniature(features: Row, image: str | None = "image") -> Callable[[Callable[[int], Row]], Callable[[int], Row]]:
    """Registers a function from a row's number to the row; image: the column of the benchmark's one image."""
    features = {**features, image: Image()} if image else features

    def register(row: Callable[[int], Row]) -> Callable[[int], Row]:
        def made(n: int) -> Dataset:
            empty = dict.fromkeys(features)
            rows = [{**empty, **({image: picture(at)} if image else {}), **row(at)} for at in range(n)]
            return Dataset.from_list(rows, features=Features(features))

        MATH[row.__name__] = made
        return row

    return register


METADATA = {
    **texts("split", "language", "source", "category", "task", "context", "grade"),
    **{"img_width": INT, "img_height": INT, "skills": List(TEXT)},
}
MATHVISTA = {
    **texts("pid", "question", "image", "unit", "answer", "question_type", "answer_type", "query"),
    **{"choices": List(TEXT), "precision": Value("float64"), "metadata": METADATA},
}


@_miniature(MATHVISTA, "decoded_image")
def mathvista(number: int) -> Row:
    """In turn: options, an integer with a unit, numbers with one and two decimal places, a list."""
    kinds: tuple[Row, ...] = (
        {"question_type": "multi_choice", "answer_type": "text", "answer": "20", "choices": ["10", "20", "15"]},
        {"answer_type": "integer", "answer": "7", "unit": "cm"},
        {"answer_type": "float", "answer": "1.2", "precision": 1.0},
        {"answer_type": "float", "answer": "0.25", "precision": 2.0},
        {"answer_type": "list", "answer": "[3, 5]"},
    )
    about = {"split": "testmini", "task": TASKS[number % 2], "source": "Ours", "grade": "college", "skills": ["sums"]}
    row = {"question_type": "free_form", **kinds[number % len(kinds)], "pid": str(number + 1), "metadata": about}
    question = f"How long is rod {number}?"
    return {**row, "question": question, "image": f"images/{number}.jpg", "query": f"Hint: Tell.\nQuestion: {question}"}


MATHVERSE = {
    **texts("sample_index", "problem_index", "problem_version", "question", "answer", "question_type"),
    **{"metadata": texts("split", "source", "subject", "subfield"), **texts("query_wo", "query_cot")},
}


@_miniature(MATHVERSE)
def mathverse(number: int) -> Row:
    """Each problem in five versions; problems with options and without in turn; of the seventh row none can be read."""
    problem, version = divmod(number, len(VERSIONS))
    question, answer, kind = f"Rod {problem} is twice as long as AB. Find AB.", r"\frac{3}{2}", "free-form"
    if problem % 2 == 0:
        question, answer, kind = f"{question}\nChoices:\nA:3°\nB:6, or 7\nC:9°\nD:1°", "B", "multi-choice"
    elif number == 6:
        answer, kind = "C", "multi-choice"
    row = {"sample_index": str(number + 1), "problem_index": str(problem + 1), "problem_version": VERSIONS[version]}
    row |= {"question": question, "answer": answer, "question_type": kind}
    row |= {"query_wo": f"Directly.\nQuestion: {question}", "query_cot": f"Reason first.\nQuestion: {question}"}
    about = {"split": "testmini", "source": "Ours", "subject": "Plane Geometry", "subfield": "Length"}
    return {**row, "metadata": about}


MATHVISION = {
    **texts("id", "question", "image", "answer", "solution", "subject"),
    **{"options": List(TEXT), "level": INT},
}


@_miniature(MATHVISION, "decoded_image")
def mathvision(number: int) -> Row:
    """In turn: options, options that are letters, a value."""
    kinds: tuple[Row, ...] = (
        {"options": ["4", "5", "6"], "answer": "B"},
        {"options": list("ABCDE"), "answer": "D"},
        {"options": [], "answer": "12"},
    )
    row = {"id": str(number), "image": f"images/{number}.jpg", "level": 1 + number % 5, "subject": SUBJECTS[number % 3]}
    return {**row, **kinds[number % len(kinds)], "question": f"How many cubes has pile {number}?\n<image1>"}


MATH["mathvision_testmini"] = MATH["mathvision"]

WEMATH = {
    **texts("ID", "split", "knowledge concept", "question", "option", "answer", "key", "knowledge concept description"),
    **{"question number": INT},
}


@_miniature(WEMATH, "image_path")
def wemath(number: int) -> Row:
    """A problem of two steps and one of three in turn, each with its steps; options punctuated in several ways."""
    at, place = divmod(number, len(WEMATH_KEYS))
    key = WEMATH_KEYS[place]
    options = ("A. 5 cm;B．6; C、x = 1; y;D: 8", "A. ①;B．②;C. No correct answer")[number % 2]
    row = {"ID": f"{key[:6]}_{at}", "key": key, "question number": at, "knowledge concept": "Sums", "option": options}
    return {**row, "question": f"What is area {number}?", "answer": "CB"[number % 2], "split": "testmini"}


DYNAMATH = texts("id", "question", "image", "ground_truth", "answer_type", "subject", "knowledge_level")


def dynamath(n: int) -> Miniature:
    """n questions, each in two variants, which differ in their answers; a number, a letter and a text in turn."""
    found: dict[tuple[str, str], Dataset] = {}
    for variant in (1, 2):
        rows = []
        for number in range(n):
            kinds = (
                ("float", f"What is {variant} + {number}?", f"{variant + number}.0"),
                ("multiple choice", f"Is it {number}? choice: (A) Yes (B) No (C) Both ", "AB"[variant - 1]),
                ("text", "Where is it?", ("left", "right")[variant - 1]),
            )
            row = dict(zip(("answer_type", "question", "ground_truth"), kinds[number % 3], strict=True))
            row |= {"id": str(number), "image": f"image{number}.png", "subject": SUBJECTS[number % 3]}
            rows.append({**row, "knowledge_level": "college", "decoded_image": picture(100 * (variant - 1) + number)})
        found["default", f"sample{variant}"] = Dataset.from_list(
            rows, features=Features({**DYNAMATH, "decoded_image": Image()})
        )
    return found


MATH["dynamath"] = dynamath

GEOMETRY3K = {"images": List(Image()), **texts("problem", "answer", "ground_truth"), "id": INT, "choices": List(TEXT)}


@_miniature(GEOMETRY3K, None)
def geometry3k(number: int) -> Row:
    """The value is in `answer`, its letter in `ground_truth`; an image, marked where the question begins."""
    row = {"images": [picture(number)], "problem": f"<image>Find x{number}.", "id": 2400 + number}
    return {**row, "answer": r"2 \sqrt { 3 }", "choices": ["4", r"2 \sqrt { 3 }", "9", "1"], "ground_truth": "B"}


@_miniature({**texts("template", "id", "question"), "label": INT})
def clevr_math(number: int) -> Row:
    """Small numbers, also none."""
    row = {"template": ("subtraction", "addition")[number % 2], "id": f"CLEVR_{number}", "label": number % 11}
    return {**row, "question": f"Add {number % 11} cubes to none. How many objects are there?"}


ICONQA = {
    **texts("question_id", "question", "choices", "answer", "ques_type", "label", "grade", "skills"),
    **dict.fromkeys(("choice_image_0", "choice_image_1"), Image()),
}


@_miniature(ICONQA, "query_image")
def iconqa(number: int) -> Row:
    """In turn: images as options, told by their number, texts as options, a value."""
    kinds: tuple[Row, ...] = (
        {
            **{"ques_type": "choose_img", "choices": "choice_0.png,choice_1.png", "answer": "choice_1.png"},
            **{"label": "1", "choice_image_0": picture(50), "choice_image_1": picture(51)},
        },
        {"ques_type": "choose_txt", "choices": "star, moon,sun", "answer": "moon", "label": "1"},
        {"ques_type": "fill_in_blank", "choices": "", "answer": "8"},
    )
    row = {"question_id": str(number), "question": f"Which is {number}", "grade": "grade1", "skills": "counting"}
    return {**row, **kinds[number % len(kinds)]}


def tabmwp(directory: Path, n: int) -> None:
    """An object of problems by their id, and the image of each table."""
    kinds: tuple[Row, ...] = (
        {"answer": "3,151", "unit": "$", "ques_type": "free_text", "ans_type": "integer_number"},
        {"answer": "1.25", "unit": None, "ques_type": "free_text", "ans_type": "decimal_number"},
        {"answer": "Ann", "ques_type": "multi_choice", "ans_type": "extractive_text", "choices": ["Bob", "Ann"]},
    )
    empty: Row = {"choices": None, "unit": None, "table_title": None, "grade": 3, "split": "test"}
    problems = {
        str(number + 1): {**empty, **kinds[number % 3], "question": f"What costs {number}?", "table": "a | b"}
        for number in range(n)
    }
    folder = directory / "data" / "tabmwp"
    (folder / "tables").mkdir(parents=True)
    (folder / "problems_test1k.json").write_text(json.dumps(problems), encoding="utf-8")
    for number in range(n):
        (folder / "tables" / f"{number + 1}.png").write_bytes(picture(number)["bytes"])


def geoqa(directory: Path, n: int) -> None:
    """Questions and answers in a file each, in JSON lines."""
    how = "\nFirst perform reasoning, then select in the following format: Answer: xxx.\nQuestion:"
    asked = [
        {
            **{"question_id": number, "image": f"test/{number}.png"},
            "text": f"{how}AB, CD, angle {number}: find it ()\nChoices:\nA:40°\nB:60°\nC:80°",
        }
        for number in range(n)
    ]
    answers = [{"question_id": number, "text": "ABC"[number % 3]} for number in range(n)]
    (directory / "test").mkdir(parents=True)
    for name, rows in (("test_questions.jsonl", asked), ("test_answers.jsonl", answers)):
        (directory / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for number in range(n):
        (directory / "test" / f"{number}.png").write_bytes(picture(number)["bytes"])


UPSTREAM |= {"tabmwp": tabmwp, "geoqa": geoqa}

LLAVA = {**texts("id", "data_source"), "image": Image(), "conversations": List(texts("from", "value"))}
CAULDRON = {"images": List(Image()), "texts": List(texts("user", "assistant", "source"))}


def _llava(number: int) -> Row:
    turns = (("human", f"<image>\nWhat is {number}?"), ("gpt", f"It is {number}."), ("human", "Why?"), ("gpt", "So."))
    told = [{"from": who, "value": said} for who, said in turns]
    return {"id": str(number), "image": picture(number), "conversations": told, "data_source": "ours"}


def _cauldron(number: int) -> Row:
    turns = ((f"What is {number}?", f"It is {number}."), ("Why?", "So."))
    told = [{"user": user, "assistant": said, "source": "ours"} for user, said in turns]
    return {"images": [picture(number)], "texts": told}


# Calibration sets by their schema.
SETS: dict[str, Callable[[int], Dataset]] = {
    "llava": lambda n: Dataset.from_list([_llava(at) for at in range(n)], features=Features(LLAVA)),
    "cauldron": lambda n: Dataset.from_list([_cauldron(at) for at in range(n)], features=Features(CAULDRON)),
    "qa": lambda n: MATH["geometry3k"](n),
}
