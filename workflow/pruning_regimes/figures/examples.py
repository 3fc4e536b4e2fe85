"""Example answers: questions with their images, and what is answered as more layers go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from pruning_regimes.figures.style import DPI, INK, across, empty, human, save, sentence, theme
from pruning_regimes.figures.texts import ELLIPSIS, LINE, printable, width, wrapped
from pruning_regimes.inference.pictures import UNREADABLE, rgb
from pruning_regimes.jobs.errors import DataError
from pruning_regimes.report.examples import RIGHT

EMPTY = "There is no example to show: the dense model answers none of these questions rightly."
UNSEEN = "[image cannot\nbe shown]"
NARROWEST = 3.0  # width of a question's block in inches
# Height in inches of a picture beside the answers, or above them; width to height from which on it stands above.
PICTURE, BANNER, WIDE = 1.1, 0.8, 1.8
SHARE = 0.38  # of a block's width, at most, goes to a picture beside the answers
MOST, TILE = 4, 0.7  # pictures of one question, and the side of each if there are several, in inches
EDGE, GAP, SPACE = 0.06, 0.22, 0.08  # inches: around all, between blocks, between the parts of a block
TITLE, HEAD, QUESTION, ANSWER, NOTE = 9.5, 8.5, 7.5, 7.0, 6.5  # sizes of text
LONGEST = {"question": 4, "reference": 2, "answer": 2}  # lines
GREY, RULE = "#6B6B6B", "#D0D0D0"
BOLD = 1.15  # how much wider bold letters are
PICTURES = "<picture>"  # label of the axes that hold one
MARK = 0.13  # inches that a mark takes
RIGHT_MARK, WRONG_MARK = ("✔", "#0072B2"), ("✘", "#D55E00")


@dataclass
class Block:
    """Words and pictures with their places, in inches from the upper left corner; `height` is how far down they go."""

    words: list[tuple[float, float, str, dict[str, Any]]] = field(default_factory=list)
    pictures: list[tuple[float, float, float, float, Image.Image]] = field(default_factory=list)
    height: float = 0.0

    def write(self, left: float, text: str, size: float, colour: str = INK, **font: Any) -> None:
        """Write lines below the last."""
        for line in text.split("\n"):
            self.words.append((left, self.height + size / 72, line, {"fontsize": size, "color": colour, **font}))
            self.height += LINE * size / 72

    def show(self, left: float, top: float, picture: Image.Image | None, inches: tuple[float, float]) -> None:
        """Put a picture into a place of some width and height; what cannot be read is told instead."""
        if picture is None:
            for number, line in enumerate(UNSEEN.split("\n"), start=1):
                at = top + number * LINE * NOTE / 72
                self.words.append((left, at, line, {"fontsize": NOTE, "color": GREY}))
        else:
            self.pictures.append((left, top, *inches, picture))


def draw(
    examples: pl.DataFrame, model: str, criterion: str, style: Mapping[str, Any], outputs: Sequence[str | Path]
) -> None:
    """Draw the example answers and save them to each output."""
    save(figure(examples, model, criterion, style), outputs)


@theme()
def figure(examples: pl.DataFrame, model: str, criterion: str, style: Mapping[str, Any]) -> Figure:
    """A block per question: the question, its images, the reference answer, and the answers with their marks.

    Args:
        examples: the examples table.
        model, criterion: whose answers they are.
        style: as in the config.
    """
    if examples.is_empty():
        return sentence(style, EMPTY)
    whole = across(style) - 2 * EDGE
    columns = min(len(examples), max(1, int(whole / NARROWEST)))
    inches = (whole - (columns - 1) * GAP) / columns
    head = _head(f"{model}, layers removed by {human(criterion)}", style, whole)
    blocks = [_block(row, inches) for row in examples.iter_rows(named=True)]
    placed, rules, top = [(0.0, 0.0, head)], [], head.height
    for first in range(0, len(blocks), columns):
        line = blocks[first : first + columns]
        rules.append(top)
        placed += [(column * (inches + GAP), top + SPACE, block) for column, block in enumerate(line)]
        top += max(block.height for block in line) + 2 * SPACE
    return _laid_out(placed, rules, top, style)


def _head(text: str, style: Mapping[str, Any], inches: float) -> Block:
    """What stands above all blocks."""
    head = Block(height=EDGE)
    if style.get("title"):
        head.write(0, wrapped(style["title"], inches, TITLE, lines=4, tail=0), TITLE)
    head.write(0, wrapped(text, inches / BOLD, HEAD, lines=3), HEAD, fontweight="bold")
    left, line = 0.0, head.height
    for (mark, colour), meaning in ((RIGHT_MARK, "right"), (WRONG_MARK, "wrong")):
        head.height = line
        head.write(left, mark, ANSWER, colour)
        head.height = line
        head.write(left + MARK, meaning, ANSWER)
        left += MARK + width(meaning, ANSWER) + 2 * SPACE
    head.height += SPACE / 2
    return head


def _block(row: Mapping[str, Any], inches: float) -> Block:
    """A question with its images and answers.

    Args:
        row: of the examples table.
        inches: width of the block.
    """
    block = Block()
    block.write(0, wrapped(human(row["benchmark"]), inches, NOTE), NOTE, GREY)
    question = wrapped(printable(row["question"]), inches, QUESTION, LONGEST["question"], tail=0)
    block.write(0, question, QUESTION)
    reference = wrapped(f"reference: {printable(row['reference'])}", inches, ANSWER, LONGEST["reference"], tail=0)
    block.write(0, reference, ANSWER, GREY)
    block.height += SPACE
    left, bottom = _show(block, row["images"], inches)
    _answer(block, row, left, inches)
    block.height = max(block.height, bottom) + SPACE / 2
    first = f"first wrong at {row['first_wrong']} removed" if row["first_wrong"] else "right at all budgets"
    note = f"{first}: {row['n_alike']} of the dense model's {row['n_right']} right answers"
    block.write(0, wrapped(note, inches, NOTE, lines=2), NOTE, GREY)
    return block


def _show(block: Block, images: Sequence[bytes], inches: float) -> tuple[float, float]:
    """Put the images above or beside the answers: where these begin from the left, and how far down the images go."""
    top, pictures = block.height, [_picture(encoded) for encoded in images[:MOST]]
    if not pictures:
        return 0.0, top
    if len(pictures) == 1:
        shape = pictures[0].width / pictures[0].height if pictures[0] else 1.0
        wide = shape >= WIDE
        high = min(BANNER, inches / shape) if wide else min(PICTURE, SHARE * inches / shape)
        block.show(0, top, pictures[0], (high * shape, high))
        if wide:
            block.height += high + SPACE
            return 0.0, block.height
        return high * shape + 2 * SPACE, top + high
    for index, picture in enumerate(pictures):
        row, column = divmod(index, 2)
        shape = picture.width / picture.height if picture else 1.0
        side = (TILE * min(1, shape), TILE / max(1, shape))
        block.show(column * (TILE + SPACE), top + row * (TILE + SPACE), picture, side)
    bottom = top + ceil(len(pictures) / 2) * (TILE + SPACE)
    if len(images) > MOST:
        block.words.append((0, bottom + NOTE / 72, f"and {len(images) - MOST} more", {"fontsize": NOTE, "color": GREY}))
        bottom += LINE * NOTE / 72
    return 2 * (TILE + SPACE) + SPACE, bottom


def _picture(encoded: bytes) -> Image.Image | None:
    """An image as the models are given it, None if it cannot be decoded."""
    try:
        return rgb(encoded)
    except (*UNREADABLE, DataError):
        return None


def _answer(block: Block, row: Mapping[str, Any], left: float, inches: float) -> None:
    """A line per number of layers removed: right or wrong, the number, the answer."""
    counts = [str(count) if count else "dense" for count in row["n_removed"]]
    label = max(width(text, ANSWER) for text in ("removed", *counts)) + SPACE
    at = left + MARK + label
    top = block.height
    block.write(left + MARK, "removed", NOTE, GREY)
    block.height = top
    block.write(at, "answer", NOTE, GREY)
    for count, answer, read, score in zip(counts, row["answers"], row["read"], row["scores"], strict=True):
        mark, colour = RIGHT_MARK if score >= RIGHT else WRONG_MARK
        top = block.height
        block.write(left, mark, ANSWER, colour)
        block.height = top
        block.write(left + MARK, count, ANSWER)
        block.height = top
        partly = f" (score\u00a0{score:.2g})" if 0 < score < 1 else ""
        block.write(at, _said(printable(answer), printable(read), partly, inches - at), ANSWER)


def _said(answer: str, read: str, partly: str, inches: float) -> str:
    """An answer in as many lines as it may have; what was read in it stands below its beginning if it is cut."""
    whole = wrapped(answer + partly, inches, ANSWER, LONGEST["answer"], tail=0)
    if not whole.endswith(ELLIPSIS):
        return whole
    return "\n".join(
        [wrapped(answer, inches, ANSWER, 1, tail=0), wrapped(f"→ {read or 'nothing read'}{partly}", inches, ANSWER)]
    )


def _laid_out(
    placed: Iterable[tuple[float, float, Block]], rules: Iterable[float], height: float, style: Mapping[str, Any]
) -> Figure:
    """The figure of all blocks, smaller where the style's height is less than theirs.

    Args:
        placed: left, top and block.
        rules: heights of the lines between blocks.
        height: of all of them.
    """
    drawn = empty({**style, "title": ""}, height)
    drawn.set_layout_engine("none")
    across, down = drawn.get_figwidth(), drawn.get_figheight()
    scale = min(1.0, down / height)

    def place(left: float, top: float) -> tuple[float, float]:
        return EDGE / across + scale * left / across, 1 - scale * top / down

    for top in rules:
        (left, y), (right, _) = place(0, top), place(across - 2 * EDGE, top)
        drawn.add_artist(Line2D([left, right], [y, y], color=RULE, linewidth=0.6))
    for left, top, block in placed:
        for x, y, text, font in block.words:
            font = {**font, "fontsize": scale * font["fontsize"]}
            drawn.text(*place(left + x, top + y), text, parse_math=False, **font)
        for x, y, wide, high, picture in block.pictures:
            at, size = place(left + x, top + y + high), (scale * wide / across, scale * high / down)
            ax = drawn.add_axes((*at, *size), label=PICTURES)
            picture.thumbnail((ceil(wide * DPI), ceil(high * DPI)))
            ax.imshow(np.asarray(picture), interpolation="nearest", aspect="auto")
            ax.set(xticks=[], yticks=[])
    return drawn
