"""Where a limit is passed and a part will do: the frames before it stand, and the video counts as partial (V3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dprnet.core.errors import LimitExceeded
from dprnet.core.records import Source
from dprnet.decode import DecodeLimits, decode_in_process, frames_at, open_video
from dprnet.decode.spool import Spool

from .test_spool import pipe

# Small pictures with filling up to a constant rate: 10 MB in 4 s.
_RATE = "nal-hrd=cbr:bitrate=20000:vbv-maxrate=20000:vbv-bufsize=2000"
FILLED = {"x264-params": f"{_RATE}:keyint=12:min-keyint=12:scenecut=0:bframes=0:force-cfr=0"}


def clipped(path: Path, every: str = "4f", **limits: Any) -> tuple[list[Any], Source]:
    with open_video(path, every, limits=DecodeLimits(clip=True, **limits)) as video:
        return list(video), video.record()


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("gop", [24, 48])
def test_a_length_is_clipped_to_the_frame(plain: bool, gop: int, films: Any) -> None:
    path = films.make(gop=gop)  # 4 s at 24 frames a second
    whole = list(decode_in_process(path, "4f"))
    decoding = decode_in_process(path, "4f", limits=DecodeLimits(max_duration_s=2.5, clip=True), plain=plain)
    frames = list(decoding)
    assert [frame.index for frame in frames] == list(range(0, 61, 4))  # frame 60 is shown at 2.5 s
    for frame, same in zip(frames, whole, strict=False):
        assert (frame.time_s, np.array_equal(frame.image, same.image)) == (same.time_s, True)
    assert decoding.progress.status == "partial"
    assert decoding.progress.decoded_until_s == pytest.approx(61 / 24, abs=0.01)
    assert "clipped after 2.5" in decoding.progress.note
    assert "is over the limit of 2.5" in decoding.progress.note


@pytest.mark.parametrize(
    ("limits", "word"), [({"max_frames_examined": 50}, "frames_examined"), ({"max_duration_s": 2.0}, "duration_s")]
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_other_counts_are_clipped_in_every_container(
    suffix: str, limits: dict[str, Any], word: str, films: Any
) -> None:
    path = films.make(suffix, codec="mpeg4" if suffix == "avi" else "libx264", bframes=0)
    whole = [frame.index for frame in decode_in_process(path, "4f")]
    frames, record = clipped(path, **limits)
    found = [frame.index for frame in frames]
    assert 10 <= len(found) <= 13
    assert found == whole[: len(found)]
    assert record.status == "partial"
    assert record.note.startswith("clipped after ")
    assert word in record.note
    assert record.frames == len(frames)
    assert record.decoded_until_s >= frames[-1].time_s


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv", "avi"])
def test_a_file_of_too_many_bytes_is_read_so_far(suffix: str, films: Any) -> None:
    path = films.make(suffix, codec="mpeg4" if suffix == "avi" else "libx264", gop=24, bframes=0)
    half = path.stat().st_size // 2
    whole = [frame.index for frame in decode_in_process(path, "4f")]
    frames, record = clipped(path, max_bytes=half)
    found = [frame.index for frame in frames]
    assert 2 <= len(found) < len(whole)
    assert found == whole[: len(found)]
    assert record.status == "partial"
    assert f"bytes {path.stat().st_size} is over the limit of {half}" in record.note


def test_processor_seconds_are_clipped(films: Any) -> None:
    path = films.make(frames=240, size=(1920, 1080), gop=240, options={"preset": "ultrafast"})
    frames, record = clipped(path, "1f", max_decode_s=0.5)
    assert 0 < len(frames) < 240
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert "decode_s" in record.note


def test_waiting_is_clipped(films: Any) -> None:
    path = films.make(frames=240, size=(1920, 1080), gop=24, options={"preset": "ultrafast"})
    with open_video(path, "1f", limits=DecodeLimits(clip=True, max_wall_s=60, queue_bytes=0)) as video:
        frames = [next(video)]
        video._receiver._left_s = 0.05
        frames += list(video)
        record = video.record()
    assert 0 < len(frames) < 240
    assert record.status == "partial"
    assert "took longer than the limit of 60 s" in record.note


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_pixels": 5000}, "limit:pixels"),
        ({"max_bytes": 100}, "limit:bytes"),
        ({"max_wall_s": 1e-4}, "limit:wall_s"),
    ],
)
def test_what_has_no_part_within_the_limit_is_refused_all_the_same(
    limits: dict[str, Any], reason: str, film: Path
) -> None:
    with pytest.raises(LimitExceeded) as caught:
        clipped(film, **limits)
    assert caught.value.reason == reason


def test_what_is_within_the_limits_is_whole(film: Path) -> None:
    frames, record = clipped(film)
    assert ([frame.index for frame in frames], record.status) == (list(range(0, 96, 4)), "complete")


def test_a_picture_that_grows_on_the_way_ends_the_part(films: Any) -> None:
    small, large = films.make("ts", frames=24), films.make("ts", frames=24, size=(192, 128), first_pts=24)
    path = films.path("ts")
    path.write_bytes(small.read_bytes() + large.read_bytes())
    frames, record = clipped(path, "1f", max_pixels=96 * 64)
    assert {frame.image.shape for frame in frames} == {(64, 96, 3)}
    assert record.status == "partial"


def test_the_second_pass_finds_the_frames_of_the_first(film: Path) -> None:
    limits = DecodeLimits(clip=True, max_duration_s=2.5, max_bytes=film.stat().st_size - 1)
    frames, _ = clipped(film, "12f", max_duration_s=2.5, max_bytes=film.stat().st_size - 1)
    indices = [frame.index for frame in frames]
    again = list(frames_at(film, indices, limits=limits))
    assert [frame.index for frame in again] == indices
    assert all(np.array_equal(one.image, two.image) for one, two in zip(frames, again, strict=True))


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_of_a_pipe_no_more_is_copied_than_is_read(suffix: str, films: Any, tmp_path: Path) -> None:
    path = films.make(suffix, options=FILLED)
    limits = DecodeLimits(clip=True, max_bytes=path.stat().st_size // 3)
    assert path.stat().st_size > 6 << 20, "several times what is copied at once"
    writer = pipe(tmp_path / "look", path.read_bytes())
    with Spool(limits) as spool:
        copy = spool(tmp_path / "look")
        assert limits.max_bytes < copy.stat().st_size <= limits.max_bytes + (1 << 20)
        frames, record = clipped(copy, max_bytes=limits.max_bytes)
        writer.join(60)
    assert 4 <= len(frames) <= 8, "a third of them, or a group less"
    assert record.status == "partial"
    assert "bytes" in record.note


def test_a_pipe_whose_index_comes_last_is_told_to_be_too_long(films: Any, tmp_path: Path) -> None:
    path = films.make("mp4", options=FILLED)
    limits = DecodeLimits(clip=True, max_bytes=path.stat().st_size // 3)
    writer = pipe(tmp_path / "look", path.read_bytes())
    with Spool(limits) as spool:
        with pytest.raises(LimitExceeded, match="bytes"):
            clipped(spool(tmp_path / "look"), max_bytes=limits.max_bytes)
        writer.join(60)


@pytest.mark.slow
def test_memory_ends_the_part(greedy_film: Path) -> None:
    frames, record = clipped(greedy_film, "1f", max_memory_bytes=1 << 30)
    assert 0 < len(frames) < 24
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert record.status == "partial"
    assert "too much memory" in record.note
