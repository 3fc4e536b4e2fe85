"""Calibration samples that are benchmark questions are found by their pixels and by their words."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pruning_regimes.calibration import contamination
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.tables import frame

LONG = "In the figure the chord AB is as long as the radius; how large is the angle at C?"
SHORT = "How large is the angle at C in degrees?"


def picture(seed: int, size: tuple[int, int] = (12, 8), kind: str = "PNG", **options: Any) -> bytes:
    """An encoded image of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def calibration(*samples: tuple[str, Sequence[bytes]]) -> pl.DataFrame:
    """Samples c0, c1, ... of a question and images."""
    rows = [
        {"sample_id": f"c{index}", "question": question, "images": list(images), "answer": "1", "source": "s"}
        for index, (question, images) in enumerate(samples)
    ]
    return frame("calibration", rows)


def benchmark(*questions: tuple[str, Sequence[bytes]], suffix: str = "", raw: bool = True) -> pl.DataFrame:
    """Questions b0, b1, ... as put to the model (with a suffix), with the raw question or without it."""
    common = {"choices": None, "answers": ["1"], "answer_type": "exact", "category": "c", "chance": 0.0}
    rows = [
        {"sample_id": f"b{index}", "question": question + suffix, "images": list(images),
         "metadata": json.dumps({"question": question}) if raw else None, **common}
        for index, (question, images) in enumerate(questions)
    ]  # fmt: skip
    return frame("benchmark", rows)


def matches(samples: pl.DataFrame, questions: pl.DataFrame) -> list[tuple[str, str, str]]:
    """(calibration sample, benchmark sample, what)."""
    found = contamination.check({"domain": samples}, {"bench": questions})
    assert found.schema == pl.Schema(contamination.MATCHES)
    assert set(found["domain"]) <= {"domain"} and set(found["benchmark"]) <= {"bench"}
    return found.select("sample_id", "benchmark_sample_id", "what").rows()


@pytest.mark.parametrize(
    "again",
    [
        picture(1),
        picture(1, compress_level=0),
        picture(1, kind="BMP"),
        picture(1, kind="TIFF"),
        picture(1, kind="WEBP", lossless=True),
    ],
)
def test_an_image_is_found_however_it_is_encoded(again: bytes) -> None:
    samples = calibration(("a", [picture(2)]), ("b", [picture(3), again]))
    assert matches(samples, benchmark(("c", [picture(4)]), ("d", [picture(5), picture(1)]))) == [("c1", "b1", "image")]


def test_an_image_with_transparency_is_what_the_model_sees() -> None:
    image = Image.open(io.BytesIO(picture(1)))
    image.putalpha(7)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    seen = io.BytesIO()
    Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB").save(
        seen, "PNG"
    )
    found = matches(calibration(("a", [buffer.getvalue()])), benchmark(("b", [seen.getvalue()])))
    assert found == [("c0", "b0", "image")]


def test_other_images_of_the_size_are_not_the_same() -> None:
    assert matches(calibration(("a", [picture(1)])), benchmark(("b", [picture(2)]))) == []


def test_pixels_in_another_shape_are_not_the_same() -> None:
    wide, high = picture(1, (12, 8)), picture(1, (8, 12))
    samples = calibration(("a", [wide, picture(2, (8, 12))]))
    assert matches(samples, benchmark(("b", [high, picture(3, (12, 8))]))) == []


def test_only_images_of_a_size_on_both_sides_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, digest = [], contamination._pixel_digest
    monkeypatch.setattr(contamination, "_pixel_digest", lambda image: decoded.append(image) or digest(image))
    samples = calibration(("a", [picture(1, (9, 9))]), ("b", [picture(2)]), ("c", [picture(2), picture(3, (7, 7))]))
    assert matches(samples, benchmark(("d", [picture(4)]), ("e", [picture(4)]))) == []
    assert sorted(decoded) == sorted([picture(2), picture(4)]), "each file once"


def test_images_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contamination, "ROWS", 2)
    samples = calibration(*((f"{index}", [picture(index)] * (index % 3)) for index in range(7)))
    questions = benchmark(*((f"{index}", [picture(6 - index, kind="BMP"), picture(50)]) for index in range(7)))
    wanted = [(f"c{index}", f"b{6 - index}", "image") for index in range(7) if index % 3]
    assert matches(samples, questions) == wanted


def test_damaged_images_match_by_their_bytes() -> None:
    broken = [b"", b"no image", picture(1)[:60], picture(1, (64, 64))[:3000], picture(1)[:-30] + b"x" * 30]
    samples = calibration(*(("a", [image]) for image in broken))
    questions = benchmark(*(("b", [image]) for image in (*broken, picture(1), picture(1, (64, 64)))))
    assert matches(samples, questions) == [(f"c{index}", f"b{index}", "image") for index in range(len(broken))]


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=40)
@given(st.data())
def test_no_damage_ends_the_check(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"]))
    image = bytearray(picture(1, kind=kind))
    for _ in range(data.draw(st.integers(1, 8))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    found = matches(calibration(("a", [bytes(image)])), benchmark(("b", [bytes(image)]), ("c", [picture(1)])))
    assert [what for *_, what in found] == ["image"]


@pytest.mark.parametrize(
    "asked", [LONG, LONG.upper(), f"<image>\n{LONG}", LONG.replace(" ", "  \n"), f"<image 1> {LONG} <image 2>"]
)
def test_a_question_is_found_whatever_its_spaces_case_and_markers(asked: str) -> None:
    samples = calibration(("what?", [picture(1)]), (asked, [picture(2)]))
    questions = benchmark((LONG, [picture(3)]), suffix="\nAnswer with the option's letter.")
    assert matches(samples, questions) == [("c1", "b0", "question")]


def test_the_whole_question_is_compared_too() -> None:
    suffix = "\nA. 30\nB. 60\nAnswer with the option's letter."
    questions = benchmark((LONG, [picture(3)]), suffix=suffix)
    assert matches(calibration((LONG + suffix, [picture(2)])), questions) == [("c0", "b0", "question")]
    # That its prompt is long does not make a phrase a question.
    questions = benchmark((SHORT, [picture(3)]), suffix=suffix)
    assert matches(calibration((SHORT + suffix, [picture(2)])), questions) == []
    questions = benchmark((LONG, [picture(3)]), suffix=suffix, raw=False)
    assert matches(calibration((LONG + suffix, [picture(2)])), questions) == [("c0", "b0", "question")]


def test_a_short_question_counts_only_without_images() -> None:
    assert matches(calibration((SHORT, [picture(1)])), benchmark((SHORT, [picture(2)]))) == []
    assert matches(calibration((SHORT, [])), benchmark((SHORT, [picture(2)]))) == []
    assert matches(calibration((SHORT, [picture(1)])), benchmark((SHORT, []))) == []
    assert matches(calibration((SHORT, [])), benchmark((SHORT, []))) == [("c0", "b0", "question")]
    assert matches(calibration(("How large is C?", [])), benchmark(("How large is C?", []))) == []


def test_a_template_is_no_question() -> None:
    twice = benchmark((LONG, [picture(1)]), (LONG, [picture(2)]))
    assert matches(calibration((LONG, [picture(3)])), twice) == []
    assert matches(calibration((LONG, [picture(3)]), (LONG, [picture(4)])), benchmark((LONG, [picture(1)]))) == []
    same = benchmark((LONG, [picture(1)]), (LONG, [picture(1)]))
    assert matches(calibration((LONG, [picture(3)])), same) == [("c0", "b0", "question")]


def test_a_sample_is_named_once_per_benchmark_and_kind() -> None:
    samples = calibration((LONG, [picture(1), picture(2)]))
    questions = benchmark(("x", [picture(2)]), (LONG, [picture(1)]), ("y", [picture(1)]))
    found = contamination.check({"d": samples, "e": samples}, {"p": questions, "q": questions})
    wanted = [(domain, name, what) for domain in "de" for name in "pq" for what in ("image", "question")]
    assert found.select("domain", "benchmark", "what").rows() == wanted


def test_nothing_matches_nothing() -> None:
    empty = benchmark()
    assert len(contamination.check({}, {})) == 0
    assert matches(calibration(("a", [])), empty) == []
    assert matches(calibration(("a", [picture(1)])), empty) == []


def test_matches_are_refused_in_one_sentence() -> None:
    contamination.refuse(contamination.check({}, {}))
    samples = calibration((LONG, [picture(1)]), ("x", [picture(1)]))
    found = contamination.check({"math": samples}, {"bench": benchmark((LONG, [picture(1)]))})
    with pytest.raises(DataError) as caught:
        contamination.refuse(found)
    sentence = str(caught.value)
    assert "2 calibration samples, the first of them 'c0' of domain 'math', whose image is that of 'b0'" in sentence
    assert sentence.endswith("'contamination: warn'.")


def test_two_thousand_images_take_seconds() -> None:
    images = [picture(index, (64, 64)) for index in range(1000)]
    samples = calibration(*((f"{index}", [image]) for index, image in enumerate(images)))
    questions = benchmark(
        *((f"{index}", [picture(5000 + index, (64, 64))]) for index in range(999)), ("z", images[7:8])
    )
    began = time.perf_counter()
    assert matches(samples, questions) == [("c7", "b999", "image")]
    assert time.perf_counter() - began < 10
