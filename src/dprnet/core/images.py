"""The one place for RGB, EXIF, crop and resize: every photo enters through :func:`read_image`.

Inside the project an image is uint8 (H, W, 3), RGB, upright. Whatever Pillow may raise on a broken or hostile file
leaves here as one :class:`BadImage` with its reason.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pil
from PIL import UnidentifiedImageError

from dprnet.core.config import Settings
from dprnet.core.errors import BadImage, MissingFile
from dprnet.core.modes import avif_pixels, foreign_format, to_rgb, turn_upright
from dprnet.core.pictures import (
    Picture,
    cut_out,
    jpeg_bytes,
    letterbox,
    resize,
    resize_bilinear,
    shrink,
    unboxed,
)
from dprnet.core.records import Image

__all__ = [
    "FORMATS",
    "ImageLimits",
    "Picture",
    "ReadImage",
    "cut_out",
    "file_bytes",
    "jpeg_bytes",
    "letterbox",
    "looks_readable",
    "read_image",
    "read_picture",
    "resize",
    "resize_bilinear",
    "shrink",
    "unboxed",
]

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
    picture = read_picture(source, short_side=short_side, limits=limits, name=name)
    with _told(_thing(source, name), limits or ImageLimits()):
        return ReadImage(picture.pixels, picture.format, picture.animated, picture.scale)


def read_picture(
    source: Path | str | bytes,
    *,
    short_side: int | None = None,
    limits: ImageLimits | None = None,
    name: str | None = None,
) -> Picture:
    """As :func:`read_image`, the pixels still where Pillow has them: for a photo that is only wanted small."""
    limits = limits or ImageLimits()
    thing = _thing(source, name)
    data = source if isinstance(source, bytes) else file_bytes(source, limits, name)
    if not data:
        raise BadImage(thing, "the file is empty", reason="empty")
    if len(data) > limits.max_bytes:
        raise BadImage(thing, f"larger than {limits.max_bytes} bytes", reason="limit:bytes")
    if (claimed := avif_pixels(data)) > limits.max_pixels:
        raise BadImage(thing, f"{claimed} pixels, at most {limits.max_pixels} are read", reason="limit:pixels")
    # Pillow warns of bombs, of odd EXIF, of palettes; each either is an error below or does no harm.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    with _told(thing, limits, data), Pil.open(io.BytesIO(data), formats=FORMATS) as opened:
        return _read(opened, data, thing, short_side, limits)


def file_bytes(path: Path | str, limits: ImageLimits | None = None, name: str | None = None) -> bytes:
    """The bytes of a photo's file; of one that is too large no more than tells so.

    Raises:
        MissingFile: no such file, or it cannot be opened.
    """
    limits, thing = limits or ImageLimits(), _thing(path, name)
    try:
        path = Path(path)
        if not path.is_file():  # also a pipe, which would block for ever
            raise MissingFile(thing, "is a folder or device, not a file" if path.exists() else "no such file")
        with path.open("rb") as file:
            return file.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise MissingFile(thing, f"cannot be opened ({error})") from None


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


def _thing(source: Path | str | bytes, name: str | None) -> str:
    return name or ("image" if isinstance(source, bytes) else str(source))


@contextmanager
def _told(thing: str, limits: ImageLimits, data: bytes = b"") -> Iterator[None]:
    """Whatever Pillow raises as one of our errors."""
    try:
        yield
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


def _read(opened: Pil.Image, data: bytes, thing: str, short_side: int | None, limits: ImageLimits) -> Picture:
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
    upright = image if turn is None else image.transpose(turn)
    return Picture(upright, kind, animated, max(upright.size) / max(width, height))
