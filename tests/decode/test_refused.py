"""What is refused, how quickly, and in which words (V2, V3, V7, V10)."""

from __future__ import annotations

import io
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from dprnet.core.errors import BadVideo, DprnetError, LimitExceeded, MissingFile
from dprnet.decode import DecodeLimits, open_video
from dprnet.decode.container import FORMATS, WHITELISTS, open_container


def refusal(path: str | Path, every: str = "0.5s", **limits: Any) -> DprnetError:
    """The one typed error that the video ends in."""
    start = time.monotonic()
    with pytest.raises(DprnetError) as caught, open_video(path, every, limits=DecodeLimits(**limits)) as video:
        list(video)
    assert time.monotonic() - start < 60, "generous: the machine may be busy"
    assert str(caught.value).count("\n") == 0
    return caught.value


def children() -> str:
    """Processor seconds of ended children: stays what it was where none was started."""
    used = os.times()
    return f"{used.children_user} {used.children_system}"


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("look.mp4", b"0" * 100)
    return target.getvalue()


def encoded(suffix: str, codec: str, pix_fmt: str) -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format=suffix) as container:
        stream: Any = container.add_stream(codec, rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 99, np.uint8), format="rgb24").reformat(format=pix_fmt)
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return target.getvalue()


def avif() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (64, 48)).save(target, "AVIF")
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "reason", "word"),
    [
        (b"", "empty", "empty"),
        (b"\0", "unsupported_format", "MP4"),
        (b"hello, this is a text\n" * 50, "unsupported_format", "MP4"),
        (b"\x89PNG\r\n\x1a\n" + bytes(900), "unsupported_format", "PNG"),
        (b"\xff\xd8\xff\xe0" + bytes(900), "unsupported_format", "JPEG"),
        (encoded("gif", "gif", "rgb8"), "unsupported_format", "GIF"),
        (avif(), "unsupported_format", "AVIF"),
        (b"RIFF\x24\0\0\0WAVEfmt " + bytes(900), "unsupported_format", "AVI"),
        (zipped(), "unsupported_format", "ZIP"),
        (b"<!doctype html><html></html>", "unsupported_format", "MP4"),
        (bytes(4096), "unsupported_format", "MP4"),
    ],
)
def test_what_only_calls_itself_a_video_is_refused_within_a_second(
    content: bytes, reason: str, word: str, tmp_path: Path
) -> None:
    path = tmp_path / "look.mp4"
    path.write_bytes(content)
    start, before = time.process_time(), children()
    error = refusal(path)
    assert time.process_time() - start < 1
    assert children() == before, "refused by its first bytes, before any process is started"
    assert isinstance(error, BadVideo)
    assert error.reason == reason
    assert word in str(error)
    assert str(path) in str(error)


@pytest.mark.parametrize(
    "head", [b"\0\0\0\x18ftypmp42" + bytes(12), b"\x1a\x45\xdf\xa3" + bytes(60), b"FLV\x01" + bytes(60)]
)
def test_a_header_and_nothing_else_is_undecodable(head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "look.mp4"
    path.write_bytes(head)
    assert refusal(path).reason in {"undecodable", "no_video_stream"}


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/look.mp4",
        "file:///etc/passwd",
        "rtsp://example.org/1",
        "concat:a.mp4|b.mp4",
        "data:,x",
        "\0",
        "",
    ],
)
def test_addresses_are_not_opened(address: str) -> None:
    error = refusal(address)
    assert isinstance(error, (MissingFile, BadVideo))
    assert error.reason in {"missing_file", "not_a_file"}


def test_folders_and_devices_are_not_videos(tmp_path: Path) -> None:
    assert refusal(tmp_path).reason == "not_a_file"
    assert refusal("/dev/zero").reason == "not_a_file"


def playlist(kind: str, film: Path) -> str:
    lines = {
        "ffconcat": f"ffconcat version 1.0\nfile '{film.name}'\n",
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile://{film}\n#EXT-X-ENDLIST\n",
        "m3u8 relative": f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{film.name}\n#EXT-X-ENDLIST\n",
    }
    return lines[kind]


@pytest.mark.parametrize("kind", ["ffconcat", "m3u8", "m3u8 relative"])
def test_playlists_are_not_followed(kind: str, film: Path) -> None:
    path = film.parent / f"playlist {kind}.mp4"
    path.write_text(playlist(kind, film), encoding="utf-8")
    assert refusal(path).reason == "unsupported_format"
    # Neither by FFmpeg itself, had our own look at the first bytes let them pass.
    with pytest.raises(BadVideo):
        open_container(path)


def test_the_whitelists_are_the_promised_ones() -> None:
    assert FORMATS == "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,flv"
    assert WHITELISTS == {"format_whitelist": FORMATS, "protocol_whitelist": "file"}


def test_names_that_look_like_protocols_are_files(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        "concat:a|b.mp4",
        "http:look.mp4",
        "-i",
        "crypto:x.mp4",
        "a\nb.mp4",
        "ünï.mp4",
        b"\xff\xfe.mp4".decode("utf-8", "surrogateescape"),
    ]
    monkeypatch.chdir(film.parent)
    for name in names:
        (film.parent / name).write_bytes(film.read_bytes())
        with open_video(name, "48f") as video:
            assert [frame.index for frame in video] == [0, 48]


def test_sound_only(films: Any) -> None:
    error = refusal(films.sound())
    assert (error.reason, "1 audio" in str(error)) == ("no_video_stream", True)


def test_a_cover_picture_is_no_video(films: Any) -> None:
    picture = io.BytesIO()
    from PIL import Image

    Image.new("RGB", (64, 48), "red").save(picture, "JPEG")
    path = films.path("mkv")
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=16000)
        stream.layout = "mono"
        container.add_attachment("cover.jpg", "image/jpeg", picture.getvalue())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    error = refusal(path)
    assert (error.reason, "cover picture" in str(error)) == ("no_video_stream", True)


def matroska(*kinds: int) -> bytes:
    """A Matroska file by hand: one track of each kind (0x11 is subtitles), with a word in the first."""

    def element(name: str, body: bytes) -> bytes:
        return bytes.fromhex(name) + b"\x01" + len(body).to_bytes(7, "big") + body

    def track(number: int, kind: int) -> bytes:
        named = element("d7", bytes((number,))) + element("73c5", bytes((number,)))
        return element("ae", named + element("83", bytes((kind,))) + element("86", b"S_TEXT/UTF8"))

    head = element("4286", b"\1") + element("42f7", b"\1") + element("42f2", b"\4") + element("42f3", b"\x08")
    head += element("4282", b"matroska") + element("4287", b"\4") + element("4285", b"\2")
    info = element("1549a966", element("2ad7b1", (1_000_000).to_bytes(4, "big")))
    tracks = element("1654ae6b", b"".join(track(number, kind) for number, kind in enumerate(kinds, 1)))
    word = element("a0", element("a1", b"\x81\0\0\0Hello") + element("9b", b"\3\xe8"))
    return element("1a45dfa3", head) + element(
        "18538067", info + tracks + element("1f43b675", element("e7", b"\0") + word)
    )


def test_subtitles_only(tmp_path: Path) -> None:
    (tmp_path / "words.mkv").write_bytes(matroska(0x11))
    error = refusal(tmp_path / "words.mkv")
    assert (error.reason, "1 subtitle" in str(error)) == ("no_video_stream", True)


def test_too_many_streams(tmp_path: Path) -> None:
    (tmp_path / "words.mkv").write_bytes(matroska(*[0x11] * 101))
    error = refusal(tmp_path / "words.mkv")
    assert (error.reason, "101 streams" in str(error)) == ("limit:streams", True)


def test_an_encrypted_video(films: Any) -> None:
    keys = {"encryption_key": "76a6c65c5ea762046bd749a2e632ccbb", "encryption_kid": "a7e61c373e219033c21091fa607bf3b8"}
    path = films.make(container_options={"encryption_scheme": "cenc-aes-ctr", **keys})
    error = refusal(path)
    assert (error.reason, "DRM" in str(error)) == ("encrypted", True)


@pytest.mark.data
def test_encrypted_videos_of_others(data_root: Path) -> None:
    media = data_root / "badinput/androidx-media/libraries/test_data/src/test/assets/media/mkv"
    files = sorted(media.glob("subsample_encrypted_*.webm"))
    assert [refusal(path).reason for path in files] == ["encrypted", "encrypted"]


def test_a_video_without_a_frame(films: Any) -> None:
    path = films.path("mkv")
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    assert refusal(path).reason == "undecodable"


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_bytes": 1000}, "limit:bytes"),
        ({"max_duration_s": 2.0}, "limit:duration_s"),
        ({"max_pixels": 5000}, "limit:pixels"),
        ({"max_frames_examined": 50}, "limit:frames_examined"),
        ({"max_wall_s": 1e-4}, "limit:wall_s"),
    ],
)
def test_every_limit_has_its_name(limits: dict[str, Any], reason: str, film: Path) -> None:
    error = refusal(film, **limits)
    assert isinstance(error, LimitExceeded)
    assert error.reason == reason


def test_processor_seconds_are_limited(large_film: Path) -> None:
    assert refusal(large_film, "1f", max_decode_s=0.02).reason == "limit:decode_s"


def test_a_length_that_the_header_hides_is_found_on_the_way(films: Any, box_patcher: Any) -> None:
    path = films.make()
    for box in (b"mdhd", b"mvhd"):
        box_patcher(path, box, {20: 1})
    assert refusal(path, max_duration_s=2.0).reason == "limit:duration_s"


def test_a_picture_that_grows_on_the_way_is_limited(films: Any) -> None:
    small, large = films.make("ts", frames=24), films.make("ts", frames=24, size=(192, 128), first_pts=24)
    path = films.path("ts")
    path.write_bytes(small.read_bytes() + large.read_bytes())
    with open_video(path, "1f", limits=DecodeLimits(max_pixels=96 * 64)) as video:
        seen = []
        with pytest.raises(LimitExceeded, match="pixels"):
            seen.extend(frame.image.shape for frame in video)
    assert set(seen) <= {(64, 96, 3)}
