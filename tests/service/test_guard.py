"""Who may ask, how much at once, and how slowly."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from pathlib import Path

import pytest

from dprnet.core.errors import BadGallery, BadRecipe, MissingFile
from dprnet.service.arguments import named_galleries, named_kinds, read_key
from dprnet.service.config import ServiceConfig
from dprnet.service.state import Service

from .conftest import DEADLINE_S, Running, started
from .test_api import photo

KEY = "0123456789abcdef-key"


def test_it_refuses_an_open_door(tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match=r"0\.0\.0\.0: anybody who reaches this address .* set an API key"):
        ServiceConfig(folder=tmp_path, host="0.0.0.0").refuse_open_door()
    with pytest.raises(BadRecipe):
        ServiceConfig(folder=tmp_path, host="shop.example").refuse_open_door()
    ServiceConfig(folder=tmp_path, host="0.0.0.0", api_key=KEY).refuse_open_door()  # type: ignore[arg-type]
    ServiceConfig(folder=tmp_path, host="::1").refuse_open_door()
    with pytest.raises(ValueError, match="shorter than 16"):
        ServiceConfig(folder=tmp_path, api_key="short")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="gallery name"):
        ServiceConfig(folder=tmp_path, galleries={"../up": tmp_path})


def test_the_key_is_no_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert read_key(tmp_path / "key") == KEY
    with pytest.raises(MissingFile, match="the key cannot be read"):
        read_key(tmp_path / "none")
    monkeypatch.setenv("DPRNET_API_KEY", KEY)
    assert read_key(None) == KEY
    assert KEY not in repr(ServiceConfig(folder=tmp_path, api_key=KEY))  # type: ignore[arg-type]


def test_a_name_is_given_once() -> None:
    with pytest.raises(BadRecipe, match="named twice"):
        named_galleries(["a/shop", "shop=b"])


def test_what_searches_a_gallery_is_named(tmp_path: Path, indexed: Path) -> None:
    with pytest.raises(BadRecipe, match="known are auto, exact, hnsw, ivf, store"):
        named_kinds(["shop=stoer"], ["shop"])
    with pytest.raises(ValueError, match="kind of gallery 'shp': no gallery of this name was given; there are: shop"):
        ServiceConfig(folder=tmp_path, galleries={"shop": indexed}, kinds={"shp": "exact"})
    config = ServiceConfig(folder=tmp_path, galleries={"shop": indexed}, kinds={"shop": "store"})
    with pytest.raises(BadGallery, match="LanceDB keeps it, which answers no search"):
        Service(config)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, random_bundle: Path, indexed: Path) -> object:
    """A service with a key and tight limits, and nobody who works."""
    config = ServiceConfig(
        folder=tmp_path_factory.mktemp("narrow"),
        bundle=str(random_bundle),
        galleries={"shop": indexed},
        api_key=KEY,  # type: ignore[arg-type]
        workers=0,
        max_queue=2,
        max_searches=2,
        silence_s=1.0,
        max_image_bytes=100_000,
        max_duration_s=2.0,
        keep_s=3600.0,
    )
    with started(config) as running:
        yield running


def test_without_the_key_nothing_is_told(narrow: Running) -> None:
    without = Running(narrow.base, narrow.folder)
    for method, path in (
        ("GET", "/v1/jobs"),
        ("POST", "/v1/jobs"),
        ("GET", "/v1/metrics"),
        ("GET", "/v1/openapi.json"),
    ):
        refused = without.ask(method, path, b"" if method == "POST" else None)
        assert (refused.status, refused.code) == (401, "no_key")
        assert refused.headers["www-authenticate"] == "Bearer"
    assert without.ask("GET", "/v1/jobs", x_api_key="wrong" * 5).status == 401
    assert without.ask("GET", "/v1/jobs", authorization=f"Bearer {KEY}").status == 200
    assert without.ask("GET", "/v1/health").status == 200
    assert b"API key" in without.ask("GET", "/", accept="text/html").body, "a person is asked for it"


def test_a_person_gives_the_key_once(narrow: Running) -> None:
    import http.client

    line = http.client.HTTPConnection("127.0.0.1", narrow.port, timeout=DEADLINE_S)
    form = {"content-type": "application/x-www-form-urlencoded"}
    line.request("POST", "/login", "key=wrong", form)
    wrong = line.getresponse()
    assert wrong.status == 401
    assert b"not the key" in wrong.read()
    line.request("POST", "/login", f"key={KEY}", form)
    right = line.getresponse()
    right.read()
    assert right.status == 303
    cookie = right.headers["set-cookie"]
    assert KEY not in cookie
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()
    line.request("GET", "/v1/jobs", headers={"cookie": cookie.partition(";")[0]})
    assert line.getresponse().read().startswith(b'{"jobs"')
    line.request("GET", "/v1/jobs", headers={"cookie": "dprnet_key=" + "0" * 64})
    assert line.getresponse().status == 401
    line.close()


def test_limits_are_named(narrow: Running, moving_square: Path) -> None:
    long = narrow.ask("POST", "/v1/jobs?name=long.mp4", moving_square.read_bytes())
    assert (long.status, long.code) == (422, "limit:duration_s")
    assert long.json["error"]["message"].startswith("long.mp4: duration_s")
    large = narrow.ask("POST", "/v1/search", bytes(100_001))
    assert (large.status, large.code) == (413, "limit:bytes")


def test_the_queue_says_when_to_come_back(narrow: Running, tmp_path: Path) -> None:
    short = tmp_path / "short.mp4"
    make_short(short)
    jobs = [narrow.send(short, "name=a")["id"], narrow.send(short, "name=b")["id"]]
    full = narrow.ask("POST", "/v1/jobs", short.read_bytes())
    assert (full.status, full.code) == (429, "queue_full")
    assert int(full.headers["retry-after"]) > 0
    assert narrow.ask("GET", f"/v1/jobs/{jobs[1]}").json["progress"]["ahead"] == 1
    stopped = narrow.ask("POST", f"/v1/jobs/{jobs[0]}/cancel", b"")
    assert stopped.json["state"] == "cancelled"
    assert narrow.ask("GET", f"/v1/jobs/{jobs[0]}/report.json").code == "no_result"
    assert narrow.ask("POST", "/v1/jobs", short.read_bytes()).status == 202


def make_short(path: Path) -> None:
    import av
    import numpy as np

    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(5):
            image = np.full((48, 64, 3), 40 * number, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())


def test_a_body_that_does_not_come_is_not_waited_for(narrow: Running) -> None:
    head = (
        f"POST /v1/search?whole=true HTTP/1.1\r\nHost: 127.0.0.1:{narrow.port}\r\n"
        f"X-API-Key: {KEY}\r\nContent-Length: 5000\r\n\r\nabc"
    )
    with socket.create_connection(("127.0.0.1", narrow.port), timeout=DEADLINE_S) as line:
        line.sendall(head.encode())
        answer = b""
        while part := line.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"too_slow"' in answer


def test_a_head_that_does_not_come_is_not_waited_for(narrow: Running) -> None:
    for start in (b"", b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "):
        with socket.create_connection(("127.0.0.1", narrow.port), timeout=DEADLINE_S) as line:
            line.sendall(start)
            assert line.recv(100) == b"", "hung up on"
    assert narrow.ask("GET", "/v1/health").status == 200


def test_the_command_line_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dprnet.cli import run

    assert run(["serve", "--folder", str(tmp_path), "--host", "0.0.0.0"]) == 2
    assert "set an API key" in capsys.readouterr().err
    assert run(["serve", "--folder", str(tmp_path), "--gallery", "x/a", "--gallery", "y/a"]) == 2
    assert "named twice" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["serve", "--folder", str(tmp_path), "--port", str(taken.getsockname()[1])]) == 2
    assert "choose another --port" in capsys.readouterr().err


def test_many_at_once_are_served_or_sent_away(narrow: Running) -> None:
    picture, statuses, healthy = photo(), [], []

    def search() -> None:
        statuses.append(narrow.ask("POST", "/v1/search?whole=true", picture).status)

    clients = [threading.Thread(target=search) for _ in range(20)]
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        healthy.append(narrow.ask("GET", "/v1/health").status)
    for client in clients:
        client.join()
    counted = Counter(statuses)
    assert set(counted) <= {200, 429}
    assert counted[200] >= 1
    assert set(healthy) <= {200}
    assert narrow.ask("POST", "/v1/search?whole=true", picture).status == 200


def test_two_services_do_not_share_a_folder(narrow: Running, random_bundle: Path) -> None:
    from dprnet.service.state import Service

    with pytest.raises(BadRecipe, match="another service runs on this folder"):
        Service(ServiceConfig(folder=narrow.folder, bundle=str(random_bundle)))
