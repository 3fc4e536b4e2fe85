"""Where the final answer of a response stands, whatever today's models wrap it in.

Before any rule reads a response, its reasoning goes, and what it says explicitly is the final answer takes its place:
in tags, in JSON, under a heading. What is decoration (bold, quotes, code, dollar signs) around all of it goes too. What
is explained after an explicit answer does not count, nor what stands before it.
"""

from __future__ import annotations

import json
import re

from pruning_regimes.scoring.text import CLOSING, CUE, boxed, normalise

# Marks of reasoning by maker: <think>, ◁think▷, [THINK] and their kin.
REASONING = re.compile(
    r"<(/?)(?:think|thinking|reasoning|thought)>|\u25c1(/?)think\u25b7|\[(/?)THINK\]|<\|(?:begin|(end))_of_thought\|>",
    re.IGNORECASE,
)
# Channels: with their marks, and as a tokenizer leaves them that drops special tokens.
FINAL_CHANNEL = re.compile(r"<\|channel\|>\s{0,3}final\s{0,3}<\|message\|>")
OTHER_CHANNEL = re.compile(r"<\|channel\|>\s{0,3}(?:analysis|commentary)\b")
BARE_CHANNEL = re.compile(r"\Aanalysis\b|\Aanalysis(?=[A-Z])")
BARE_FINAL = re.compile(r"assistantfinal")
SPECIAL = re.compile(r"</?s>|<\|[A-Za-z_]{1,30}\|>")  # ends of turns that a tokenizer let through
BOX = re.compile(r"<\|(?:begin_of_box)\|>(.*?)(?:<\|end_of_box\|>|\Z)", re.DOTALL)
OPENED = re.compile(r"<(final[_ ]?answer|answer)>", re.IGNORECASE)
CLOSED = re.compile(r"</(?:final[_ ]?answer|answer)>", re.IGNORECASE)
KEYS = ("final_answer", "final answer", "answer")
IN_JSON = re.compile(
    r'"(?:final[_ ])?answer"\s{0,3}:\s{0,3}("(?:[^"\\]|\\.){0,4000}"|-?\d[\d.,eE+-]{0,40})', re.IGNORECASE
)
HEADING = re.compile(
    r"^[ \t]{0,3}(?:#{1,6}[ \t]{0,3}[*_]{0,3}|[*_]{2,3})(?:the[ \t])?(?:final[ \t])?answer[*_: \t]{0,6}\n+(.+)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
EXPLANATION = re.compile(
    r"\n\s{0,6}[*_#]{0,4}\s{0,2}(?:Explanation|Reasoning|Reason|Justification|Rationale)\b[*_]{0,3}\s{0,2}:",
    re.IGNORECASE,
)
# Opening and closing marks of what may stand around a whole answer.
AROUND = (
    ("***", "***"), ("**", "**"), ("__", "__"), ("```", "```"), ("`", "`"), ("$$", "$$"), ("$", "$"), ("\\(", "\\)"),
    ("\\[", "\\]"), ('"', '"'), ("\u201c", "\u201d"), ("\u2018", "\u2019"), ("\u300c", "\u300d"),
)  # fmt: skip
TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s?\{")
SHORT = 200  # characters of an answer that an explanation follows
PREFIX = re.compile(
    r"\A[#> \t]{0,6}(?:[*_]{1,3}(?:the\s)?(?:final\s|correct\s)?answer[*_]{0,3}\s?[:\uff1a][*_]{0,3}"
    r"|(?:the\s)?(?:final\s|correct\s)?answer\s?[:\uff1a])[ \t]{0,4}"
    r"|\A(?:\u6545\u9009|\u56e0\u6b64\u9009|\u6240\u4ee5\u9009|\u5e94\u9009|\u7b54\u6848\s?(?:\u662f|\u4e3a)?\s?[:\uff1a]?"
    r"|\u7b54\s?[:\uff1a])\s?",
    re.IGNORECASE,
)
HEDGE = re.compile(r"\s{0,3}\((?:approximately|approx\.?|about|roughly)\)\s{0,3}\Z", re.IGNORECASE)
POLITE = re.compile(r"\.?\s{1,3}I hope (?:it is correct|this helps)[.!]?\s{0,3}\Z", re.IGNORECASE)
# Letters, digits and marks of full width, in whose place plain ones stand where texts are not compared as they are.
FULL_WIDTH = {0xFEE0 + code: code for code in range(0x21, 0x7F)} | {0x3000: " ", 0x3002: ". ", 0x3001: ", "}
REFUSAL = re.compile(
    r"\W{0,3}(?:(?:i['\u2019]?m|i am)\s(?:sorry|unable|not able)|sorry\b|i\s(?:can(?:not|['\u2019]t)|could\snot)\s|"
    r"unable\sto\b|as an ai\b|without\b[^.]{1,120}\b(?:impossible|cannot|can['\u2019]t|not possible)\b|"
    r"(?:it|this)\s(?:is|would be)\s(?:impossible|not possible)\b|please\s(?:provide|give|upload|share)\b)",
    re.IGNORECASE,
)
MAX_LAYERS = 6


def without_reasoning(text: str) -> str:
    """What a reader sees: no reasoning in tags or channels, closed or cut off, and no special tokens.

    A text with nothing after its reasoning is what stands before it.
    """
    channels = list(FINAL_CHANNEL.finditer(text))
    if channels:
        text = text[channels[-1].end() :]
    elif OTHER_CHANNEL.search(text):
        text = ""
    elif BARE_CHANNEL.search(text) and (found := list(BARE_FINAL.finditer(text))):
        text = text[found[-1].end() :]
    marks = list(REASONING.finditer(text))
    closing = [mark for mark in marks if any(mark.groups())]
    after = text[closing[-1].end() :] if closing else text
    opening = REASONING.search(after)
    after = after[: opening.start()] if opening else after
    if marks and not after.strip():
        after = text[: marks[0].start()] if not any(marks[0].groups()) else ""
    after = BOX.sub(lambda found: f"<answer>{found[1]}</answer>", after)
    return SPECIAL.sub("", after).strip()


def explicit(text: str) -> tuple[str, str] | None:
    """What a response marks as its final answer, and by what: a tag, JSON or a heading; None if it marks nothing."""
    opened = list(OPENED.finditer(text))
    if opened:
        inside = text[opened[-1].end() :]
        closed = CLOSED.search(inside)
        inside = (inside[: closed.start()] if closed else inside).strip()
        if inside:
            return inside, "tag"
    if said := _in_json(text):
        return said, "json"
    headings = list(HEADING.finditer(text))
    if headings:
        return headings[-1][1].strip().split("\n\n")[0].strip(), "heading"
    return None


def _in_json(text: str) -> str | None:
    plain = re.sub(r"\A```(?:json)?\s*|\s*```\Z", "", text.strip(), flags=re.IGNORECASE)
    if not plain.startswith("{"):
        return None
    try:
        found = json.loads(plain)
    except ValueError:
        match = IN_JSON.search(plain)
        return match[1].strip('"').strip() if match else None
    except RecursionError:
        return None
    if not isinstance(found, dict):
        return None
    lower = {str(key).casefold(): value for key, value in found.items()}
    value = next((lower[key] for key in KEYS if key in lower), None)
    return str(value).strip() or None if isinstance(value, (str, int, float)) and value is not None else None


def bare(text: str) -> str:
    r"""A text without the marks around all of it: bold, quotes, code, dollar signs, a box, \text."""
    text = text.strip()
    for _ in range(MAX_LAYERS):
        before = text
        for opening, closing in AROUND:
            inside = text[len(opening) : len(text) - len(closing)]
            if (
                len(text) > len(opening) + len(closing)
                and text.startswith(opening)
                and text.endswith(closing)
                and opening not in inside
                and closing not in inside
            ):
                text = inside.strip()
        if re.match(r"\\?boxed\s?\{", text) and text.endswith("}"):
            inside = boxed(text)
            if inside is not None and text.endswith(inside + "}"):
                text = inside.strip()
        match = TEXT.match(text)
        if match and _closes(text, match.end()) == len(text) - 1:
            text = text[match.end() : -1].strip()
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        if len(lines) > 1 and len(set(lines)) == 1:
            text = lines[0]
        if text == before:
            break
    return text


def final(text: str) -> tuple[str, str | None]:
    """What of a response its rule reads, and how it was found: None if that is the response itself, undecorated."""
    said = explicit(text)
    found, method = said or (text, None)
    explained = EXPLANATION.search(found)
    if explained and 0 < explained.start() <= SHORT:
        found = found[: explained.start()]
    plain = bare(HEDGE.sub("", POLITE.sub("", found)))
    if method is None and "boxed" in found and "boxed" not in plain:
        method = "boxed"
    found = plain
    prefix = PREFIX.match(found)
    if prefix and "\n" not in found and len(found) <= SHORT:
        after = bare(found[prefix.end() :].rstrip("\u3002").strip())
        found, method = (after, method or "cue") if after else (found, method)
    return found, method


def final_plain(text: str) -> tuple[str, str | None]:
    """The same, with letters, digits and marks of full width as plain ones."""
    return final(text.translate(FULL_WIDTH))


def stated(text: str) -> tuple[str, str | None]:
    """The same for a rule that takes the whole text as the answer: what follows "Answer:" and its kin alone is left."""
    found, method = final(text)
    inside = boxed(found)
    if inside is not None and inside.strip():
        return bare(inside), "boxed"
    cues = [cue for cue in CUE.finditer(found) if found[cue.end() :].strip(" \t\r\n:=*_.")]
    if cues:
        after = found[cues[-1].end() :].strip(" \t\r\n:=*_").split("\n")[0]
        closing = CLOSING.search(after)
        after = after[: closing.start()] if closing and closing.start() else after
        found, method = bare(after.strip().rstrip(".").strip("*_ ")), method or "cue"
    return found, method


def _closes(text: str, start: int) -> int:
    """Where the brace that is open at a place closes; -1 if it does not."""
    depth = 1
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return -1


def refuses(text: str) -> bool:
    """Whether a response says that it cannot answer, and nothing else is marked as its answer."""
    return REFUSAL.match(text) is not None and explicit(text) is None and CUE.search(text) is None


def echoes(text: str, asked: str) -> bool:
    """Whether a response only repeats the question."""
    return bool(asked.strip()) and normalise(text) == normalise(asked)
