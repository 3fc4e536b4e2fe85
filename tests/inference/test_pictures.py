"""An image is to our models what it is to the processor of the exported one, however the file stores it."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps
from transformers import AutoProcessor

from pruning_regimes.inference import pictures
from tests.helpers import ROOT

MODELS = ("demo-llava", "demo-idefics3")


def drawn(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    """A picture that looks different each way round, with parts that are transparent where the mode has such."""
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.rectangle((5, 5, 25, 15), fill=(200, 30, 30, 255))
    pen.rectangle((30, 20, 55, 35), fill=(20, 60, 220, 120))
    pen.text((8, 22), "7+5", fill=(0, 0, 0, 255))
    return image if mode == "RGBA" else image.convert(mode)


def stored(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    """A photo as a phone stores it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return stored(drawn(), "JPEG", exif=exif, quality=95)


def sixteen_bits() -> bytes:
    """A PNG of 16 bits whose values all fit into 8, so that nothing is clipped."""
    return stored(Image.fromarray((np.arange(60 * 40) % 256).reshape(40, 60).astype(np.uint16)), "PNG")


def palette() -> bytes:
    """A PNG with a palette, one of whose colours is transparent."""
    image = drawn().quantize(8)
    return stored(image, "PNG", transparency=image.getpixel((0, 0)))


FILES = {
    "RGB": stored(drawn(), "PNG"),
    "alpha": stored(drawn("RGBA"), "PNG"),
    "grey with alpha": stored(drawn("LA"), "PNG"),
    "palette with a transparent colour": palette(),
    "CMYK": stored(drawn("CMYK"), "JPEG", quality=95),
    "16 bits": sixteen_bits(),
    "animation": stored(drawn(), "GIF", save_all=True, append_images=[drawn().rotate(180)]),
    "WebP with alpha": stored(drawn("RGBA"), "WEBP", lossless=True),
    "AVIF with alpha": stored(drawn("RGBA"), "AVIF"),
    **{f"EXIF {orientation}": turned(orientation) for orientation in range(1, 9)},
}


@pytest.fixture(scope="module", params=MODELS)
def processor(request: pytest.FixtureRequest) -> object:
    """The processor that an exported model has."""
    return AutoProcessor.from_pretrained(ROOT / "workflow" / "resources" / request.param).image_processor


@pytest.mark.parametrize("name", FILES)
def test_a_model_sees_what_its_own_processor_makes_of_the_file(processor: object, name: str) -> None:
    # As `datasets.Image` opens it: upright, in the file's own mode.
    original = ImageOps.exif_transpose(Image.open(io.BytesIO(FILES[name])))
    ours = processor(images=[pictures.rgb(FILES[name])], return_tensors="np")
    theirs = processor(images=[original], return_tensors="np")
    assert ours.keys() == theirs.keys()
    for key in ours:
        assert np.array_equal(ours[key], theirs[key]), key


def test_what_is_transparent_is_white_and_no_black_text_is_lost() -> None:
    image = np.asarray(pictures.rgb(FILES["alpha"]))
    assert (image[0, 0] == 255).all() and image.min() < 10
    assert np.array_equal(np.asarray(pictures.rgb(FILES["RGB"]))[0, 0], [0, 0, 0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_upright_and_its_size_is_that_of_the_upright_one(orientation: int) -> None:
    exact = drawn()
    inverse = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    way = None if inverse is None else Image.Transpose(inverse)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = stored(exact if way is None else exact.transpose(way), "PNG", exif=exif)
    upright = pictures.rgb(file)
    assert pictures.size(file) == upright.size == exact.size
    assert np.array_equal(np.asarray(upright), np.asarray(exact))


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"no image", r"it is none of PNG, JPEG, .*AVIF \(8 bytes\)"),
        (stored(Image.fromarray(np.full((4, 4), 60000, np.uint16)), "PNG"), "more than 8 bits a channel"),
        (stored(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "more than 8 bits a channel"),
        (FILES["alpha"], None),
        (FILES["16 bits"], None),
    ],
)
def test_why_an_image_cannot_be_used_is_said(file: bytes, said: str | None) -> None:
    found = pictures.unfit(file)
    assert found is None if said is None else found is not None and re.search(said, found)


def test_an_image_of_too_many_pixels_is_told_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "megapixels; store it smaller" in (pictures.unfit(FILES["RGB"]) or "")
