"""Videos that browsers do not play get a small one that they do."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dprnet.core.errors import BadVideo
from dprnet.decode import DecodeLimits, open_video
from dprnet.service.api_results import playable
from dprnet.service.preview import SIDE, make

from .conftest import DEADLINE_S, Running


@pytest.fixture(scope="module")
def unplayable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of AVI, 640 x 482 pixels: a bright bar that moves right."""
    import av
    import numpy as np

    path = tmp_path_factory.mktemp("avi") / "look.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 640, 482, "yuv420p"
        for number in range(20):
            image = np.full((482, 640, 3), 40, np.uint8)
            image[:, 30 * number : 30 * number + 30] = 230
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    assert playable(path) is None
    return path


def test_a_preview_is_small_and_shows_the_same_at_the_same_time(unplayable: Path, tmp_path: Path) -> None:
    out = tmp_path / "preview.webm"
    make(unplayable, out, DecodeLimits())
    assert playable(out) == "video/webm"
    assert [path.name for path in tmp_path.iterdir()] == ["preview.webm"], "nothing else stays"
    with open_video(out, "0.5s") as video:
        frames = list(video)
    assert min(frames[0].image.shape[:2]) == SIDE
    assert len(frames) == 4
    for frame in frames:
        bar = int(frame.image[100].sum(axis=1).argmax()) / frame.image.shape[1]
        assert bar == pytest.approx(10 * frame.time_s * 30 / 640, abs=0.08)


def test_what_cannot_be_decoded_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "video").write_bytes(b"RIFF\x00\x01\x00\x00AVI " + b"\0" * 500)
    with pytest.raises(BadVideo):
        make(tmp_path / "video", tmp_path / "preview.webm", DecodeLimits())
    assert [path.name for path in tmp_path.iterdir()] == ["video"]


def test_it_is_made_when_it_is_asked_for(front: Running, unplayable: Path) -> None:
    job = front.send(unplayable, "name=look.avi")
    assert front.ask("GET", f"/v1/jobs/{job['id']}/video").code == "not_playable"
    assert b"A small preview is being made" in front.ask("GET", f"/jobs/{job['id']}").body
    deadline = time.monotonic() + DEADLINE_S
    while (answer := front.ask("GET", f"/v1/jobs/{job['id']}/preview")).status == 503:
        assert (answer.code, answer.headers["retry-after"]) == ("being_made", "2")
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (answer.status, answer.headers["content-type"]) == (200, "video/webm")
    assert answer.body[:4] == b"\x1a\x45\xdf\xa3"
    part = front.ask("GET", f"/v1/jobs/{job['id']}/preview", range="bytes=0-3")
    assert (part.status, part.body) == (206, b"\x1a\x45\xdf\xa3")
    assert f"/v1/jobs/{job['id']}/preview".encode() in front.ask("GET", f"/jobs/{job['id']}/screen").body
    front.ask("DELETE", f"/v1/jobs/{job['id']}")
    assert front.ask("GET", f"/v1/jobs/{job['id']}/preview").status == 404
