"""The one place for RGB, EXIF, crop and resize: every photo enters through :func:`read_image`.

Inside the project an image is uint8 (H, W, 3), RGB, upright. Whatever Pillow may raise on a broken or hostile file
leaves here as one :class:`BadImage` with its reason.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pil
from PIL import UnidentifiedImageError

from dprnet.core.config import Settings
from dprnet.core.errors import BadImage, MissingFile
from dprnet.core.modes import WHITE, as_array, avif_pixels, foreign_format, to_rgb, turn_upright
from dprnet.core.records import FloatArray, Image

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")


class ImageLimits(Settings):
    """What a photo may cost at most."""

    max_bytes: int = 64 << 20  # ours: the largest camera JPEG is about half of it
    max_pixels: int = 50_000_000  # ours: phones of today give 48 million; reading takes up to 16 bytes a pixel (WebP)
    max_scans: int = 500  # ours, as libjpeg-turbo advises against progressive JPEGs that never end


@dataclass(frozen=True, slots=True, eq=False)
class ReadImage:
    """A photo as read."""

    image: Image
    """uint8 (H, W, 3), RGB, upright."""
    format: str
    """One of FORMATS, by content."""
    animated: bool = False
    """True where the file holds more frames or pages than the one that was read, the first."""
    scale: float = 1.0
    """Pixels of ``image`` per pixel of the photo (below 1 where a short side was said to be enough)."""


def read_image(
    source: Path | str | bytes,
    *,
    short_side: int | None = None,
    limits: ImageLimits | None = None,
    name: str | None = None,
) -> ReadImage:
    """Read a photo of any of FORMATS; what it is follows from its content, never from its extension.

    Upright by EXIF (or XMP); alpha over white; CMYK by its ICC profile where it has a usable one; 16 bits scaled to 8;
    32-bit integers and floats scaled from the range they use; the first frame of an animation.

    Args:
        source: a path, or the bytes of the file.
        short_side: pixels that are enough; the image may come smaller, never with a shorter side below this.
            Large JPEGs are then read several times faster.
        limits: what the photo may cost.
        name: what errors call it; the path unless given.

    Raises:
        MissingFile: no such file, or it cannot be opened.
        BadImage: with ``reason`` ``format`` (not one of FORMATS), ``empty``, ``damaged`` (broken or cut short),
            ``limit:bytes``, ``limit:pixels`` or ``limit:scans``.
    """
    limits = limits or ImageLimits()
    thing = name or ("image" if isinstance(source, bytes) else str(source))
    data = _bytes_within(source, thing, limits.max_bytes)
    if (claimed := avif_pixels(data)) > limits.max_pixels:
        raise BadImage(thing, f"{claimed} pixels, at most {limits.max_pixels} are read", reason="limit:pixels")
    # Pillow warns of bombs, of odd EXIF, of palettes; each either is an error below or does no harm.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        with Pil.open(io.BytesIO(data), formats=FORMATS) as opened:
            return _read(opened, data, thing, short_side, limits)
    except BadImage:
        raise
    except UnidentifiedImageError:
        other = foreign_format(data)
        broken = "damaged" if looks_readable(data[:32]) else "no image"
        sentence = f"{other or broken}; accepted are JPEG, PNG, WebP, AVIF, GIF, BMP and TIFF"
        raise BadImage(thing, sentence, reason="format" if other else "damaged") from None
    except Pil.DecompressionBombError:
        raise BadImage(thing, f"more than {limits.max_pixels} pixels", reason="limit:pixels") from None
    except MemoryError:
        raise BadImage(thing, "needs more memory than there is", reason="limit:pixels") from None
    except Exception as error:  # Pillow raises nearly every type there is on broken files
        detail = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise BadImage(thing, f"damaged or cut short ({detail})", reason="damaged") from None


def looks_readable(head: bytes) -> bool:
    """Whether a file that begins with these (32 or more) bytes claims to be of one of FORMATS.

    >>> looks_readable(b"GIF89a" + bytes(26)), looks_readable(b"item_id,image" + bytes(19))
    (True, False)
    """
    starts = (
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF87a",
        b"GIF89a",
        b"BM",
        b"II*\0",
        b"MM\0*",
        b"II+\0",
        b"MM\0+",
    )
    return (
        head.startswith(starts)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and any(brand in head[8:32] for brand in (b"avif", b"avis")))
    )


def cut_out(image: Image, box_xyxy: Sequence[float] | FloatArray, margin: float = 0.0) -> Image:
    """The pixels of a box, clipped to the image; a copy, never empty (a box outside gives the nearest pixel).

    Args:
        image: (H, W, 3).
        box_xyxy: corners in pixels of ``image``; cut pixels reach from floor(x1) to ceil(x2).
        margin: added on each side, as a fraction of the box's width and height.

    >>> cut_out(np.zeros((10, 20, 3), np.uint8), (2, 1, 6, 5)).shape
    (4, 4, 3)
    >>> cut_out(np.zeros((10, 20, 3), np.uint8), (2, 1, 6, 5), margin=0.5).shape
    (7, 8, 3)
    """
    x1, y1, x2, y2 = (float(value) for value in box_xyxy)
    if not np.isfinite([x1, y1, x2, y2]).all():
        raise ValueError(f"box_xyxy must be finite, got {(x1, y1, x2, y2)}")
    height, width = image.shape[:2]
    dx, dy = margin * max(x2 - x1, 0.0), margin * max(y2 - y1, 0.0)
    left, right = _span(x1 - dx, x2 + dx, width)
    top, bottom = _span(y1 - dy, y2 + dy, height)
    return image[top:bottom, left:right].copy()


def resize(image: Image, width: int, height: int) -> Image:
    """The image at another size, (H, W, 3) -> (height, width, 3); bicubic, and each pixel counts when shrinking."""
    if image.shape[:2] == (height, width):
        return image
    made = Pil.fromarray(image).resize((width, height), Pil.Resampling.BICUBIC, reducing_gap=2.0)
    return as_array(made)


def resize_bilinear(image: Image, width: int, height: int) -> Image:
    """As :func:`resize`, with the filter of torch's ``interpolate(mode="bilinear", antialias=True)``."""
    if image.shape[:2] == (height, width):
        return image
    return as_array(Pil.fromarray(image).resize((width, height), Pil.Resampling.BILINEAR))


def shrink(image: Image, long_side: int) -> Image:
    """The image with its longer side at most ``long_side`` pixels; never enlarged.

    >>> shrink(np.zeros((100, 400, 3), np.uint8), 160).shape
    (40, 160, 3)
    """
    height, width = image.shape[:2]
    factor = long_side / max(height, width)
    return image if factor >= 1 else resize(image, *_scaled(width, height, factor))


def letterbox(image: Image, size: int, fill: int = WHITE) -> Image:
    """The whole image centred in a square, aspect ratio kept, (H, W, 3) -> (size, size, 3).

    >>> letterbox(np.zeros((2, 4, 3), np.uint8), 4)[:, 0, 0]
    array([255,   0,   0, 255], dtype=uint8)
    """
    height, width = image.shape[:2]
    inner = resize(image, *_scaled(width, height, size / max(height, width)))
    square = np.full((size, size, 3), fill, np.uint8)
    top, left = (size - inner.shape[0]) // 2, (size - inner.shape[1]) // 2
    square[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return square


def jpeg_bytes(image: Image, quality: int = 85) -> bytes:
    """The image as a JPEG file, (H, W, 3) -> bytes."""
    buffer = io.BytesIO()
    Pil.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _bytes_within(source: Path | str | bytes, thing: str, limit: int) -> bytes:
    if isinstance(source, bytes):
        data = source
    else:
        try:
            path = Path(source)
            if not path.is_file():  # also a pipe, which would block for ever
                raise MissingFile(thing, "is a folder or device, not a file" if path.exists() else "no such file")
            with path.open("rb") as file:
                data = file.read(limit + 1)
        except (OSError, ValueError) as error:  # ValueError: a path with a null byte
            raise MissingFile(thing, f"cannot be opened ({error})") from None
    if len(data) > limit:
        raise BadImage(thing, f"larger than {limit} bytes", reason="limit:bytes")
    if not data:
        raise BadImage(thing, "the file is empty", reason="empty")
    return data


def _read(opened: Pil.Image, data: bytes, thing: str, short_side: int | None, limits: ImageLimits) -> ReadImage:
    width, height = opened.size
    if width < 1 or height < 1:
        raise BadImage(thing, "the image has no pixels", reason="empty")
    if width * height > limits.max_pixels:
        raise BadImage(thing, f"{width} x {height} pixels, at most {limits.max_pixels} are read", reason="limit:pixels")
    kind = "JPEG" if opened.format == "MPO" else str(opened.format)
    if kind == "JPEG" and (scans := data.count(b"\xff\xda")) > limits.max_scans:
        raise BadImage(thing, f"{scans} scans, at most {limits.max_scans} are read", reason="limit:scans")
    animated = bool(getattr(opened, "is_animated", False))
    if short_side is not None:
        factor = short_side / min(width, height)
        opened.draft(None, (int(np.ceil(width * factor)), int(np.ceil(height * factor))))  # JPEG only
    opened.load()
    # Read after loading: TIFF and AVIF turn themselves and take their orientation away, PNG may tell it at its end.
    turn = turn_upright(opened)
    image = to_rgb(opened)
    if short_side is not None and (step := min(image.size) // max(short_side, 1)) > 1:
        image = image.reduce(step)
    pixels = as_array(image if turn is None else image.transpose(turn))
    return ReadImage(pixels, kind, animated, max(pixels.shape[:2]) / max(width, height))


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    start = int(min(max(np.floor(low), 0), size - 1))
    return start, int(min(max(np.ceil(high), start + 1), size))


def _scaled(width: int, height: int, factor: float) -> tuple[int, int]:
    return max(1, round(width * factor)), max(1, round(height * factor))
