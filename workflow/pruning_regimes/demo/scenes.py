"""Draw the demo images: 72 x 72 pixels, a 3 x 3 grid of cells, one image token per cell.

An image shows one of four contents: objects, a bar chart, an expression, or letters. A content knows what stands in
each cell, so that it can be drawn, asked about (`questions.py`) and used as dense labels for the vision tower.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL = 24
GRID = 3
SIZE = CELL * GRID
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (205, 45, 45),
    "green": (40, 150, 60),
    "blue": (45, 80, 205),
    "yellow": (225, 185, 30),
}
SHAPES = ("circle", "square", "triangle", "cross")
DIGITS = "0123456789"
OPERATORS = "+-x"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = (
    "ant bag bat bed box bus cap cat cow cup dog ear egg fan fig fox gas hat hen ice ink jam jar jet key kit leg lip "
    "map mud net nut oak owl pan pen pie pig pot rat rug saw sea sky sun tax tea toy van vow wax web yak zip zoo"
).split()
MAX_BAR = 6

# The dense label of a cell, in the order of the tower's classes.
CELL_LABELS: tuple[str, ...] = (
    "empty",
    *(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES),
    *(f"{colour} bar {part}" for colour in COLOURS for part in ("half", "full")),
    *dict.fromkeys(DIGITS + OPERATORS + LETTERS),  # x is an operator and a letter, drawn alike
)
LABEL_INDEX = {label: index for index, label in enumerate(CELL_LABELS)}


@dataclass(frozen=True)
class Objects:
    """Coloured shapes, `cells[i]` = (colour, shape) or None, in reading order."""

    cells: tuple[tuple[str, str] | None, ...]

    @property
    def present(self) -> list[tuple[int, str, str]]:
        """(cell, colour, shape) of each object in reading order."""
        return [(i, *cell) for i, cell in enumerate(self.cells) if cell is not None]


@dataclass(frozen=True)
class Chart:
    """Three bars, left to right: distinct colours and heights 1..6 in half cells."""

    colours: tuple[str, str, str]
    heights: tuple[int, int, int]


@dataclass(frozen=True)
class Glyphs:
    """Characters in cells; `text` stands from cell `start` on in reading order. `kind`: expression, word or letter."""

    kind: str
    text: str
    start: int


Content = Objects | Chart | Glyphs


def sample_objects(rng: np.random.Generator) -> Objects:
    """1 to 4 objects; half of the scenes use only two colours or two shapes, so that larger counts occur."""
    colours, shapes = list(COLOURS), list(SHAPES)
    if rng.random() < 0.5:
        colours = list(rng.choice(colours, 2, replace=False))
    if rng.random() < 0.5:
        shapes = list(rng.choice(shapes, 2, replace=False))
    cells: list[tuple[str, str] | None] = [None] * (GRID * GRID)
    for cell in rng.choice(GRID * GRID, int(rng.integers(1, 5)), replace=False):
        cells[cell] = (str(rng.choice(colours)), str(rng.choice(shapes)))
    return Objects(tuple(cells))


def sample_chart(rng: np.random.Generator) -> Chart:
    """Three bars of distinct colours and independent heights."""
    colours = tuple(str(c) for c in rng.choice(list(COLOURS), GRID, replace=False))
    heights = tuple(int(h) for h in rng.integers(1, MAX_BAR + 1, GRID))
    return Chart(colours, heights)  # type: ignore[arg-type]


def sample_expression(rng: np.random.Generator) -> Glyphs:
    """One step with operands 1..9, or two steps with operands 1..5; the result is never negative."""
    while True:
        steps, largest = (1, 9) if rng.random() < 0.5 else (2, 5)
        text = str(rng.integers(1, largest + 1))
        for _ in range(steps):
            text += str(rng.choice(list(OPERATORS))) + str(rng.integers(1, largest + 1))
        if evaluate(text) >= 0:
            start = int(rng.integers(GRID)) * GRID if steps == 1 else 0
            return Glyphs("expression", text, start)


def sample_letters(rng: np.random.Generator) -> Glyphs:
    """One letter in any cell, or a three-letter word in any row."""
    if rng.random() < 0.4:
        return Glyphs("letter", str(rng.choice(list(LETTERS))), int(rng.integers(GRID * GRID)))
    return Glyphs("word", str(rng.choice(WORDS)), int(rng.integers(GRID)) * GRID)


def evaluate(text: str) -> int:
    """The value of an expression of single digits with +, - and x; multiplication binds tighter."""
    total, sign = 0, 1
    product = int(text[0])
    for operator, digit in zip(text[1::2], text[2::2], strict=True):
        if operator == "x":
            product *= int(digit)
        else:
            total += sign * product
            sign, product = (1 if operator == "+" else -1), int(digit)
    return total + sign * product


def cell_labels(content: Content) -> list[int]:
    """Index into `CELL_LABELS` of each of the nine cells, in reading order."""
    labels = ["empty"] * (GRID * GRID)
    if isinstance(content, Objects):
        for cell, colour, shape in content.present:
            labels[cell] = f"{colour} {shape}"
    elif isinstance(content, Chart):
        for column, (colour, height) in enumerate(zip(content.colours, content.heights, strict=True)):
            for level in range(GRID):
                part = min(max(height - 2 * level, 0), 2)
                if part:
                    labels[(GRID - 1 - level) * GRID + column] = f"{colour} bar {('half', 'full')[part - 1]}"
    else:
        for offset, glyph in enumerate(content.text):
            labels[content.start + offset] = glyph
    return [LABEL_INDEX[label] for label in labels]


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)  # type: ignore[return-value]  # the font that Pillow carries, the same anywhere


def draw(content: Content, rng: np.random.Generator) -> Image.Image:
    """Draw a content; position, size, shade and noise come from `rng`.

    Returns: RGB image, 72 x 72.
    """
    background = int(rng.integers(228, 256))
    image = Image.new("RGB", (SIZE, SIZE), (background,) * 3)
    canvas = ImageDraw.Draw(image)
    if isinstance(content, Objects):
        for cell, colour, shape in content.present:
            _draw_object(canvas, cell, colour, shape, rng)
    elif isinstance(content, Chart):
        for column, (colour, height) in enumerate(zip(content.colours, content.heights, strict=True)):
            left = column * CELL + int(rng.integers(3, 7))
            top = SIZE - height * CELL // 2
            canvas.rectangle((left, top, left + 14, SIZE - 1), fill=_shade(colour, rng))
    else:
        for offset, glyph in enumerate(content.text):
            row, column = divmod(content.start + offset, GRID)
            centre = (column * CELL + CELL / 2 + rng.integers(-1, 2), row * CELL + CELL / 2 + rng.integers(-1, 2))
            ink = int(rng.integers(0, 70))
            canvas.text(centre, glyph, fill=(ink,) * 3, font=_font(int(rng.integers(20, 23))), anchor="mm")
    pixels = np.asarray(image, dtype=np.int16) + rng.integers(-4, 5, (SIZE, SIZE, 1), dtype=np.int16)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _shade(colour: str, rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(np.clip(channel + rng.integers(-18, 19), 0, 255)) for channel in COLOURS[colour])


def _draw_object(canvas: ImageDraw.ImageDraw, cell: int, colour: str, shape: str, rng: np.random.Generator) -> None:
    row, column = divmod(cell, GRID)
    x = column * CELL + CELL / 2 + int(rng.integers(-2, 3))
    y = row * CELL + CELL / 2 + int(rng.integers(-2, 3))
    r = int(rng.integers(7, 10))
    fill = _shade(colour, rng)
    if shape == "circle":
        canvas.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    elif shape == "square":
        canvas.rectangle((x - r + 1, y - r + 1, x + r - 1, y + r - 1), fill=fill)
    elif shape == "triangle":
        canvas.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=fill)
    else:
        canvas.rectangle((x - r, y - 2, x + r, y + 2), fill=fill)
        canvas.rectangle((x - 2, y - r, x + 2, y + r), fill=fill)
