"""Exact frames at exact times, decoding only what they need (V4, R5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dprnet.decode import Every, decode_in_process, frames_at, open_video
from dprnet.decode.inprocess import Decoding

STRUCTURES: dict[str, dict[str, Any]] = {
    "h264 gop 48": {},
    "h264 gop 12": {"gop": 12},
    "h264 no b-frames": {"gop": 12, "bframes": 0},
    "h264 open gop": {"gop": 12, "open_gop": True},
    "h264 open gop mkv": {"gop": 24, "bframes": 5, "open_gop": True, "suffix": "mkv"},
    "h264 ts": {"suffix": "ts", "gop": 24},
    "h264 flv": {"suffix": "flv", "gop": 24},
    "h264 one gop": {"gop": 1000},
    "h264 all key": {"gop": 1, "bframes": 0},
    "hevc": {"codec": "libx265", "gop": 24},
    "hevc open gop": {"codec": "libx265", "gop": 24, "open_gop": True, "bframes": 4},
    "hevc open gop ts": {"codec": "libx265", "gop": 12, "open_gop": True, "suffix": "ts"},
    "vp9": {"codec": "libvpx-vp9", "gop": 30, "suffix": "webm"},
    "av1": {"codec": "libsvtav1", "frames": 48, "options": {"preset": "12", "svtav1-params": "keyint=16:lp=1"}},
}
PLAIN: dict[str, dict[str, Any]] = {
    "mpeg4 avi": {"codec": "mpeg4", "suffix": "avi", "gop": 12, "bframes": 0},
    "mpeg4 b-frames avi": {"codec": "mpeg4", "suffix": "avi", "gop": 12, "bframes": 2},
    "mpeg2 ts": {"codec": "mpeg2video", "suffix": "ts", "gop": 12, "bframes": 2},
    "vp8": {"codec": "libvpx", "suffix": "webm"},
    "h264 avi": {"suffix": "avi", "gop": 24, "bframes": 0},
}


def compare(decoding: Decoding, reference: list[Any], number: Any) -> None:
    frames = list(decoding)
    assert [f.index for f in frames] == [f.index for f in reference]
    for frame, same in zip(frames, reference, strict=True):
        assert frame.time_s == pytest.approx(same.time_s, abs=1e-9)
        assert np.array_equal(frame.image, same.image), frame.index
        assert number(frame.image) == frame.index


@pytest.mark.parametrize("name", [*STRUCTURES, *PLAIN])
def test_the_quick_way_gives_the_frames_of_the_plain_way(name: str, films: Any, number: Any) -> None:
    asked = STRUCTURES.get(name) or PLAIN.get(name) or {}
    path = films.make(**asked)
    everything = list(decode_in_process(path, "1f", plain=True))
    assert [number(f.image) for f in everything] == list(range(asked.get("frames", 96)))
    for every in ("1f", "5f", "15f", "0.5s", "30f", "1.3s", "60f"):
        decoding = decode_in_process(path, every)
        wanted = set(chosen(Every.parse(every), [f.time_s for f in everything]))
        compare(decoding, [f for f in everything if f.index in wanted], number)
        if name in STRUCTURES:
            assert not decoding.progress.plain, "this structure is known: only what is needed is decoded"
        assert decoding.progress.status == "complete"
    last = everything[-1].time_s
    assert decoding.progress.duration_s == pytest.approx(last + 1 / 24, abs=0.002)


def chosen(every: Every, times_s: list[float]) -> list[int]:
    """The rule, written a second time: the first frame at or after each multiple (a millisecond early is on time)."""
    if every.frames:
        return list(range(0, len(times_s), every.frames))
    assert every.seconds is not None
    multiples = np.arange(0, times_s[-1] + 0.001, every.seconds)
    firsts = {next((i for i, t in enumerate(times_s) if t >= m - 0.001), -1) for m in multiples}
    return sorted(firsts - {-1})


@pytest.mark.parametrize("every", ["10f", "0.4s"])
def test_skipped_groups_are_not_decoded(every: str, films: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dprnet.decode.reader import Reader

    path = films.make(gop=12)
    fed = []
    real = Reader.decode
    monkeypatch.setattr(Reader, "decode", lambda self, packet: (fed.append(packet), real(self, packet))[1])
    assert len(list(decode_in_process(path, "48f"))) == 2
    assert sum(packet is not None for packet in fed) == 2, "two targets that are key frames need two packets"
    fed.clear()
    list(decode_in_process(path, every))
    assert sum(packet is not None for packet in fed) < 60, "unreferenced B-frames and ends of groups are left out"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gop=st.integers(1, 30),
    bframes=st.integers(0, 5),
    open_gop=st.booleans(),
    refs=st.integers(1, 4),
    pyramid=st.sampled_from(["none", "strict", "normal"]),
    suffix=st.sampled_from(["mp4", "mkv", "ts"]),
    every=st.one_of(
        st.integers(1, 40).map(lambda n: f"{n}f"), st.floats(0.02, 2).map(lambda s: f"{s:.3f}s"), st.just("0.5s")
    ),
)
def test_any_structure_and_interval(
    films: Any, number: Any, gop: int, bframes: int, open_gop: bool, refs: int, pyramid: str, suffix: str, every: str
) -> None:
    shape = f"keyint={gop}:min-keyint=1:bframes={bframes}:open-gop={int(open_gop)}:ref={refs}:b-pyramid={pyramid}"
    options = {"preset": "veryfast", "x264-params": shape + ":scenecut=0"}
    path = films.make(suffix, frames=50, options=options)
    reference = list(decode_in_process(path, every, plain=True))
    compare(decode_in_process(path, every), reference, number)
    path.unlink()


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_variable_rate_is_sampled_by_time(suffix: str, films: Any, number: Any) -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.choice([10, 20, 33, 300, 1400], 60, p=[0.2, 0.2, 0.5, 0.07, 0.03]))
    times = [int(t - times[0]) for t in times]
    path = films.make(suffix, frames=60, times_ms=times)
    frames = list(decode_in_process(path, "0.5s"))
    assert [f.index for f in frames] == chosen(Every(seconds=0.5), [t / 1000 for t in times])
    assert [number(f.image) for f in frames] == [f.index for f in frames]
    assert [f.time_s for f in frames] == pytest.approx([times[f.index] / 1000 for f in frames], abs=1e-6)


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_a_clock_that_starts_late_counts_from_its_first_frame(suffix: str, films: Any, number: Any) -> None:
    path = films.make(suffix, first_pts=43_474 * 24, container_options={"avoid_negative_ts": "disabled"})
    frames = list(decode_in_process(path, "1s"))
    assert [(f.index, number(f.image)) for f in frames] == [(0, 0), (24, 24), (48, 48), (72, 72)]
    assert [f.time_s for f in frames] == pytest.approx([0, 1, 2, 3], abs=0.001)


@pytest.mark.parametrize("stated", [1, 4_000_000_000])
def test_a_wrong_header_is_not_believed(stated: int, films: Any, box_patcher: Any) -> None:
    path = films.make()
    for box, offset in ((b"mdhd", 20), (b"mvhd", 20)):
        box_patcher(path, box, {offset: stated})
    decoding = decode_in_process(path, "24f")
    assert [f.index for f in decoding] == [0, 24, 48, 72]
    assert decoding.progress.status == "complete"
    assert decoding.progress.duration_s == pytest.approx(4.0)


def test_a_clock_that_starts_again_goes_on(films: Any, number: Any) -> None:
    first, second = films.make("ts", frames=48), films.make("ts", frames=48)
    path = films.path("ts")
    path.write_bytes(first.read_bytes() + second.read_bytes())
    frames = list(decode_in_process(path, "1f"))
    assert len(frames) == 96
    assert [number(f.image) for f in frames] == [*range(48), *range(48)]
    times = [f.time_s for f in frames]
    assert times[0] == 0
    assert np.all(np.diff(times) > 0)
    assert times[-1] == pytest.approx(95 / 24, abs=0.1)


def test_frames_at_gives_exactly_these_at_full_size(film: Path, number: Any) -> None:
    frames = list(frames_at(film, [70, 3, 3, 48]))
    assert [(f.index, number(f.image), f.scale) for f in frames] == [(3, 3, 1.0), (48, 48, 1.0), (70, 70, 1.0)]
    assert list(frames_at(film, [])) == []


def test_the_same_twice_and_with_any_number_of_threads(film: Path) -> None:
    from dprnet.decode import DecodeLimits

    def run(threads: int) -> list[tuple[int, float, bytes]]:
        with open_video(film, "7f", limits=DecodeLimits(threads=threads), short_side=40) as video:
            return [(f.index, f.time_s, f.image.tobytes()) for f in video]

    assert run(1) == run(1) == run(4)


def test_intra_only_takes_what_the_encoder_coded_alone(films: Any) -> None:
    for asked in ({"gop": 24}, {"gop": 24, "codec": "mpeg4", "suffix": "avi", "bframes": 0}):
        frames = list(decode_in_process(films.make(**asked), "0.5s", intra_only=True))
        assert [f.index for f in frames] == [0, 24, 48, 72]
