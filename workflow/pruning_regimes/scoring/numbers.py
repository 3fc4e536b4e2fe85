"""Numbers in texts: reading them without evaluating anything, and the rules for numeric answers."""

from __future__ import annotations

import math
import re

from pruning_regimes.jobs.errors import DataError
from pruning_regimes.scoring.text import MINUS, whole_verdict
from pruning_regimes.scoring.verdict import NOTHING, Question, Verdict

# A whole number that is not part of a word or of a decimal number, with or without thousands separators.
INTEGER = re.compile(r"(?<![\w.,])-?(?:\d{1,3}(?:,\d{3})+|\d++)(?!\w|[.,]\d)")
# A number in prose: separators, decimals, an exponent or a fraction; a unit may touch it, an ordinal is none.
NUMBER = re.compile(
    r"(?<![\w.])(?<!\d,)[-+]?(?:\d{1,3}(?:,\d{3})++|\d++)?(?:(?<=\d)(?:\.\d++)?|\.\d++)(?:[eE][-+]?\d{1,3}(?!\w))?"
    r"(?:\s?/\s?\d++(?:\.\d++)?)?(?!,?\d|\.\d|(?:st|nd|rd|th)\b)"
)
WORDS = {word: place for place, word in enumerate("zero one two three four five six seven eight nine ten".split())}
# A number or number word that a verb or an equals sign precedes, and that does not begin a list.
STATED = re.compile(
    r"(?:\b(?:is|are|be|was|were|equals|equal to|about|approximately|exactly|only|total of)\b|=|\u2248)[\s$*(]{0,4}"
    rf"((?:{NUMBER.pattern})|\b(?:{'|'.join(WORDS)})\b)(?!\s?,\s?[\d$]| (?:and|or|to) \d)",
    re.IGNORECASE,
)
BOLD = re.compile(r"\*\*([^*\n]{1,60})\*\*")
PLAIN = re.compile(r"[-+]?(?:(?:\d{1,3}(?:,\d{3})++|\d++)(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d{1,3})?")
CURRENCY = "$\u20ac\u00a3\u00a5"
YEARS = (1500, 2100)
TOLERANCE = 0.05
MAX_DIGITS = 4000  # Python reads no longer integers


def whole(text: str) -> int:
    """The integer that a text is, thousands separators allowed.

    Raises: ValueError if it is none.
    """
    return int(text.strip().translate(MINUS).replace(",", ""))


def number(text: str) -> float | None:
    """The finite number that a text is: separators, a currency sign and a final point are allowed, units are not."""
    plain = text.translate(MINUS).strip().rstrip(".").strip(f" \t\n{CURRENCY}")
    if plain.startswith("-"):
        plain = "-" + plain[1:].strip(f" {CURRENCY}")
    if not PLAIN.fullmatch(plain):
        return None
    value = float(plain.replace(",", ""))
    return value if math.isfinite(value) else None


def numbers(text: str) -> list[tuple[str, float]]:
    """The numbers in a text, in order: as they are written without separators, and their values."""
    found = []
    for match in NUMBER.finditer(text.translate(MINUS)):
        written = match[0].replace(",", "").replace(" ", "").lstrip("+")
        above, _, below = written.partition("/")
        value = float(above)
        if below:
            value = value / float(below) if float(below) else math.inf
        if math.isfinite(value):
            found.append((written, value))
    return found


def stated_number(sentence: str) -> str | None:
    """The number that a sentence gives, in digits: the only one in bold, the last after "is" or "=", the only one."""
    bold = {written for mark in BOLD.findall(sentence) for written, _ in numbers(mark)}
    if len(bold) == 1:
        return bold.pop()
    plain = sentence.translate(MINUS)
    stated = [match[1] for match in STATED.finditer(plain)]
    if stated:
        last = stated[-1].casefold()
        found = numbers(last)
        return str(WORDS[last]) if last in WORDS else found[0][0] if found else None
    written = {written for written, _ in numbers(plain)}
    if len(written) == 1:
        return written.pop()
    spelled = {WORDS[word] for word in re.findall(r"[a-z]++", plain.casefold()) if word in WORDS}
    return str(spelled.pop()) if not written and len(spelled) == 1 else None


def integer(response: str, question: Question) -> Verdict:
    """1 if the response is one integer, with or without words around it, and equals an answer.

    A response with two different integers has no answer: picking one of them would be a guess.
    """
    written = INTEGER.findall(response.translate(MINUS))
    found = {whole(one) for one in written if len(one) <= MAX_DIGITS}
    if len(found) != 1 or any(len(one) > MAX_DIGITS for one in written):
        return NOTHING
    value = found.pop()
    return Verdict(str(value), float(value in {whole(answer) for answer in question.answers}), "number")


def check_integers(at: str, question: Question) -> None:
    """Raises: DataError if an answer is no whole number."""
    for answer in question.answers:
        try:
            whole(answer)
        except ValueError as error:
            raise DataError(
                f"{at}: the answer '{answer}' is no whole number; write it in digits, or use answer_type 'exact'."
            ) from error


def as_word(text: str) -> str:
    """Lower case, no final point, number words and separators as digits, 3.0 as 3."""
    plain = " ".join(text.casefold().split()).rstrip(".").strip()
    plain = str(WORDS.get(plain, plain))
    value = number(plain)
    return plain if value is None else repr(int(value) if value.is_integer() else value)


def word(response: str, question: Question) -> Verdict:
    """1 if the response is one of the answers, be it in digits or as a number word.

    For an answer that is a number, the only number in a longer response is taken.
    """
    gold = {as_word(answer) for answer in question.answers}
    said = as_word(response)
    if said in gold or number(said) is not None or all(number(answer) is None for answer in gold):
        return whole_verdict(said, float(said in gold))
    spelled = [str(WORDS[token]) for token in re.findall(r"[a-z]++", response.casefold()) if token in WORDS]
    found = {as_word(written) for written, _ in numbers(response)} | set(spelled)
    # "One of the cubes ... 3": a number word may be no number; digits go first.
    if len(found) > 1:
        found -= set(spelled)
    if len(found) == 1:
        only = found.pop()
        return Verdict(only, float(only in gold), "number")
    return NOTHING if found else whole_verdict(said, 0.0)


def relaxed(response: str, question: Question) -> Verdict:
    """1 if a number is within 5% of the answer, or a text equals it (ChartQA, Masry et al. 2022).

    Unlike upstream, separators, currency signs and final points do not matter, a zero is a number, a per cent sign on
    one side only means either 62 or 0.62, exactly 5% is within 5%, and years (1500 to 2100) have to be exact.
    """
    return whole_verdict(response.strip(), max(float(_about(response, answer)) for answer in question.answers or ("",)))


def _about(response: str, answer: str) -> bool:
    said, gold = _percent(response), _percent(answer)
    if said is None or gold is None:
        return " ".join(response.casefold().split()).rstrip(".") == " ".join(answer.casefold().split()).rstrip(".")
    (value, percent), (wanted, wanted_percent) = said, gold
    if re.fullmatch(r"\d{4}", answer.strip()) and YEARS[0] <= wanted <= YEARS[1]:
        return value == wanted
    readings = {value} if percent == wanted_percent else {value, value / 100 if percent else value * 100}
    return any(abs(reading - wanted) <= TOLERANCE * abs(wanted) + 1e-9 * abs(wanted) for reading in readings)


def _percent(text: str) -> tuple[float, bool] | None:
    plain = text.strip().rstrip(".").rstrip()
    value = number(plain.removesuffix("%").rstrip())
    return None if value is None else (value, plain.endswith("%"))


def relaxed_upstream(response: str, question: Question) -> Verdict:
    """ChartQA's relaxed accuracy as lmms-eval has it, best of the answers.

    Faults: "62%" is not 62, nor "1,234" 1234, nor "$5" 5; years get 5% too; to an answer of 0 only the text "0" is
    equal; 5% above is out by a rounding error; what Python's float() reads ("1_000", "nan", "inf") is a number.
    """
    return whole_verdict(
        response.strip(), max(float(_about_upstream(response, answer)) for answer in question.answers or ("",))
    )


def _about_upstream(response: str, answer: str) -> bool:
    said, wanted = _float(response), _float(answer)
    if said is not None and wanted:
        return abs(said - wanted) / abs(wanted) <= TOLERANCE
    return response.lower() == answer.lower()


def _float(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
