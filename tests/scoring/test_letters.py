"""Multiple choice: what is read as a letter, what is left unparsed, and how upstream's rules differ."""

from __future__ import annotations

import pytest

from pruning_regimes.scoring import ANSWER_TYPES, Question
from pruning_regimes.scoring.letters import option_letters

CHOICES = ("tea", "black coffee", "coffee", "7.5 litres")
ASKED = Question(["B"], CHOICES)


@pytest.mark.parametrize(
    ("response", "letter", "method"),
    [
        ("B", "B", "whole"),
        ("(b).", "B", "whole"),
        ("**B**", "B", "whole"),
        ("Option B", "B", "whole"),
        ("Answer: B", "B", "cue"),
        ("\\boxed{\\text{B}}", "B", "boxed"),
        ("Black coffee.", "B", "option text"),
        ("B. black coffee", "B", "leading"),
        ("b) black coffee", "B", "leading"),
        ("B\n\nA would need milk, C sugar.", "B", "leading"),
        ("The answer is (B) B/(B+D).", "B", "cue"),
        ("A cup is shown, so the correct answer is B.", "B", "cue"),
        ("A is hot. Final answer: **B. black coffee**", "B", "cue"),
        ("C looks right at first. The answer is black coffee", "B", "cue"),
        ("Thus $x=2$ and \\boxed{B}. C is wrong.", "B", "boxed"),
        ("It may be C. <answer>B</answer>", "B", "tag"),
        ("<think>The answer is C</think>B", "B", "whole"),
        ("I go for (B) here", "B", "letter"),
        ("I think it is B, not C", "B", "letter"),
        ("It holds black coffee", "B", "option text"),
        ("She drinks coffee", "C", "option text"),
        ("About 7.5 litres a day", "D", "option text"),
    ],
)
def test_a_letter_that_is_given_is_read(response: str, letter: str, method: str) -> None:
    found = ANSWER_TYPES["letter"].clean(response, ASKED)
    assert (found.extracted, found.method, found.score) == (letter, method, float(letter == "B"))


@pytest.mark.parametrize(
    "response",
    [
        "",
        " ?!",
        "E",
        "A or B",
        "The answer is A or B",
        "Either (A) or (C)",
        "None of the above",
        "A cup of water",
        "I see no drink",
        "DNA",
        "A. tea\nB. black coffee\nC. coffee\nD. 7.5 litres",
        "tea and coffee",
        "17.5 litres",
        "In triangle ABC, angle B = 40",
        "<think>B",
    ],
)
def test_nothing_is_guessed(response: str) -> None:
    found = ANSWER_TYPES["letter"].clean(response, ASKED)
    assert (found.extracted, found.method, found.score) == (None, "unparsed", 0.0)


def test_options_that_are_alike_or_empty_are_no_answers() -> None:
    asked = Question(["A"], ("", "", "7", "7"))
    assert ANSWER_TYPES["letter"].clean("7", asked).extracted is None
    assert ANSWER_TYPES["letter"].clean("", asked).extracted is None
    assert ANSWER_TYPES["letter"].clean("A", asked).score == 1


def test_letters_come_from_the_options_or_from_the_text_of_the_question() -> None:
    assert option_letters(Question(["A"], ("x", "y", "z"))) == "ABC"
    assert option_letters(Question(["A"], (), {"question": "Which?\nA: 1\nB: 2\nC: 3\nD: 4\nE: 5"})) == "ABCDE"
    assert option_letters(Question(["F"])) == "ABCDEF"
    assert option_letters(Question(["A"])) == "ABCD"


@pytest.mark.parametrize(
    ("kind", "response", "letter"),
    [
        ("letter_mmmu", "(A) is wrong. B", "A"),
        ("letter_mmmu", "A or B", "B"),
        ("letter_mmmu", "A)", None),
        ("letter_mmmu", "I am sure that it is tea", "A"),
        ("letter_sqa", "b", "B"),
        ("letter_sqa", "B. coffee", "B"),
        ("letter_sqa", "(B)", None),
        ("letter_ai2d", "(B)", "B"),
        ("letter_ai2d", " B. coffee", "B"),
        ("letter_ai2d", "It is B", None),
        ("letter_first", "The answer is B", "T"),
        ("letter_geometry3k", "a dog", "A"),
        ("letter_geometry3k", "Answer: b, not C.", "B"),
        ("letter_geoqa", "Answer:A\nAnswer: B", "B"),
        ("letter_geoqa", "The answer is B", None),
        ("letter_vlmevalkit", "A cat", "A"),
        ("letter_vlmevalkit", "A cup is here, so I say C", None),
        ("letter_vlmevalkit", "tea", "A"),
        ("letter_lmms", "A cat, so the answer is C", "A"),
        ("letter_lmms", "DNA", "A"),
    ],
)
def test_upstream_rules_keep_their_faults(kind: str, response: str, letter: str | None) -> None:
    assert ANSWER_TYPES[kind].upstream(response, ASKED).extracted == letter
    assert ANSWER_TYPES[kind].clean("The answer is B.", ASKED).score == 1
