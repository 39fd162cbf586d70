"""Upright 8-bit RGB of the right stream and size (V5, V6, V8)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dprnet.decode import DecodeLimits, decode_in_process, frames_at, open_video
from dprnet.decode.pixels import Converter

ONE = 1 << 16
# Name -> (a, b, c, d) of the display matrix, and what it does to the stored picture.
TURNS: dict[str, tuple[tuple[int, int, int, int], Any]] = {
    "as it is": ((1, 0, 0, 1), lambda p: p),
    "clockwise": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "counter-clockwise": ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
    "upside down": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "mirrored top to bottom": ((1, 0, 0, -1), lambda p: p[::-1]),
    "transposed": ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
    "transposed the other way": ((0, -1, -1, 0), lambda p: np.rot90(p, 2).transpose(1, 0, 2)),
}


@pytest.mark.parametrize("turn", TURNS)
def test_frames_are_upright(turn: str, films: Any, film: Path) -> None:
    (a, b, c, d), upright = TURNS[turn]
    path = films.make(frames=5, matrix=[a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30])
    stored = next(iter(films_first(films)))
    decoding = decode_in_process(path, "1f")
    first = next(iter(decoding))
    assert np.array_equal(first.image, upright(stored))
    assert first.image.flags.c_contiguous
    assert (decoding.progress.width, decoding.progress.height) == first.image.shape[1::-1]


def films_first(films: Any) -> list[np.ndarray]:
    return [frame.image for frame in decode_in_process(films.make(frames=5), "5f")]


@pytest.mark.parametrize(
    ("degrees", "mirror"), [(0, False), (90, False), (180, False), (-90, True), (90, True), (0, True)]
)
def test_the_matrix_is_read_as_ffmpeg_writes_it(degrees: int, mirror: bool, films: Any) -> None:
    path = films.path("mp4")
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :16] = 255  # a white corner, upper left
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(degrees, hflip=mirror)  # counter-clockwise, then mirrored
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    wanted = np.rot90(picture, degrees // 90)
    wanted = wanted[:, ::-1] if mirror else wanted
    (frame,) = decode_in_process(path, "1f")
    assert frame.image.shape == wanted.shape
    assert np.abs(frame.image.astype(int) - wanted).mean() < 8


def test_frames_are_made_smaller_while_converting_never_larger(film: Path, number: Any) -> None:
    with open_video(film, "48f", short_side=32) as video:
        frames = list(video)
        record = video.record()
    assert [(f.image.shape, f.scale, number(f.image)) for f in frames] == [
        ((32, 48, 3), 0.5, 0),
        ((32, 48, 3), 0.5, 48),
    ]
    assert (record.width, record.height) == (96, 64), "the record is of the video, not of the scaled frames"
    (large, *_) = decode_in_process(film, "48f", short_side=480)
    assert (large.image.shape, large.scale) == ((64, 96, 3), 1.0)


@pytest.mark.parametrize(
    ("short", "long", "shape", "scale"),
    [
        (32, 24, (16, 24, 3), 0.25),
        (16, 90, (16, 24, 3), 0.25),
        (None, 48, (32, 48, 3), 0.5),
        (64, 96, (64, 96, 3), 1.0),
        (480, 800, (64, 96, 3), 1.0),
    ],
)
def test_neither_side_is_longer_than_asked_for(short: Any, long: Any, shape: Any, scale: float, film: Path) -> None:
    with open_video(film, "48f", short_side=short, long_side=long) as video:
        assert [(f.image.shape, f.scale) for f in video] == [(shape, scale)] * 2


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv444p", "yuv420p10le", "nv12", "gray", "gbrp"])
@pytest.mark.parametrize("width", [72, 71])
def test_scaled_frames_have_the_colours_of_the_most_exact_way(pix_fmt: str, width: int) -> None:
    from av.video.reformatter import Interpolation, VideoReformatter

    cells = np.random.default_rng(0).integers(0, 256, (12, 24, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(cells.repeat(8, 0).repeat(8, 1), format="rgb24").reformat(format=pix_fmt)
    image, scale = Converter(None, width)(frame)
    exact = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
    wanted = VideoReformatter().reformat(frame, width, image.shape[0], "rgb24", interpolation=exact)
    assert scale == width / 192
    assert np.array_equal(image, wanted.to_ndarray(format="rgb24"))


def test_a_turned_video_is_scaled_by_its_short_side(films: Any) -> None:
    path = films.make(frames=2, matrix=[0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30])
    (frame, *_) = decode_in_process(path, "1f", short_side=32)
    assert (frame.image.shape, frame.scale) == ((48, 32, 3), 0.5)


@pytest.mark.parametrize(
    ("asked", "hdr"),
    [
        ({"codec": "libx265", "pix_fmt": "yuv420p10le", "trc": 16}, True),  # PQ
        ({"codec": "libx265", "pix_fmt": "yuv420p10le", "trc": 18}, True),  # HLG
        ({"codec": "libx264", "pix_fmt": "yuv420p10le"}, True),
        ({"codec": "libx264", "pix_fmt": "yuv444p"}, False),
        ({"codec": "mjpeg", "pix_fmt": "yuvj420p", "suffix": "avi"}, False),
        ({"codec": "ffv1", "pix_fmt": "gray", "suffix": "mkv"}, False),
    ],
)
def test_deep_pictures_become_8_bit_and_are_flagged(asked: dict[str, Any], hdr: bool, films: Any, number: Any) -> None:
    decoding = decode_in_process(films.make(frames=20, **asked), "6f")
    frames = list(decoding)
    assert [number(f.image) for f in frames] == [0, 6, 12, 18]
    assert decoding.progress.hdr is hdr
    grey = frames[0].image[40:, :].reshape(-1, 3)
    assert np.abs(np.median(grey, axis=0) - 90).max() <= 6, "neither black nor overflowing"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "least", "most", "contrast"),
    [("mp4/dolbyVision-hdr.MOV", 25, 230, 15), ("mkv/sample_av1.mkv", 250, 255, 0)],  # the second is a white wall
)
def test_deep_pictures_of_others_are_as_bright_as_they_are(
    name: str, least: int, most: int, contrast: int, data_root: Path
) -> None:
    path = data_root / "badinput/androidx-media/libraries/test_data/src/test/assets/media" / name
    with open_video(path, "0.5s", short_side=120, limits=DecodeLimits(max_silence_s=600)) as video:
        frames = list(video)
        assert video.record().hdr
    for frame in frames:
        assert least <= frame.image.mean() <= most, "neither black nor overflowing"
        assert frame.image.std() >= contrast


def test_a_size_change_on_the_way(films: Any, number: Any) -> None:
    small, large = films.make("ts", frames=24), films.make("ts", frames=24, size=(192, 128), first_pts=24)
    path = films.path("ts")
    path.write_bytes(small.read_bytes() + large.read_bytes())
    frames = list(decode_in_process(path, "1f"))
    assert [f.image.shape for f in frames] == [(64, 96, 3)] * 24 + [(128, 192, 3)] * 24
    assert [number(f.image) for f in frames] == [*range(24), *range(24)]
    scaled = list(decode_in_process(path, "12f", short_side=32))
    assert [(f.image.shape, f.scale) for f in scaled] == [((32, 48, 3), 0.5)] * 2 + [((32, 48, 3), 0.25)] * 2


@pytest.mark.parametrize("order", [((64, 48), (96, 64)), ((96, 64), (64, 48)), ((64, 48), (64, 48))])
def test_of_several_streams_the_largest_then_the_first(order: Any, films: Any) -> None:
    path = films.path("mkv")
    with av.open(str(path), "w") as container:
        streams: list[Any] = [container.add_stream("libx264", rate=5) for _ in order]
        for stream, (width, height) in zip(streams, order, strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for place, (stream, (width, height)) in enumerate(zip(streams, order, strict=True)):
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 60 + 100 * place, np.uint8), format="rgb24")
            frame.pts, frame.time_base = 0, Fraction(1, 5)
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
    (frame,) = frames_at(path, [0])
    largest = max(range(2), key=lambda i: (order[i][0] * order[i][1], -i))
    assert frame.image.shape[1::-1] == order[largest]
    assert abs(int(frame.image.mean()) - (60 + 100 * largest)) < 5
