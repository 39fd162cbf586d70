"""Damaged files: what comes before the damage comes out, and the record says so (V1)."""

from __future__ import annotations

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dprnet.core.errors import BadVideo, DprnetError
from dprnet.core.records import Source
from dprnet.decode import DecodeLimits, decode_in_process, frames_at, open_video


def run(path: Path, every: str = "4f", **limits: Any) -> tuple[list[Any], Source]:
    with open_video(path, every, limits=DecodeLimits(**limits)) as video:
        return list(video), video.record()


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    short = path.with_name(f"cut{share}{path.name}")
    short.write_bytes(data[: int(len(data) * share)])
    return short


FAST_START = {"movflags": "faststart"}


@pytest.mark.parametrize(
    ("share", "every", "plain"), [(0.6, "4f", False), (0.63, "1f", False), (0.5, "1f", True), (0.7, "0.7s", False)]
)
@pytest.mark.parametrize(
    ("suffix", "options"), [("mkv", {}), ("mp4", FAST_START), ("avi", {}), ("flv", {}), ("webm", {})]
)
def test_a_cut_file_gives_its_frames_and_is_partial(
    suffix: str, options: Any, share: float, every: str, plain: bool, films: Any
) -> None:
    codec = {"avi": "mpeg4", "webm": "libvpx-vp9"}.get(suffix, "libx264")
    whole = films.make(suffix, codec=codec, gop=24, bframes=0 if suffix == "avi" else 2, container_options=options)
    reference = list(decode_in_process(whole, every))
    decoding = decode_in_process(cut(whole, share), every, plain=plain)
    frames = list(decoding)
    assert 1 < len(frames) < len(reference)
    for frame, same in zip(frames, reference, strict=False):
        assert (frame.index, frame.time_s) == (same.index, pytest.approx(same.time_s))
        assert np.array_equal(frame.image, same.image)
    assert decoding.progress.status == "partial"
    assert decoding.progress.note
    assert 0 < decoding.progress.decoded_until_s < 3.6
    assert decoding.progress.decoded_until_s >= frames[-1].time_s


def test_a_cut_between_two_tags_shows_too(films: Any) -> None:
    whole = films.make("flv", gop=24, bframes=2)
    data, end = whole.read_bytes(), 13  # the header and the length of no tag before the first
    while end < 0.6 * len(data):
        end += 11 + int.from_bytes(data[end + 1 : end + 4], "big") + 4
    for more in range(4):  # one of them is a picture whose predecessors in time come after it
        short = whole.with_name(f"between{more}.flv")
        short.write_bytes(data[:end])
        end += 11 + int.from_bytes(data[end + 1 : end + 4], "big") + 4
        reference = [frame.time_s for frame in decode_in_process(whole, "1f")]
        decoding = decode_in_process(short, "1f")
        assert all(reference[frame.index] == frame.time_s for frame in decoding)
        assert decoding.progress.status == "partial"


def test_the_record_of_a_partial_video(films: Any) -> None:
    path = cut(films.make("mkv"), 0.6)
    frames, record = run(path)
    assert record.status == "partial"
    assert "cut short" in record.note or "damaged" in record.note
    assert record.frames == len(frames)
    assert frames[-1].time_s <= record.decoded_until_s == record.duration_s < 4
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (record.path, record.width, record.height) == (str(path), 96, 64)


def test_an_index_at_the_end_that_is_missing_is_undecodable(films: Any) -> None:
    with pytest.raises(BadVideo) as caught:
        run(cut(films.make("mp4"), 0.6))
    assert caught.value.reason == "undecodable"


def overwritten(path: Path, start: float, end: float) -> Path:
    data = bytearray(path.read_bytes())
    first, last = int(len(data) * start), int(len(data) * end)
    data[first:last] = random.Random(5).randbytes(last - first)
    broken = path.with_name(f"broken{start}{path.name}")
    broken.write_bytes(bytes(data))
    return broken


@pytest.mark.parametrize("every", ["1f", "12f", "1s"])
def test_overwritten_packets_end_it_there(every: str, films: Any) -> None:
    whole = films.make("mp4", gop=12, bframes=0, container_options=FAST_START)
    reference = {f.index: f.image for f in decode_in_process(whole, every)}
    frames, record = run(overwritten(whole, 0.6, 0.7), every)
    good = [f for f in frames if f.time_s < 1.5]
    assert good
    assert all(np.array_equal(f.image, reference[f.index]) for f in good)
    assert record.status == "partial" or every != "1f", "what no target needs is not looked at"


def test_nothing_decoded_is_undecodable(films: Any) -> None:
    whole = films.make("mp4", container_options=FAST_START)
    at = whole.read_bytes().index(b"mdat") / whole.stat().st_size
    with pytest.raises(BadVideo) as caught:
        run(overwritten(whole, at + 0.002, 1.0))
    assert caught.value.reason == "undecodable"


def test_a_frame_that_is_not_there(film: Path) -> None:
    with pytest.raises(BadVideo, match="frame 96 ") as caught:
        list(frames_at(film, [95, 96]))
    assert caught.value.reason == "missing_frame"
    with pytest.raises(BadVideo, match="count from 0"):
        list(frames_at(film, [-1]))


@pytest.mark.slow
def test_any_damage_ends_in_frames_or_one_typed_error(films: Any) -> None:
    wholes = [
        films.make("mp4", gop=12, container_options=FAST_START),
        films.make("mkv", gop=12, open_gop=True),
        films.make("ts", gop=24, codec="libx265"),
        films.make("avi", codec="mpeg4", bframes=0),
        films.make("webm", codec="libvpx-vp9"),
    ]

    def attempt(seed: int) -> str:
        rng = random.Random(seed)
        whole = rng.choice(wholes)
        data = bytearray(whole.read_bytes())
        for _ in range(rng.choice([1, 5, 50])):
            data[rng.randrange(len(data) if rng.random() < 0.7 else 600)] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        path = films.folder / f"fuzz{seed}{whole.suffix}"
        path.write_bytes(bytes(data))
        try:
            frames, record = run(path, rng.choice(["1f", "7f", "0.5s"]), max_silence_s=20)
        except DprnetError as error:
            return error.reason
        times = [frame.time_s for frame in frames]
        assert times[0] == 0
        assert np.all(np.diff(times) > 0)
        return record.status

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(attempt, range(60)))
    assert {"complete", "partial", "undecodable"} <= set(outcomes)


@pytest.mark.data
@pytest.mark.slow
def test_every_bad_file_ends_in_frames_or_one_typed_error(data_root: Path) -> None:
    files = sorted(path for path in (data_root / "badinput").rglob("*") if path.is_file())
    assert len(files) > 400

    def attempt(path: Path) -> str:
        try:
            frames, record = run(path, "0.2s", max_silence_s=20)
        except DprnetError as error:
            return error.reason if "\n" not in str(error) else f"more than a sentence: {error}"
        assert frames[0].time_s == 0
        assert np.all(np.diff([frame.time_s for frame in frames]) > 0)
        return record.status

    with ThreadPoolExecutor(2) as pool:
        outcomes = dict(zip(files, pool.map(attempt, files), strict=True))
    kinds = {"complete", "partial", "empty", "unsupported_format", "undecodable", "no_video_stream", "encrypted"}
    assert set(outcomes.values()) <= kinds
    assert all(outcomes[path] == "unsupported_format" for path in files if path.suffix == ".m3u8")
    named = {path.name: outcome for path, outcome in outcomes.items()}
    assert named["sample_rotate_and_reflect.mp4"] == named["dolbyVision-hdr.MOV"] == "complete"
