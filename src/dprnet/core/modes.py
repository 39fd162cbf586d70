"""Below `images`: any pixel mode as RGB, which way is up, and what the first bytes of a file tell of it."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pil
from PIL import ImageCms

WHITE = 255
MAX_ICC_BYTES = 4 << 20
BAND_PIXELS = 1 << 20
AVIF_HEAD_BYTES = 1 << 16

# What a refused file is called in the sentence: (offset, magic bytes, name).
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftypheic", "a HEIC image"),
    (4, b"ftypheix", "a HEIC image"),
    (4, b"ftypmif1", "a HEIF image"),
    (4, b"ftyp", "an MP4 or MOV video"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (0, b"8BPS", "a Photoshop (PSD) image"),
    (0, b"%!PS", "an EPS drawing"),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS drawing"),
    (0, b"%PDF", "a PDF document"),
    (0, b"icns", "an ICNS icon"),
    (0, b"\x00\x00\x01\x00", "an ICO icon"),
    (0, b"\x00\x00\x02\x00", "a CUR cursor or TGA image"),
    (0, b"DDS ", "a DDS texture"),
    (0, b"qoif", "a QOI image"),
    (0, b"BPG\xfb", "a BPG image"),
    (0, b"\x01\xda", "an SGI image"),
    (0, b"SIMPLE", "a FITS image"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (8, b"AVI ", "an AVI video"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
)

# What each EXIF orientation asks a viewer to do.
_TURNS = {
    2: Pil.Transpose.FLIP_LEFT_RIGHT,
    3: Pil.Transpose.ROTATE_180,
    4: Pil.Transpose.FLIP_TOP_BOTTOM,
    5: Pil.Transpose.TRANSPOSE,
    6: Pil.Transpose.ROTATE_270,
    7: Pil.Transpose.TRANSVERSE,
    8: Pil.Transpose.ROTATE_90,
}


def to_rgb(image: Pil.Image) -> Pil.Image:
    """A loaded Pillow image of any mode as mode RGB."""
    mode = image.mode
    if mode in {"I", "F"} or mode.startswith("I;"):
        return Pil.fromarray(_eight_bits(image)).convert("RGB")
    if mode == "CMYK":
        return _from_cmyk(image)
    if mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        clear = image.convert("LA") if mode == "La" else image
        clear = clear if clear.mode == "RGBA" else clear.convert("RGBA")
        white = Pil.new("RGB", image.size, (WHITE, WHITE, WHITE))
        white.paste(clear, mask=clear.getchannel("A"))
        return white
    return image if mode == "RGB" else image.convert("RGB")


def turn_upright(image: Pil.Image) -> Pil.Transpose | None:
    """What puts a loaded image upright, by its EXIF; None where it stands so, or where its EXIF is broken."""
    try:
        return _TURNS.get(int(image.getexif().get(0x0112, 1)))
    except Exception:  # broken EXIF says nothing; the pixels are still good
        return None


def as_array(image: Pil.Image) -> NDArray[np.uint8]:
    """Pixels of an RGB image, uint8 (H, W, 3), writable; made in bands, so that no second copy is ever whole."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top, bottom in _bands(image):
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels


def _from_cmyk(image: Pil.Image) -> Pil.Image:
    profile = image.info.get("icc_profile")
    if profile and len(profile) <= MAX_ICC_BYTES:
        try:
            from_cmyk = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            made = ImageCms.profileToProfile(image, from_cmyk, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if made is not None:
                return made
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a damaged profile: the plain formula below is what a viewer would use
    return image.convert("RGB")


def _eight_bits(image: Pil.Image) -> NDArray[np.uint8]:
    """Grey of 16 or 32 bits or floats, scaled to 0..255 (never clipped at 255); in bands, for memory."""
    low, high = _range(image)
    transparent = image.info.get("transparency")
    grey = np.empty((image.height, image.width), np.uint8)
    for top, bottom in _bands(image):
        values = _values(image, top, bottom)
        scaled = (values - low) * (255.0 / max(high - low, 1e-12))
        if isinstance(transparent, int):
            scaled[values == transparent] = WHITE
        grey[top:bottom] = np.clip(np.rint(scaled), 0, 255)
    return grey


def _range(image: Pil.Image) -> tuple[float, float]:
    """The values that become 0 and 255."""
    if image.mode.startswith("I;"):
        return 0.0, float(2 ** _tiff_bits(image) - 1)
    spans = [(float(band.min()), float(band.max())) for band in (_values(image, *rows) for rows in _bands(image))]
    lowest, highest = min(low for low, _ in spans), max(high for _, high in spans)
    tops = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    return next(((0.0, top) for top in tops if lowest >= 0 and highest <= top), (lowest, highest))


def _values(image: Pil.Image, top: int, bottom: int) -> NDArray[np.float64]:
    values = np.asarray(image.crop((0, top, image.width, bottom))).astype(np.float64)
    return np.where(np.isfinite(values), values, 0.0)


def _bands(image: Pil.Image) -> Iterator[tuple[int, int]]:
    rows = max(1, BAND_PIXELS // image.width)
    return ((top, min(top + rows, image.height)) for top in range(0, image.height, rows))


def _tiff_bits(image: Pil.Image) -> int:
    tags = getattr(image, "tag_v2", None) or {}
    bits = tags.get(258, (16,))
    return int(bits[0]) if isinstance(bits, tuple) and bits and 8 < int(bits[0]) <= 16 else 16


def foreign_format(data: bytes) -> str | None:
    """What a file is that we do not read, with its article, or None where its first bytes do not tell."""
    head = data[:64]
    if head[4:12] in {b"ftypavif", b"ftypavis"}:
        return None
    for offset, magic, name in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            return name
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return "an SVG drawing"
    return None


def avif_pixels(data: bytes) -> int:
    """Pixels of the largest image that an AVIF file claims to hold, 0 for other files.

    Pillow's reader calls a file beyond its own limit unreadable, without saying that size is the matter.
    """
    if data[4:8] != b"ftyp":
        return 0
    largest, at = 0, data.find(b"ispe", 0, AVIF_HEAD_BYTES)
    while at >= 0 and at + 16 <= len(data):
        width, height = struct.unpack(">II", data[at + 8 : at + 16])  # after the box's version and flags
        largest, at = max(largest, width * height), data.find(b"ispe", at + 4, AVIF_HEAD_BYTES)
    return largest
