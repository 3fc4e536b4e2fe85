"""Miniatures of the general benchmarks: rows of our own making in each one's schema on the hub."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import datasets
from datasets import Features, Image, List, Value
from PIL import Image as Pillow

TEXT, INT, SMALL = Value("string"), Value("int64"), Value("int32")
Row = dict[str, Any]
# Of a benchmark with several configs: one data set per (config, split).
Miniature = datasets.Dataset | dict[tuple[str, str], datasets.Dataset]
GENERAL: dict[str, Callable[[int], Miniature]] = {}

SCENES = (
    ("Which shape is on the left?", ["a red circle", "a blue square", "a green star", "a grey moon"]),
    ("Is the lamp on?", ["on", "off"]),
    ("How many boats are there?", ["two", "three", "five"]),
)
MME_CATEGORIES = (
    *("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR"),
    *("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"),
)


def picture(number: int) -> Row:
    """A tiny PNG as the hub stores an image; another number gives another one."""
    file = io.BytesIO()
    Pillow.new("RGB", (28 + number % 5, 28), (number * 37 % 256, number // 7 % 256, 90)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": f"{number}.png"}


def texts(*names: str) -> Row:
    """Features of text."""
    return dict.fromkeys(names, TEXT)


def _scene(number: int) -> tuple[str, list[str], int]:
    """A question of its own, its options and the number of the right one."""
    question, options = SCENES[number % len(SCENES)]
    return f"{question[:-1]} in picture {number}?", options, number // len(SCENES) % len(options)


def _lettered(options: list[str], form: str, between: str) -> str:
    return between.join(form.format(letter, option) for letter, option in zip("ABCD", options, strict=False))


def _dataset(features: Row, rows: Iterable[Row]) -> datasets.Dataset:
    return datasets.Dataset.from_list([{**dict.fromkeys(features), **row} for row in rows], features=Features(features))


def _miniature(features: Row, image: bool = True) -> Callable[[Callable[[int], Row]], Callable[[int], Row]]:
    """Registers a function from a row's number to the row; image: the benchmark has one image in the usual column."""
    features = {**features, "image": Image()} if image else features

    def register(row: Callable[[int], Row]) -> Callable[[int], Row]:
        def rows(n: int) -> Iterator[Row]:
            for number in range(n):
                yield {**({"image": picture(number)} if image else {}), **row(number)}

        GENERAL[row.__name__] = lambda n: _dataset(features, rows(n))
        return row

    return register


SCIENCEQA = texts("question", "hint", "task", "grade", "subject", "topic", "category", "skill", "lecture", "solution")


@_miniature({**SCIENCEQA, "choices": List(TEXT), "answer": Value("int8")})
def scienceqa(number: int) -> Row:
    """Every second question has a hint."""
    question, options, right = _scene(number)
    subject = ("natural science", "social science", "language science")[number % 3]
    row = {"subject": subject, "topic": "lamps", "grade": "grade3", "hint": "Lamps and boats float." * (number % 2)}
    return {**row, "question": question, "choices": options, "answer": right}


@_miniature(texts("type", "question", "answer"))
def chartqa(number: int) -> Row:
    """A number with a fraction, or a word."""
    kind, answer = (("human_test", f"{number}.5"), ("augmented_test", "Peru"))[number % 2]
    return {"type": kind, "question": f"What is bar {number}?", "answer": answer}


@_miniature(texts("question", "answer", "image_path"))
def realworldqa(number: int) -> Row:
    """Two questions of three are multiple-choice."""
    if number % 3 == 2:
        text, answer = f"How many signs are at crossing {number}?", str(number)
        how = "Please answer directly with a single word or number."
    else:
        question, options, right = _scene(number)
        text, answer = f"{question}\n\n{_lettered(options, '{}. {}', chr(10))}", "ABCD"[right]
        how = "Please answer directly with only the letter of the correct option and nothing else."
    return {"question": f"{text}\n{how}", "answer": answer, "image_path": f"{number}.webp"}


@_miniature({**texts("question", "answer"), "options": List(TEXT)})
def ai2d(number: int) -> Row:
    """The answer is the option's number as text."""
    question, options, right = _scene(number)
    return {"question": question, "options": options, "answer": str(right)}


MMMU = texts("id", "question", "options", "explanation", "img_type", "answer", "topic_difficulty", "question_type")


@_miniature({**MMMU, "subfield": TEXT, **{f"image_{at}": Image() for at in range(1, 8)}}, image=False)
def mmmu(number: int) -> Row:
    """In turn: an image in the question, images as options, one open answer, several open answers."""
    kinds = (
        ("multiple-choice", "What does <image 1> show, at <image 2>?", "['a tuba', \"a player's drum\"]", "B", 2),
        ("multiple-choice", "Which follows <image 1>?", "['<image 3>', '<image 2>', '<image 4>']", "A", 4),
        ("open", "<image 1> Find the slope.", "[]", "4.5", 1),
        ("open", "Find the share in <image 1>", "[]", "['1/2', '0.5']", 1),
    )
    *values, shown = kinds[number % len(kinds)]
    row = dict(zip(("question_type", "question", "options", "answer"), values, strict=True))
    row |= {f"image_{at}": picture(10 * number + at) for at in range(1, shown + 1)}
    subject = ("Music", "Energy_and_Power")[number // len(kinds) % 2]
    return {**row, "id": f"validation_{subject}_{number}", "topic_difficulty": "Easy", "subfield": "Scales"}


MMSTAR = {"index": INT, **texts("question", "answer", "category", "l2_category")}


@_miniature({**MMSTAR, "meta_info": texts("source", "split", "image_path")})
def mmstar(number: int) -> Row:
    """The options within the question, in the two layouts that occur; in the fifth row none can be read."""
    question, options, right = _scene(number)
    if number % 4 == 3:
        question = f"Question: {question}\nChoices:\n{_lettered(options, '({}) {}', chr(10))}"
    elif number != 4:
        question += f"\nOptions: {_lettered(options, '{}: {}', ', ')}"
    kinds = (("math", "geometry"), ("math", "statistical reasoning"), ("instance reasoning", "relation"))
    row = dict(zip(("category", "l2_category"), kinds[number % 3], strict=True))
    return {**row, "index": number, "question": question, "answer": "ABCD"[right]}


MMBENCH = ("index", "question", "hint", "answer", *"ABCD", "category", "source", "L2-category", "comment", "split")


def mmbench(n: int) -> datasets.Dataset:
    """Every question once per option, rotated, cut after n rows; what is not there is "nan", the index is a text."""
    rows = []
    for number in range(n):
        question, options, right = _scene(number)
        hint = "It is night." if number % 2 else "nan"
        category = ("object_localization", "attribute_recognition")[number % 2]
        about = {"question": question, "hint": hint, "category": category, "L2-category": "finegrained_perception"}
        about |= {"split": "dev", "image": picture(number), **dict.fromkeys("ABCD", "nan")}
        for roll in range(len(options)):
            rolled = dict(zip("ABCD", options[roll:] + options[:roll], strict=False))
            answer = "ABCD"[(right - roll) % len(options)]
            rows.append({**about, **rolled, "index": str(number + 1_000_000 * roll), "answer": answer})
    return _dataset({**texts(*MMBENCH), "image": Image()}, rows[:n])


TEXTVQA = {
    **texts("image_id", "question", "flickr_original_url", "flickr_300k_url", "set_name"),
    **dict.fromkeys(("question_tokens", "answers", "image_classes", "ocr_tokens"), List(TEXT)),
    **dict.fromkeys(("question_id", "image_width", "image_height"), SMALL),
}


@_miniature(TEXTVQA)
def textvqa(number: int) -> Row:
    """Ten answers to each question."""
    answers = [f"NIKE {number}"] * 7 + ["nike", "unanswerable", "Nike air"]
    row = {"ocr_tokens": ["NIKE"], "set_name": "val", "answers": answers}
    return {**row, "question_id": 34602 + number, "question": "what does NIKE say?"}


DOCVQA = {
    **texts("questionId", "question", "ucsf_document_id", "ucsf_document_page_no", "data_split"),
    **{"question_types": List(TEXT), "answers": List(TEXT), "docId": INT},
}


@_miniature(DOCVQA)
def docvqa(number: int) -> Row:
    """Several answers, several types of question."""
    types = (["table/list", "layout"], ["form"], [])[number % 3]
    row = {"questionId": str(49153 + number), "question": "What is the date?", "question_types": types}
    return {**row, "docId": number, "answers": [f"{number} May", f"May {number}"]}


@_miniature({**texts("dataset", "question", "question_type"), "answer": List(TEXT)})
def ocrbench(number: int) -> Row:
    """Words, and handwritten mathematics."""
    formula = ("HME100k", "Handwritten Mathematical Expression Recognition", [r"\frac { 1 } { 2 }"])
    values = (("svt", "Regular Text Recognition", ["harbour"]), formula)[number % 2]
    row = dict(zip(("dataset", "question_type", "answer"), values, strict=True))
    return {**row, "question": "what is written in the image? "}


@_miniature(texts("id", "question_id", "question", "answer", "image_source", "category"))
def pope(number: int) -> Row:
    """Questions with yes and no in turn, in the three settings."""
    row = {"id": str(number), "question_id": str(number + 1), "answer": ("yes", "no")[number % 2]}
    category = ("adversarial", "popular", "random")[number // 2 % 3]
    return {**row, "category": category, "question": f"Is there a kite{number} in the image?", "image_source": "COCO"}


@_miniature(texts("question_id", "question", "answer", "category"))
def mme(number: int) -> Row:
    """Pairs of questions with one question_id and one image."""
    pair, second = divmod(number, 2)
    category = MME_CATEGORIES[pair % len(MME_CATEGORIES)]
    row = {"question_id": f"{category}/{pair:04}.png", "image": picture(pair), "category": category}
    question = f"Is there {('a boat', 'a tram')[second]} in picture {pair}? Please answer yes or no."
    return {**row, "question": question, "answer": ("Yes", "No")[second]}


HALLUSION = ("category", "subcategory", "visual_input", "set_id", "figure_id", "question_id")


@_miniature(texts(*HALLUSION, "sample_note", "question", "gt_answer_details", "gt_answer", "filename"))
def hallusionbench(number: int) -> Row:
    """Sets of two figures with two questions each."""
    category, subcategory = (("VD", "illusion"), ("VS", "chart"))[number // 4 % 2]
    values = (category, subcategory, 1, number // 4, number // 2 % 2, number % 2)
    row = {key: str(value) for key, value in zip(HALLUSION, values, strict=True)}
    row |= {"question": f"Is bar {number} longer?", "gt_answer": str(number % 2)}
    return {**row, "gt_answer_details": "It is as long.", "filename": f"./{category}/{number}.png"}


CHOICES = ("choice_a", "choice_b", "choice_c", "choice_d")
SEEDBENCH = {
    **texts("answer", *CHOICES, "data_type", "question", "question_id"),
    **{"data_id": List(TEXT), "question_type_id": Value("int16"), "segment": List(INT), "image": List(Image())},
}


def seedbench(n: int) -> datasets.Dataset:
    """n questions with one image, and a last one of a video, which the study leaves out."""
    rows = []
    for number in range(n + 1):
        question, options, _ = _scene(len(SCENES) * number)
        row = {"question": question, **dict(zip(CHOICES, options, strict=True)), "answer": "ABCD"[number % 4]}
        row |= {"question_id": str(101669 + number), "data_id": [f"{number}.jpg"]}
        rows.append({**row, "data_type": "image", "question_type_id": 1 + number % 9, "image": [picture(number)]})
    rows[n] |= {"data_type": "video", "question_type_id": 10, "image": [picture(n), picture(n + 1)]}
    return _dataset(SEEDBENCH, rows)


VQAV2 = {
    **texts("question_type", "multiple_choice_answer", "answer_type", "question"),
    **{"answers": List({"answer": TEXT, "answer_confidence": TEXT, "answer_id": INT})},
    **{"image_id": INT, "question_id": INT},
}


@_miniature(VQAV2)
def vqav2(number: int) -> Row:
    """Ten annotators' records for each question."""
    kind, answer = (("yes/no", "yes"), ("number", "2"), ("other", "a pier"))[number % 3]
    given = enumerate([answer] * 8 + ["no idea", "boat"])
    records = [{"answer": text, "answer_confidence": "yes", "answer_id": at + 1} for at, text in given]
    row = {"answer_type": kind, "multiple_choice_answer": answer, "answers": records, "question_type": "is"}
    return {**row, "question": f"Is it {number}?", "question_id": 262148000 + number}


GQA = {
    **texts("id", "imageId", "question", "answer", "fullAnswer", "entailed", "equivalent", "semanticStr"),
    **{"isBalanced": Value("bool"), "groups": texts("global", "local")},
    **{"types": texts("structural", "semantic", "detailed")},
    **{"semantic": List({**texts("operation", "argument"), "dependencies": List(SMALL)})},
}


def gqa(n: int) -> Miniature:
    """Questions in one config, the images, of which each has two questions, in another."""
    rows = []
    for number in range(n):
        kind, answer = (("verify", "yes"), ("query", "table"))[number % 2]
        row = {"id": f"20{number:07}", "imageId": f"n{number // 2}", "question": f"Is {number} wooden?"}
        types = {"structural": kind, "semantic": "attr", "detailed": "material"}
        rows.append({**row, "answer": answer, "fullAnswer": f"{answer}.", "types": types, "isBalanced": True})
    images = ({"id": f"n{number}", "image": picture(number)} for number in range((n + 1) // 2))
    return {
        ("testdev_balanced_instructions", "testdev"): _dataset(GQA, rows),
        ("testdev_balanced_images", "testdev"): _dataset({"id": TEXT, "image": Image()}, images),
    }


GENERAL |= {"mmbench": mmbench, "seedbench": seedbench, "gqa": gqa}
