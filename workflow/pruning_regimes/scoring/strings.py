"""Rules that compare the whole response as a text: DocVQA's ANLS, VQA's soft accuracy, OCRBench, GQA."""

from __future__ import annotations

import re
import string

from rapidfuzz.distance import Levenshtein

from pruning_regimes.jobs.errors import DataError
from pruning_regimes.scoring.numbers import WORDS
from pruning_regimes.scoring.text import whole_verdict
from pruning_regimes.scoring.verdict import Question, Verdict

ANLS_THRESHOLD = 0.5
ENOUGH = 3  # annotators that have to agree with an answer for it to be fully right
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
ARTICLES = {"a", "an", "the"}
NUMBERS = {"none": "0"} | {word: str(number) for word, number in WORDS.items()}
DIGIT_COMMA = re.compile(r"(?<=\d),+(?=\d)")
FULL_WIDTH = {0xFEE0 + code: code for code in range(0x21, 0x7F)} | {0x3000: 0x20}
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
POINT = re.compile(r"\.(?!\d)")
MAX_POINTS = 32
# Contractions that VQA's normaliser restores (Goyal et al. 2017), from their forms with one apostrophe left out.
CONTRACTIONS = (
    "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd "
    "he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've "
    "needn't not've o'clock oughtn't shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll "
    "somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll that's "
    "there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've "
    "weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's who've "
    "why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll "
    "you're you've"
).split()
RESTORED = {
    short[:place] + short[place + 1 :]: short
    for short in CONTRACTIONS
    for place, character in enumerate(short)
    if character == "'"
} | {"somebody'd": "somebodyd"}


def anls(response: str, question: Question) -> Verdict:
    """Normalised Levenshtein similarity to the nearest answer, 0 below 0.5 (DocVQA, Mathew et al. 2021).

    Lengths are those of the texts that are compared: lower case, single spaces.
    """
    said = " ".join(response.lower().split())
    scores = [_similarity(said, gold, max(len(said), len(gold))) for gold in map(_plain, question.answers)]
    return whole_verdict(response.strip(), _kept(scores))


def anls_upstream(response: str, question: Question) -> Verdict:
    """ANLS as lmms-eval and VLMEvalKit have it.

    Fault: the distance is that of the normalised texts, but the length is that of the raw ones, so that spaces around
    an answer raise its score.
    """
    said = " ".join(response.strip().lower().split())
    scores = [_similarity(said, _plain(gold), max(len(response), len(gold))) for gold in question.answers]
    return whole_verdict(response.strip(), _kept(scores))


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _similarity(said: str, gold: str, length: int) -> float:
    return 1 - Levenshtein.distance(said, gold) / length if length else 1.0


def _kept(scores: list[float]) -> float:
    best = max(scores, default=0.0)
    return best if best >= ANLS_THRESHOLD else 0.0


def vqa_normalise(text: str) -> str:
    """A text as VQA's evaluation compares it (EvalAI's processor): no articles, digits for words, less punctuation.

    Its quirks are part of every published number and stay: a point goes unless a digit follows it, punctuation becomes
    a space only where no space touches it, "none" is 0.
    """
    plain = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    plain = plain.replace("\n", " ").replace("\t", " ").strip()
    out, joined = plain, DIGIT_COMMA.search(plain) is not None
    for mark in PUNCTUATION:
        touching = mark + " " in plain or " " + mark in plain
        out = out.replace(mark, "" if touching or joined else " ")
    words = [NUMBERS.get(word, word) for word in POINT.sub("", out, count=MAX_POINTS).split()]
    return " ".join(RESTORED.get(word, word) for word in words if word not in ARTICLES)


def vqa(response: str, question: Question) -> Verdict:
    """Soft accuracy: the mean, over leaving out each annotator, of min(1, annotators who agree / 3).

    Source: VQA (Goyal et al. 2017) and TextVQA; `answers` are the annotators' (ten upstream).
    """
    said = vqa_normalise(response)
    agree = [vqa_normalise(answer) == said for answer in question.answers]
    total = sum(agree)
    parts = [min(1.0, (total - one) / ENOUGH) for one in agree]
    return whole_verdict(response.strip(), sum(parts) / len(parts) if parts else 0.0)


def check_vqa(at: str, question: Question) -> None:
    """Raises: DataError for fewer annotators than a full score takes."""
    if len(question.answers) <= ENOUGH:
        raise DataError(
            f"{at}: answer_type 'vqa' needs the answers of more than {ENOUGH} annotators, found "
            f"{len(question.answers)}; use answer_type 'word' or 'exact'."
        )


def ocr(response: str, question: Question) -> Verdict:
    """1 if an answer stands in the response (OCRBench, Liu et al. 2023).

    Handwritten formulas are compared without spaces and by case, all else in lower case with full-width characters
    as ASCII ones.
    """
    kind = f"{question.metadata.get('dataset', '')} {question.metadata.get('question_type', '')}".casefold()
    formula = "hme100k" in kind or "handwritten mathematical" in kind
    plain = _spaceless if formula else _folded
    said = plain(response)
    gold = [plain(answer) for answer in question.answers]
    return whole_verdict(response.strip(), float(any(answer in said for answer in gold if answer)))


def _spaceless(text: str) -> str:
    return "".join(text.strip().replace("\n", " ").split(" "))


def _folded(text: str) -> str:
    return text.translate(FULL_WIDTH).lower().strip().replace("\n", " ")


def gqa(response: str, question: Question) -> Verdict:
    """1 if the response equals an answer, case, punctuation and outer spaces aside (GQA, Hudson and Manning 2019)."""
    said = _bare(response)
    return whole_verdict(response.strip(), float(said in {_bare(answer) for answer in question.answers}))


def _bare(text: str) -> str:
    return " ".join(text.casefold().translate(NO_PUNCTUATION).split())
