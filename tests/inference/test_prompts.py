"""Where images stand within a question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning_regimes import tables
from pruning_regimes.inference import prompts

IMAGE = {"type": "image"}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


@pytest.mark.parametrize(
    ("question", "n_images", "parts", "order"),
    [
        ("What?", 0, [text("What?")], []),
        (" What? ", 1, [IMAGE, text(" What? ")], [0]),
        ("See <image 1>: what?", 1, [text("See"), IMAGE, text(": what?")], [0]),
        ("<image 2> or <image 1>", 2, [IMAGE, text("or"), IMAGE], [1, 0]),
        ("Is <image 2> it?", 3, [IMAGE, IMAGE, text("Is"), IMAGE, text("it?")], [0, 2, 1]),
        ("<image 1> and <image 1>", 1, [IMAGE, text("and <image 1>")], [0]),
        ("<image 3> is no image", 1, [IMAGE, text("<image 3> is no image")], [0]),
        ("<image 0>", 1, [IMAGE, text("<image 0>")], [0]),
    ],
)
def test_images_stand_where_the_question_has_them(
    question: str, n_images: int, parts: list[dict[str, str]], order: list[int]
) -> None:
    assert prompts.content(question, n_images) == (parts, order)


@given(st.lists(st.sampled_from(["a", "<image 1>", "<image 2>", "<image 9>"]), max_size=6), st.integers(0, 3))
def test_every_image_is_shown_once(words: list[str], n_images: int) -> None:
    parts, order = prompts.content(" ".join(words), n_images)
    assert sorted(order) == list(range(n_images))
    assert parts.count(IMAGE) == n_images


def test_images_come_in_the_order_of_the_prompt() -> None:
    row = {"sample_id": "a", "question": "<image 2>, <image 1>?", "images": [b"one", b"two"], "source": "s"}
    assert prompts.shown_images(tables.frame("calibration", [{**row, "answer": None}])) == [[b"two", b"one"]]
