"""The clean rule for multiple choice: which option's letter a response gives, never one that is not an option.

In order: the whole response is a letter or an option's text; what it says is the answer (in a box, in a tag, after
"the answer is"); a letter in front ("B. red"); the only letter that stands alone; the only option whose text is in
it. A response that names several options without saying which is the answer is left unparsed.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from pruning_regimes.jobs.errors import DataError, nearest
from pruning_regimes.scoring.mathematics import equal, value
from pruning_regimes.scoring.text import conclusions, final_part, normalise, same_text, sentences
from pruning_regimes.scoring.verdict import NOTHING, Question, Verdict
from pruning_regimes.tables.contracts import UNPARSED

LETTERS = string.ascii_uppercase
DEFAULT_LETTERS = "ABCD"
OPEN, CLOSE = r"[\s(\[{*_\"'\u201c$\\:]{0,8}", r"[\s)\]}*_\"'\u201d$.,:;!]{0,8}"
WRAPPER = r"(?:\\?(?:text|textbf|mathrm|mathbf|boxed)\s?\{)?"
WHOLE = re.compile(rf"{OPEN}{WRAPPER}(?:the\s+)?(?:(?:option|choice|letter|answer)\b)?{OPEN}([A-Za-z]){CLOSE}", re.I)
# A letter right at the start: in brackets or before a point in either case, else a capital.
FIRST = re.compile(
    rf"{OPEN}{WRAPPER}(?:(?:the\s+)?(?:[Oo]ption|[Cc]hoice|[Ll]etter|OPTION|CHOICE)\b)?{OPEN}"
    r"(?:(?<=\()([a-z])(?=\))|([a-z])(?=[.)]\s)|([A-Z])(?![\w'\u2019^=+/-]))"
)
DELIMITER = re.compile(r"[)\]}*_\"'$ \t]{0,6}(?:[.:,;!)\]}\n\u2013\u2014-]|$)")
HEDGE = re.compile(r"[\s)\]}*_$.,]{0,8}(?:\b(?:or|and)\b|[/,&|])[\s(\[{*_$\\]{0,8}(?:\b(?:option|choice)\b\s{0,3})?"
                   r"\(?([A-Za-z])(?![\w'\u2019])")  # fmt: skip
STANDING = re.compile(r"(?<![\w'\u2019^=+/\\\u2220\u25b3-])([A-Z])(?![\w'\u2019^+/-]|\s?=|\.[A-Z]\b)")
LISTED = re.compile(r"^[\s(*]{0,6}([A-Z])[*)]{0,3}\s?[.:)]", re.MULTILINE)
NEGATED = re.compile(r"\b(?:not|isn't|than|nor|neither|cannot be)\s{1,3}(?:option|choice)?[\s(*]{0,6}$", re.IGNORECASE)
NAMED = re.compile(r"(?:[(\[*]|\b(?:option|choice|letter))\s{0,2}$", re.IGNORECASE)
DENIED = re.compile(
    r"[\s)\]*_.:]{0,4}(?:(?:is|are|was|would be)\s(?:not\b|incorrect|wrong|false)|(?:isn't|cannot|can't)\b)",
    re.IGNORECASE,
)
CHOSEN = re.compile(
    r"(?<![\w'\u2019])([A-Z])[)*\]]{0,3}\s(?:is|would be)\s(?:the\s)?(?:(?:correct|right|best|final)\s)?"
    r"(?:answer|option|choice)\b"
    r"|\u9009\u9879\s?([A-Z])\s?(?:\u6b63\u786e|\u662f\u6b63\u786e)"
)
# Letters and nothing else, as in "(a) (b) (c) (d)".
LETTERS_ONLY = re.compile(r"(?:[\s(\[]{0,3}[A-Za-z](?![A-Za-z])[\s)\].,:;/]{0,4}(?:(?:or|and)\b)?){3,}")
# What a figure's letters stand for.
FIGURE = re.compile(
    r"\b(?:angles?|triangles?|points?|lines?|segments?|circles?|sides?|arcs?|centers?|groups?|vertex|figures?|teams?|"
    r"person|food|node|value|length|chord|and|at|of)\s{1,2}$",
    re.IGNORECASE,
)
# Words before which a bare "A" (or "I") is a letter, and not the start of a phrase.
VERB = re.compile(r"\s+(?:is|was|because|as|since|or|and|with|for|would|should|has|shows|represents|matches|seems)\b")
INLINE = re.compile(r"(?:^|[\s,;(])([A-Z])\s?[.:)](?!\w*\.\w)")
TAIL = 4  # a bare letter is read among the last words only


def option_letters(question: Question) -> str:
    """The letters of the options: as many as there are, or those that the question's text lists, or A to D."""
    if question.choices:
        return LETTERS[: len(question.choices)]
    listed = set(INLINE.findall(str(question.metadata.get("question", ""))))
    n = 0
    while n < len(LETTERS) and LETTERS[n] in listed:
        n += 1
    known = LETTERS[:n] if n > 1 else DEFAULT_LETTERS
    highest = max((LETTERS.find(answer.strip().upper()) for answer in question.answers if answer.strip()), default=-1)
    return LETTERS[: max(len(known), highest + 1)]


def letter(response: str, question: Question) -> Verdict:
    """1 if the response gives the letter or the text of a right option; `answers` are letters."""
    said, method = read(response, question.choices, option_letters(question))
    if said is None:
        return NOTHING
    return Verdict(said, float(said in {answer.strip().upper() for answer in question.answers}), method)


def read(text: str, options: Sequence[str], letters: str) -> tuple[str | None, str]:
    """The letter that a response gives, and how: None and "unparsed" if it gives none, or several."""
    text = text.strip()
    said = _is(text, options, letters)
    if said:
        return said
    if LETTERS_ONLY.fullmatch(text):
        return None, UNPARSED
    chosen = {match[1] or match[2] for match in CHOSEN.finditer(text)} & set(letters)
    if len(chosen) == 1:
        return chosen.pop(), "cue"
    part = final_part(text)
    if options and (value(text) is not None or (part and part[1] != "cue" and value(part[0]) is not None)):
        # What stands for a number is an option by its value, or none of them: not by a text that is in it.
        final, method = (text, "whole") if value(text) is not None else part
        same = [place for place, option in zip(letters, options, strict=False) if equal(option, final)]
        later = _later(text, part, options, letters)
        if len(same) != 1 and later:
            return later
        return (same[0], method) if len(same) == 1 else (None, UNPARSED)
    if part:
        said = _in_part(part[0], options, letters)
        if said is not None:
            return (said, part[1]) if said else (None, UNPARSED)
        if later := _later(text, part, options, letters):
            return later
        if part[1] != "cue":
            # A final answer that names no option is one by its value, or none: no option's text elsewhere is taken.
            same = [place for place, option in zip(letters, options, strict=False) if equal(option, part[0])]
            return (same[0], part[1]) if len(same) == 1 else (None, UNPARSED)
    for find, method in ((_leading, "leading"), (_standing, "letter")):
        said = find(text, letters)
        if said is not None:
            return (said, method) if said else (None, UNPARSED)
    for within in (*conclusions(text)[:1], text):
        said = _by_text(within, options, letters)
        if said:
            return said, "option text"
    return None, UNPARSED


def _later(text: str, part: tuple[str, str] | None, options: Sequence[str], letters: str) -> tuple[str, str] | None:
    """The letter that is said to be the answer after a box that holds none: "We get [4.5]. The answer is (B)."."""
    if not part or part[1] != "boxed":
        return None
    later = final_part(text[text.rfind(part[0]) + len(part[0]) :])
    said = _in_part(later[0], options, letters) if later else None
    return (said, later[1]) if said else None


def _is(text: str, options: Sequence[str], letters: str) -> tuple[str, str] | None:
    match = WHOLE.fullmatch(text)
    if match and match[1].upper() in letters:
        return match[1].upper(), "whole"
    same = same_text(text, options[: len(letters)])
    return (letters[same[0]], "option text") if len(same) == 1 else None


# The finders below give a letter, "" if there are several to choose from, None if there is none.


def _in_part(part: str, options: Sequence[str], letters: str) -> str | None:
    line = part.split("\n")[0].strip()
    for text in (part, line, sentences(line)[0] if line else ""):
        said = _is(text.strip(" .$"), options, letters)
        if said:
            return said[0]
    match = FIRST.match(line)
    if match and match[match.lastindex].upper() in letters and not _article(line, match):
        said = match[match.lastindex].upper()
        return "" if _hedged(line, match.end(), said, letters) else said
    head = sentences(line)[0] if line else ""
    found = [said for said, _ in _letters_in(head, letters)]
    if len(set(found)) == 1:
        return found[0]
    if found:
        return "" if re.search(r"\b(?:or|either|and)\b", head) else found[-1]
    return _by_text(head, options, letters)


def _leading(text: str, letters: str) -> str | None:
    match = FIRST.match(text)
    if not match or match[match.lastindex].upper() not in letters:
        return None
    said = match[match.lastindex].upper()
    if DENIED.match(text, match.end()):
        return None
    named = match[1] or NAMED.search(text[: match.end() - 1])
    if not (named or DELIMITER.match(text, match.end())):
        return None
    if _hedged(text, match.end(), said, letters):
        return ""
    # A text that lists the options does not choose one of them.
    return None if len(set(LISTED.findall(text)) & set(letters)) > 1 else said


def _standing(text: str, letters: str) -> str | None:
    found = _letters_in(text, letters)
    for chosen in ([said for said, named in found if named], [said for said, _ in found]):
        if len(set(chosen)) == 1:
            if any(named for _, named in found):
                return chosen[0]
            if any(_hedged(text, match.end(), match[1], letters) for match in STANDING.finditer(text)):
                return ""
            words = re.findall(r"\w+", text[-200:])
            return chosen[0] if chosen[0] in words[-TAIL:] else None
        if chosen:
            last = {said for said, _ in _letters_in(sentences(text)[-1], letters)}
            return last.pop() if len(last) == 1 and len(sentences(text)) > 1 else ""
    return None


def _letters_in(text: str, letters: str) -> list[tuple[str, bool]]:
    """The letters that stand alone and are not denied, in order, and whether brackets or "option" mark them."""
    found = []
    for match in STANDING.finditer(text):
        before = text[max(0, match.start() - 24) : match.start()]
        denied = NEGATED.search(before) or DENIED.match(text, match.end())
        if match[1] in letters and not (denied or FIGURE.search(before) or _article(text, match)):
            found.append((match[1], NAMED.search(before) is not None))
    return found


def _article(text: str, match: re.Match[str]) -> bool:
    """Whether a letter is the word "A" or "I"."""
    if text[match.end() - 1] not in "AI" or NAMED.search(text[: match.end() - 1][-12:]):
        return False
    after = text[match.end() : match.end() + 24]
    return re.match(r"\s+[a-z]", after) is not None and VERB.match(after) is None


def _hedged(text: str, end: int, said: str, letters: str) -> bool:
    match = HEDGE.match(text, end)
    return match is not None and match[1].upper() in letters and match[1].upper() != said


def _by_text(text: str, options: Sequence[str], letters: str) -> str | None:
    """The letter of the only option whose text is in a text; of options within each other, the longest."""
    plain = f" {normalise(_degrees(text))} "
    inside = {}
    for place, option in zip(letters, options, strict=False):
        wanted = normalise(_degrees(option))
        pattern = rf"(?<![\w/])(?<!\w[.,-])(?<!-){re.escape(wanted)}(?!\w|[.,]\d|[/-]\w|,? and \d)"
        # A text of one letter is found in any sentence ("a triangle").
        if not re.fullmatch(r"\W*|[a-z]", wanted) and re.search(pattern, plain):
            inside[place] = wanted
    longest = max(inside.values(), key=len, default="")
    best = [place for place, wanted in inside.items() if wanted == longest]
    if len(best) != 1:
        return "" if best else None
    return best[0] if all(wanted in longest for wanted in inside.values()) else ""


def _degrees(text: str) -> str:
    plain = text.replace("^\\circ", "\u00b0").replace("^{\\circ}", "\u00b0").replace("$", "").replace("\\%", "%")
    return re.sub(r"\s{0,2}\bdegrees?\b", "\u00b0", plain)


def choice(response: str, question: Question) -> Verdict:
    """1 if the response names the right option, by its letter or by its text; `answers` are options' texts."""
    letters = LETTERS[: len(question.choices)]
    said, method = read(response, question.choices, letters)
    if said is None:
        return NOTHING
    option = question.choices[letters.index(said)]
    return Verdict(option, float(option in question.answers), method)


def check_letters(at: str, question: Question) -> None:
    """Raises: DataError if an answer is not the letter of an option, or there are more options than letters."""
    if question.choices and not 2 <= len(question.choices) <= len(LETTERS):
        raise DataError(f"{at}: an answer that is a letter needs 2 to 26 choices, found {len(question.choices)}.")
    known = LETTERS[: len(question.choices)] if question.choices else LETTERS
    for answer in question.answers:
        if len(answer.strip()) != 1 or answer.strip().upper() not in known:
            raise DataError(f"{at}: the answer '{answer}' is not the letter of a choice; {nearest(answer, known)}")


def check_options(at: str, question: Question) -> None:
    """Raises: DataError if an answer is no option's text, or there are more options than letters."""
    if not 2 <= len(question.choices) <= len(LETTERS):
        raise DataError(f"{at}: multiple choice needs 2 to 26 choices, found {len(question.choices)}.")
    for answer in question.answers:
        if answer not in question.choices:
            raise DataError(f"{at}: the answer '{answer}' is none of its choices; {nearest(answer, question.choices)}")


def check_choices(at: str, question: Question) -> None:
    """Raises: DataError if an answer is no option, or the options cannot be told apart by letter and text."""
    check_options(at, question)
    choices = question.choices
    if len({normalise(option) for option in choices}) < len(choices):
        raise DataError(f"{at}: two of its choices differ by case or punctuation only: {', '.join(choices)}.")
    for place, option in zip(LETTERS, choices, strict=False):
        if option.upper() != place and option.upper() in LETTERS[: len(choices)]:
            raise DataError(f"{at}: the choice '{option}' is the letter of another choice; use answer_type 'exact'.")
