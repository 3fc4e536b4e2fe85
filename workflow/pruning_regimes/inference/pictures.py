"""Images of data sets, in formats that Pillow decodes itself: for others, such as EPS, it starts a program."""

from __future__ import annotations

import io

from PIL import Image, ImageOps

from pruning_regimes.jobs.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
# What Pillow raises for an image that it cannot decode; SyntaxError for damaged PNG files.
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
SIXTEEN_BITS = "I;16"
UNBOUNDED = ("I", "F")
ORIENTATION, ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and its values that swap width and height
WHITE = (255, 255, 255, 255)


def opened(encoded: bytes) -> Image.Image:
    """An image as Pillow opens it; its pixels are not read yet.

    Raises: one of `UNREADABLE`, if it is none of `FORMATS`, or damaged.
    """
    return Image.open(io.BytesIO(encoded), formats=FORMATS)


def size(encoded: bytes) -> tuple[int, int]:
    """Width and height of the upright image, from its header alone.

    Raises: as `opened`.
    """
    image = opened(encoded)
    width, height = image.size
    return (height, width) if image.getexif().get(ORIENTATION) in ON_ITS_SIDE else (width, height)


def rgb(encoded: bytes) -> Image.Image:
    """An image as the exported model's own processor sees it: upright, RGB of 8 bits, transparency over white.

    The orientation that a camera stores is applied as by `datasets.Image` and transformers' `load_image`, and what is
    transparent becomes white as by transformers' `convert_to_rgb`. Of an animation it is the first frame.

    Raises: one of `UNREADABLE`, if it cannot be decoded; DataError if black and white are not known for its pixels.
    """
    image = opened(encoded)
    if image.mode in UNBOUNDED:
        raise DataError(f"An image has pixels of 32 bits (mode {image.mode}); store it with 8 bits a channel.")
    image = ImageOps.exif_transpose(image)
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    return image.convert("RGB")


def unfit(encoded: bytes) -> str | None:
    """Why an image cannot be shown to a model, without a full stop; None if nothing stands against it.

    Reads the header, and the pixels only of an image with more than 8 bits a channel: transformers clips these, so that
    nearly all of them would be white.
    """
    try:
        image = opened(encoded)
        if image.mode in UNBOUNDED or (image.mode.startswith(SIXTEEN_BITS) and image.getextrema()[1] > 255):
            return "it has more than 8 bits a channel, which models would see as white; store it with 8"
    except UNREADABLE as error:
        return reason(error, len(encoded))
    return None


def reason(error: Exception, n_bytes: int) -> str:
    """Why Pillow cannot decode an image of so many bytes."""
    if isinstance(error, Image.UnidentifiedImageError):
        return f"it is none of {', '.join(FORMATS)} ({n_bytes} bytes)"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {2 * Image.MAX_IMAGE_PIXELS / 1e6:.0f} megapixels; store it smaller"
    return f"it is damaged ({' '.join(str(error).split()).rstrip('.')}; {n_bytes} bytes)"
