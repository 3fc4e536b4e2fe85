"""Images of data sets, in formats that Pillow decodes itself: for others, such as EPS, it starts a program."""

from __future__ import annotations

import io

from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")


def opened(encoded: bytes) -> Image.Image:
    """An image as Pillow opens it; its pixels are not read yet.

    Raises: OSError, and others of Pillow's, if it is none of `FORMATS`, or damaged.
    """
    return Image.open(io.BytesIO(encoded), formats=FORMATS)
