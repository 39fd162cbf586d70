from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pil
from PIL import ImageCms

from dprnet.core.errors import BadImage, MissingFile
from dprnet.core.images import (
    ImageLimits,
    cut_out,
    jpeg_bytes,
    letterbox,
    looks_readable,
    read_image,
    read_picture,
    resize,
    shrink,
    unboxed,
)


def encoded(image: Pil.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners() -> Pil.Image:
    """40 x 24 with red at top left, green at top right, blue at bottom left, grey elsewhere."""
    image = Pil.new("RGB", (40, 24), (128, 128, 128))
    image.paste((255, 0, 0), (0, 0, 12, 12))
    image.paste((0, 255, 0), (28, 0, 40, 12))
    image.paste((0, 0, 255), (0, 12, 12, 24))
    return image


def assert_upright(pixels: np.ndarray) -> None:
    assert pixels.shape == (24, 40, 3)
    for (y, x), wanted in {(4, 4): (255, 0, 0), (4, 35): (0, 255, 0), (19, 4): (0, 0, 255)}.items():
        assert np.abs(pixels[y, x].astype(int) - wanted).max() < 40, (y, x, pixels[y, x])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"])
def test_every_format_reads_whatever_its_name_says(kind: str, tmp_path: Path) -> None:
    options = {"quality": 95} if kind in {"JPEG", "WEBP", "AVIF"} else {}
    path = tmp_path / "photo.txt"
    path.write_bytes(encoded(corners(), kind, **options))
    read = read_image(path)
    assert read.format == kind
    assert not read.animated
    assert read.scale == 1.0
    assert read.image.dtype == np.uint8
    assert read.image.flags.writeable, "torch warns of arrays that are not"
    assert_upright(read.image)
    assert looks_readable(path.read_bytes()[:32])


# The transposition that each orientation asks a viewer for, inverted: what a camera would have stored.
STORED_AS = {
    2: Pil.Transpose.FLIP_LEFT_RIGHT,
    3: Pil.Transpose.ROTATE_180,
    4: Pil.Transpose.FLIP_TOP_BOTTOM,
    5: Pil.Transpose.TRANSPOSE,
    6: Pil.Transpose.ROTATE_90,
    7: Pil.Transpose.TRANSVERSE,
    8: Pil.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(9))
def test_exif_orientation_makes_the_image_upright(kind: str, orientation: int) -> None:
    stored = corners() if orientation not in STORED_AS else corners().transpose(STORED_AS[orientation])
    exif = Pil.Exif()
    exif[0x0112] = orientation
    options = {} if kind in {"PNG", "TIFF"} else {"quality": 95}
    assert_upright(read_image(encoded(stored, kind, exif=exif, **options)).image)


def test_orientation_holds_with_a_short_side() -> None:
    stored = corners().resize((400, 240), Pil.Resampling.NEAREST).transpose(Pil.Transpose.ROTATE_90)
    exif = Pil.Exif()
    exif[0x0112] = 6
    read = read_image(encoded(stored, "JPEG", exif=exif, quality=95), short_side=24)
    assert 24 <= min(read.image.shape[:2]) < 48
    assert_upright(resize(read.image, 40, 24))
    assert read.scale == pytest.approx(read.image.shape[1] / 400)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_short_side_is_never_undercut(kind: str) -> None:
    data = encoded(Pil.new("RGB", (801, 603)), kind)
    for enough in (1, 64, 100, 300, 301, 602, 603, 604, 5000):
        height, width = read_image(data, short_side=enough).image.shape[:2]
        assert min(height, width) >= min(enough, 603)
        assert height / width == pytest.approx(603 / 801, abs=0.05 if enough >= 64 else 0.5)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(1, -1)
    for kind in ("PNG", "TIFF"):
        grey = read_image(encoded(Pil.fromarray(ramp), kind)).image[0, :, 0]
        assert (grey == np.arange(256)).all()


def test_a_transparent_grey_of_sixteen_bits_goes_over_white() -> None:
    grey = Pil.fromarray(np.array([[0, 1000, 30000]], np.uint16))
    assert read_image(encoded(grey, "PNG", transparency=1000)).image[0, :, 0].tolist() == [0, 255, 117]


@pytest.mark.parametrize(("top", "wanted"), [(1.0, 255), (255.0, 255), (65535.0, 255), (1e9, 255)])
def test_floats_are_scaled_from_the_range_they_use(top: float, wanted: int) -> None:
    values = np.array([[0.0, top / 2, top, np.nan]], np.float32)
    grey = read_image(encoded(Pil.fromarray(values), "TIFF")).image[0, :, 0]
    assert grey.tolist() == [0, wanted // 2 + 1, wanted, 0]


def test_negative_and_32_bit_integers_are_stretched() -> None:
    values = np.array([[-1000, 0, 1000]], np.int32)
    assert read_image(encoded(Pil.fromarray(values), "TIFF")).image[0, :, 0].tolist() == [0, 128, 255]
    sixteen = np.array([[0, 257, 65535]], np.int32)
    assert read_image(encoded(Pil.fromarray(sixteen), "TIFF")).image[0, :, 0].tolist() == [0, 1, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB", "1"])
def test_alpha_and_transparent_colours_go_over_white(mode: str) -> None:
    if mode in {"RGBA", "LA"}:
        image = Pil.new(mode, (2, 1), (0,) * (len(mode)))
        image.putpixel((1, 0), (*(0,) * (len(mode) - 1), 255))
        data = encoded(image, "PNG")
    else:
        image = Pil.new(mode, (2, 1), 0)
        image.putpixel((1, 0), (0, 0, 9) if mode == "RGB" else 1)
        if mode == "P":
            image.putpalette([0, 0, 0, 0, 0, 0])
        data = encoded(image, "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)
    pixels = read_image(data).image
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 1].max() <= 9 or mode == "1"


def test_cmyk_with_and_without_a_profile() -> None:
    cyan = Pil.new("CMYK", (8, 8), (255, 0, 0, 0))
    red, green, blue = read_image(encoded(cyan, "TIFF")).image[4, 4].tolist()
    assert red < 60
    assert min(green, blue) > 120
    # A profile that is none of CMYK, or damaged, must not lose the photo.
    for profile in (b"not a profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        assert read_image(encoded(cyan, "TIFF", icc_profile=profile)).image[4, 4, 0] < 60


def cmyk_profile() -> bytes:
    """An ICC profile of a printer whose cyan ink is red, and whose other inks are white."""
    red, white = (135, 208, 195), (255, 128, 128)  # L*, a*, b* in 8 bits
    identity = struct.pack(">9i", *(int(row == column) << 16 for row in range(3) for column in range(3)))
    cells = b"".join(bytes(red if corner >= 8 else white) for corner in range(16))  # the first ink counts 8
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + bytes(range(256)) * 4 + cells + bytes(range(256)) * 3
    head = struct.pack(">I4sI4s4s4s", 128 + 16 + len(table), b"", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(128, b"\0") + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_goes_by_its_own_profile(kind: str) -> None:
    inks = Pil.new("CMYK", (16, 8), (255, 0, 0, 0))
    inks.paste((0, 0, 255, 0), (8, 0, 16, 8))
    pixels = read_image(encoded(inks, kind, icc_profile=cmyk_profile())).image
    red, green, blue = pixels[4, 2].tolist()
    assert red > 60 + max(green, blue), "plainly converted it would be cyan"
    assert pixels[4, 13].min() > 230


def test_lab_is_converted() -> None:
    lab = Pil.merge("LAB", [Pil.new("L", (4, 4), value) for value in (255, 128, 128)])
    assert read_image(encoded(lab, "TIFF")).image.min() > 250


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_of_an_animation_the_first_frame_is_read_and_flagged(kind: str) -> None:
    frames = [Pil.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    read = read_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert read.animated
    assert read.image[4, 4].argmax() == 0


def test_mpo_counts_as_jpeg() -> None:
    data = encoded(corners(), "MPO", save_all=True, append_images=[corners()], quality=95)
    read = read_image(data)
    assert (read.format, read.animated) == ("JPEG", True)
    assert_upright(read.image)


FOREIGN = {
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40),
    "JPEG XL": b"\xff\x0a" + bytes(40),
    "JPEG 2000": encoded(Pil.new("RGB", (8, 8)), "JPEG2000"),
    "SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "EPS": encoded(Pil.new("RGB", (8, 8)), "EPS"),
    "PSD": b"8BPS\0\1" + bytes(40),
    "PDF": b"%PDF-1.7\n" + bytes(40),
    "ICO": encoded(Pil.new("RGB", (16, 16)), "ICO"),
    "ICNS": b"icns" + struct.pack(">I4sI", 2**31 - 1, b"ic10", 2**31 - 9) + bytes(40),
    "MP4": b"\0\0\0\x18ftypisom" + bytes(40),
    "zip": b"PK\3\4" + bytes(40),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_formats_are_refused_by_name(kind: str) -> None:
    with pytest.raises(BadImage, match=rf"{kind}.*accepted are JPEG") as caught:
        read_image(FOREIGN[kind])
    assert caught.value.reason == "format"


@pytest.mark.parametrize("kind", ["PPM", "TGA", "PCX", "SGI", "DIB", "MSP", "SPIDER"])
def test_formats_that_pillow_knows_and_we_do_not_want_are_refused(kind: str) -> None:
    image = Pil.new("1" if kind == "MSP" else "F" if kind == "SPIDER" else "RGB", (8, 8))
    with pytest.raises(BadImage, match="accepted are JPEG"):
        read_image(encoded(image, kind))


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = zlib.compress(bytes(100_000))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bombs() -> dict[str, bytes]:
    webp = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16382).to_bytes(3, "little") * 2
    webp += b"VP8L" + struct.pack("<I", 20) + b"\x2f" + struct.pack("<I", 16382 | 16382 << 14) + bytes(15)
    webp_plain = b"VP8L" + struct.pack("<I", 20) + b"\x2f" + struct.pack("<I", 16382 | 16382 << 14) + bytes(15)
    avif = bytearray(encoded(Pil.new("RGB", (64, 64)), "AVIF"))
    at = avif.index(b"ispe") + 8
    avif[at : at + 8] = struct.pack(">II", 60000, 60000)
    jpeg = bytearray(encoded(Pil.new("RGB", (64, 64)), "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 65500, 65500)
    bmp = bytearray(encoded(Pil.new("RGB", (8, 8)), "BMP"))
    bmp[18:26] = struct.pack("<ii", 100_000, 100_000)
    gif = bytearray(encoded(Pil.new("P", (8, 8)), "GIF"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    tiff = bytearray(encoded(Pil.new("RGB", (8, 8)), "TIFF", compression="tiff_deflate"))
    for tag in (256, 257):
        at = tiff.index(struct.pack("<HHIHH", tag, 3, 1, 8, 0))
        tiff[at + 2 : at + 12] = struct.pack("<HII", 4, 1, 100_000)
    return {
        "png 100 Mpx": png_header(10_000, 10_000),
        "png 10 Gpx": png_header(100_000, 100_000),
        "png 4 Epx": png_header(2**31 - 1, 2**31 - 1),
        "webp": b"RIFF" + struct.pack("<I", len(webp) + 4) + b"WEBP" + webp,
        "webp plain": b"RIFF" + struct.pack("<I", len(webp_plain) + 4) + b"WEBP" + webp_plain,
        "avif": bytes(avif),
        "jpeg": bytes(jpeg),
        "bmp": bytes(bmp),
        "gif": bytes(gif),
        "tiff": bytes(tiff),
    }


@pytest.mark.parametrize("name", bombs())
def test_bombs_are_refused_before_they_are_loaded(name: str) -> None:
    with pytest.raises(BadImage) as caught:
        read_image(bombs()[name])
    assert caught.value.reason == "limit:pixels", str(caught.value)


# VmHWM, not ru_maxrss: the latter starts with what the parent process used.
MEASURE = """
import sys
from pathlib import Path
from dprnet.core.images import read_image
from dprnet.core.errors import BadImage
def peak():
    return int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])
files = [p.read_bytes() for p in sorted(Path(sys.argv[1]).iterdir())]
try:
    read_image(b"x")
except BadImage:
    pass
before = peak()
for data in files:
    try:
        read_image(data)
    except BadImage:
        pass
print(peak() - before)
"""


def test_bombs_cost_little_memory(tmp_path: Path) -> None:
    for name, data in bombs().items():
        (tmp_path / name.replace(" ", "_")).write_bytes(data)
    done = subprocess.run([sys.executable, "-c", MEASURE, tmp_path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300_000, f"memory grew by {done.stdout} kB"


def test_limits_on_bytes_pixels_and_scans() -> None:
    data = encoded(Pil.new("RGB", (20, 10)), "PNG")
    assert read_image(data, limits=ImageLimits(max_pixels=200, max_bytes=len(data))).image.shape == (10, 20, 3)
    with pytest.raises(BadImage, match="20 x 10 pixels, at most 199") as caught:
        read_image(data, limits=ImageLimits(max_pixels=199))
    assert caught.value.reason == "limit:pixels"
    with pytest.raises(BadImage) as caught:
        read_image(data, limits=ImageLimits(max_bytes=len(data) - 1))
    assert caught.value.reason == "limit:bytes"
    progressive = encoded(corners(), "JPEG", progressive=True)
    with pytest.raises(BadImage) as caught:
        read_image(progressive, limits=ImageLimits(max_scans=2))
    assert caught.value.reason == "limit:scans"


def test_missing_files_folders_and_pipes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none.jpg", tmp_path, tmp_path / "pipe", "a\0b.jpg", tmp_path / ("x" * 5000)):
        with pytest.raises(MissingFile):
            read_image(path)


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(BadImage, match=r"empty\.jpg: the file is empty") as caught:
        read_image(path)
    assert caught.value.reason == "empty"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"])
def test_a_file_cut_short_is_refused(kind: str) -> None:
    rng = np.random.default_rng(0)
    data = encoded(Pil.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)), kind)
    with pytest.raises(BadImage) as caught:
        read_image(data[: len(data) // 2], name="half")
    assert caught.value.reason == "damaged"
    assert str(caught.value).startswith("half: ")


GOOD = {kind: encoded(corners(), kind) for kind in ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_whatever_bytes_are_changed_the_answer_is_an_image_or_one_error(kind: str, data: st.DataObject) -> None:
    file = bytearray(GOOD[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = read_image(bytes(file), limits=ImageLimits(max_pixels=100_000))
    except BadImage:
        pass  # any other type fails the test
    else:
        assert read.image.dtype == np.uint8
        assert read.image.shape[2] == 3


def test_threads_may_read_at_once_and_no_warning_leaks() -> None:
    odd = encoded(Pil.new("P", (4, 4)), "PNG", transparency=bytes([0, 128]))
    faults: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(50):
                read_image(odd)
                with pytest.raises(BadImage):
                    read_image(png_header(10_000, 10_000))
        except BaseException as error:  # a thread's failure must reach the test
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


@pytest.mark.data
def test_every_bad_file_gives_an_image_or_one_typed_error(data_root: Path) -> None:
    files = [path for path in sorted((data_root / "badinput").rglob("*")) if path.is_file()]
    assert len(files) > 400
    read = 0
    for path in files:
        try:
            read += read_image(path).image.size > 0
        except BadImage:
            continue  # any other type fails the test
    assert read >= 70


@pytest.mark.data
def test_the_nine_orientations_of_one_photo_agree(data_root: Path) -> None:
    photos = [read_image(data_root / f"badinput/exif-orientation/Landscape_{n}.jpg").image for n in range(9)]
    small = [resize(photo, 90, 60).astype(np.float32).ravel() for photo in photos]
    for other in small[1:]:
        cosine = other @ small[1] / np.linalg.norm(other) / np.linalg.norm(small[1])
        assert cosine > 0.99


class TestCutOut:
    image = np.arange(10 * 20 * 3, dtype=np.uint8).reshape(10, 20, 3)

    def test_whole_pixels_that_the_box_touches(self) -> None:
        assert (cut_out(self.image, (2.2, 1.9, 6.1, 5.0)) == self.image[1:5, 2:7]).all()

    def test_a_copy(self) -> None:
        assert not np.shares_memory(cut_out(self.image, (0, 0, 5, 5)), self.image)

    @given(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4), st.floats(0, 3))
    def test_never_empty_never_outside(self, box: list[float], margin: float) -> None:
        height, width = cut_out(self.image, box, margin).shape[:2]
        assert 1 <= height <= 10
        assert 1 <= width <= 20

    def test_nan_is_refused(self) -> None:
        with pytest.raises(ValueError, match="must be finite"):
            cut_out(self.image, (0, 0, float("nan"), 1))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 64))
@settings(max_examples=60, deadline=None)
def test_letterbox_keeps_the_shape_and_the_centre(height: int, width: int, size: int) -> None:
    square = letterbox(np.zeros((height, width, 3), np.uint8), size)
    assert square.shape == (size, size, 3)
    dark = np.argwhere(square[..., 0] == 0)
    tall, wide = dark.max(0) - dark.min(0) + 1
    assert max(tall, wide) == size
    assert abs(min(tall, wide) - max(1, size * min(height, width) / max(height, width))) <= 0.5
    assert (np.abs(dark.min(0) + dark.max(0) + 1 - size) <= 1).all()


def test_shrink_never_enlarges() -> None:
    image = np.zeros((30, 20, 3), np.uint8)
    assert shrink(image, 100) is image
    assert shrink(image, 15).shape == (15, 10, 3)


def test_shrinking_looks_at_every_pixel() -> None:
    board = np.indices((64, 64)).sum(0) % 2 * 255
    small = resize(np.repeat(board[..., None], 3, 2).astype(np.uint8), 8, 8)
    assert np.abs(small[1:-1, 1:-1].astype(int) - 127).max() <= 2


def test_large_images_are_converted_in_bands_without_a_seam() -> None:
    values = np.add.outer(np.arange(1500), np.arange(1200)).astype(np.uint16) * 20  # more than one band
    grey = read_image(encoded(Pil.fromarray(values), "PNG")).image
    assert np.abs(grey[..., 1] - values / 257.0).max() <= 0.5
    colour = np.stack([values % 251, values % 241, values % 239], axis=2).astype(np.uint8)
    assert (read_image(encoded(Pil.fromarray(colour), "BMP")).image == colour).all()


def test_jpeg_round_trip() -> None:
    read = read_image(jpeg_bytes(np.asarray(corners()), quality=95))
    assert read.format == "JPEG"
    assert_upright(read.image)


def test_a_picture_is_made_small_as_its_pixels_are(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (301, 450, 3), dtype=np.uint8)
    path = tmp_path / "turned.jpg"
    Pil.fromarray(noise).save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0")
    picture, read = read_picture(path), read_image(path)
    assert picture.size == (301, 450)
    assert np.array_equal(picture.pixels, read.image)
    assert np.array_equal(letterbox(picture, 96), letterbox(read.image, 96))
    assert np.array_equal(shrink(picture, 77), shrink(read.image, 77))
    square = letterbox(picture, 96)
    assert unboxed(square, *picture.size).shape == shrink(read.image, 96).shape
    assert np.array_equal(unboxed(square, *picture.size), shrink(read.image, 96))
