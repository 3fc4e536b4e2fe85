"""Images of data sets, in formats that Pillow decodes itself: for others, such as EPS, it starts a program."""

from __future__ import annotations

import io

from PIL import Image

from pruning_regimes.jobs.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
# What Pillow raises for an image that it cannot decode; SyntaxError for damaged PNG files.
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
SIXTEEN_BITS = "I;16"
UNBOUNDED = ("I", "F")


def opened(encoded: bytes) -> Image.Image:
    """An image as Pillow opens it; its pixels are not read yet.

    Raises: one of `UNREADABLE`, if it is none of `FORMATS`, or damaged.
    """
    return Image.open(io.BytesIO(encoded), formats=FORMATS)


def rgb(encoded: bytes) -> Image.Image:
    """An image as a model is given it: RGB, 8 bits a channel; transparency is dropped, as benchmarks' own code does.

    Images of 16 bits are scaled, where Pillow would clip them: nearly all of their pixels would be white.

    Raises: one of `UNREADABLE`, if it cannot be decoded; DataError if black and white are not known for its pixels.
    """
    image = opened(encoded)
    if image.mode in UNBOUNDED:
        raise DataError(f"An image has pixels of 32 bits (mode {image.mode}); store it with 8 or 16 bits.")
    if image.mode.startswith(SIXTEEN_BITS):
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    return image.convert("RGB")
