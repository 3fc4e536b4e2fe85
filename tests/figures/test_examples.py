"""The figure of example answers: what stands in it, whatever questions, answers and images are like."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pruning_regimes import tables
from pruning_regimes.figures import examples as drawing
from pruning_regimes.figures import style
from tests.figures.test_legible import check
from tests.helpers.example_tables import example, examples, picture
from tests.helpers.figure_tables import STYLE

PAGE = {"width": "page"}
TICK, CROSS = drawing.RIGHT_MARK, drawing.WRONG_MARK
LONG = "The picture shows several shapes, of which I count the squares first and then the circles. Answer: "
# Rows that are hard to draw.
HARD: dict[str, dict[str, Any]] = {
    "no image": {"images": [], "question": "word " * 200},
    "six images, one damaged": {"images": [picture(), b"no image", picture(30, 5), picture(5, 30), *[picture()] * 2]},
    "a wide image": {"images": [picture(2000, 100)]},
    "a tall image": {"images": [picture(20, 900)]},
    "a damaged image": {"images": [b"\x89PNG"]},
    "no spaces": {"question": "x" * 900, "answers": ["y" * 900] * 3, "read": [""] * 3, "benchmark": "b" * 64},
    "mathematics": {"question": r"$x^2$ costs \$5, \frac{1}{2}, $ and $$", "answers": ["$", r"$\alpha", "x_1^{2"]},
    "other scripts": {
        "question": "这张图里有几个人? 👩‍👩‍👧 क्या है",
        "answers": ["三", "مرحبا", "ไม่\x00รู้"],
        "reference": "三\u202e",
    },
    "long answers": {"answers": [LONG + "B"] * 3, "read": ["B (4)", "", "C"]},
    "nothing": {"question": " ", "answers": ["", "[empty]", "[no answer: out of memory]"], "read": ["", "", ""]},
}


def drawn(*rows: dict[str, Any], look: dict[str, Any] = PAGE) -> Figure:
    figure = drawing.figure(examples(*rows), "a-model", "math_aware", look)
    style.save(figure, [])
    return figure


def said(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def pictures(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if ax.get_label() == drawing.PICTURES]


def test_a_question_has_its_reference_and_an_answer_with_a_mark_per_budget() -> None:
    words = said(drawn(example()))
    assert words[0] == "a-model, layers removed by math-aware"
    assert words[1:5] == [TICK[0], "right", CROSS[0], "wrong"]
    assert words[5:8] == ["count-them", "How many squares?", "reference: 4"]
    assert words[8:10] == ["removed", "answer"]
    answers = [TICK[0], "dense", "4", TICK[0], "1", "four (score\xa00.6)", CROSS[0], "3", "3"]
    assert words[10:] == [*answers, "first wrong at 3 removed: 5 of the dense model's 20 right answers"]


def test_right_and_wrong_differ_in_mark_and_in_colour() -> None:
    marks = {(text.get_text(), text.get_color()) for text in drawn().texts if text.get_text() in (TICK[0], CROSS[0])}
    assert marks == {TICK, CROSS} and TICK[0] != CROSS[0] and TICK[1] != CROSS[1]


def test_a_question_that_stays_right_is_told_so() -> None:
    assert "right at all budgets: 5 of the dense model's 20 right answers" in said(drawn(example(first_wrong=None)))


def test_a_page_has_two_columns_and_a_column_one() -> None:
    for look, across in ((PAGE, 2), ({"width": "column"}, 1)):
        left = {round(ax.get_position().x0, 3) for ax in pictures(drawn(look=look))}
        assert len(left) == across


def test_images_keep_their_shape() -> None:
    figure = drawn(example(images=[picture(40, 30)]), example(images=[picture(400, 100)]), example(images=[picture()]))
    shapes = [ax.bbox.width / ax.bbox.height for ax in pictures(figure)]
    assert shapes == pytest.approx([4 / 3, 4, 4 / 3], rel=0.01)
    assert all(ax.images[0].get_array().shape[2] == 3 for ax in pictures(figure))


def test_large_images_are_made_as_small_as_they_are_printed() -> None:
    (ax,) = pictures(drawn(example(images=[picture(3000, 2000)])))
    assert ax.images[0].get_array().shape[1] <= ax.bbox.width + 1


def test_what_is_cut_or_cannot_be_shown_is_told() -> None:
    words = said(drawn(example(**HARD["long answers"]), example(**HARD["no image"]), look={"width": "column"}))
    assert [word for word in words if word.startswith("→")] == ["→ B (4)", "→ nothing read (score\xa00.6)", "→ C"]
    assert sum(word.startswith("word word") for word in words) == drawing.LONGEST["question"]
    assert any(word.endswith("…") for word in words)
    words = said(drawn(example(**HARD["six images, one damaged"])))
    assert "and 2 more" in words and {"[image cannot", "be shown]"} <= set(words)
    words = said(drawn(example(**HARD["other scripts"])))
    assert any(word.startswith("[CJK: 8 characters]? ") for word in words)
    assert {"[CJK: 1 character]", "reference: [CJK: 1 character]"} <= set(words)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("width", ["page", "column"])
@pytest.mark.parametrize("case", HARD)
def test_hard_rows_are_drawn_without_a_warning_and_legibly(case: str, width: str) -> None:
    check(drawn(example(**HARD[case]), example(), example(), look={"width": width, "title": "A title with $ " * 9}))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("width", ["page", "column"])
def test_many_budgets_and_long_names_are_legible(width: str) -> None:
    counts = list(range(9))
    row = example(n_removed=counts, answers=["an answer"] * 9, read=["an answer"] * 9, scores=[1.0] * 9)
    names = "some-organisation--vision-language-model-of-many-billions-000000", "a_criterion_with_a_name_" + "x" * 40
    check(drawing.figure(examples(*[row] * 5), *names, {"width": width}))


def test_a_low_figure_has_everything_smaller() -> None:
    low, free = (drawn(look=look) for look in ({**PAGE, "height": 1.0}, PAGE))
    assert low.get_figheight() == 1.0 and len(low.texts) == len(free.texts)
    assert low.texts[0].get_fontsize() < 0.7 * free.texts[0].get_fontsize()
    assert all(text.get_window_extent().y0 >= -1 for text in low.texts)


def test_without_an_example_the_figure_says_why() -> None:
    figure = drawing.figure(tables.frame("examples", []), "m", "c", STYLE)
    style.save(figure, [])
    (text,) = figure.texts
    assert " ".join(text.get_text().split()) == drawing.EMPTY
