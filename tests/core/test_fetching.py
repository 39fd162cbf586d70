"""Fetching, against real servers on this machine: what is had, what is refused, what is cut short."""

from __future__ import annotations

import datetime
import http.server
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from dprnet.core import fetching
from dprnet.core.errors import LimitExceeded, MissingFile
from dprnet.core.fetching import FetchLimits, fetch, fetch_bytes

HERE = FetchLimits(private=True, seconds=60)
BODY = bytes(range(256)) * 40


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the path that is asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        kind, _, rest = self.path.lstrip("/").partition("/")
        self.asked.append(self.path)
        if kind == "to":
            self.send_response(302)
            self.send_header("Location", rest if "://" in rest else f"/{rest}")
            self.end_headers()
        elif kind == "again" and len(self.asked) < 3:
            self.send_error(503)
        elif kind == "lying":
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY) + 10))
            self.end_headers()
            self.wfile.write(BODY)
        elif kind == "endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(1 << 16))
            except OSError:
                pass
        elif kind == "slow":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x")
                    time.sleep(0.05)
            except OSError:
                pass
        elif kind == "absent":
            self.send_error(404)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

    def log_message(self, *words: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def server(
    web_server: Callable[..., AbstractContextManager[str]], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    monkeypatch.setattr(fetching, "FIRST_PAUSE_S", 0.01)
    with web_server(type("Mine", (Handler,), {"asked": asked})) as address:
        yield address


def test_what_is_there(server: str, asked: list[str]) -> None:
    assert fetch_bytes(f"{server}/photo.jpg?size=2", HERE) == BODY
    assert asked == ["/photo.jpg?size=2"]
    into = io.BytesIO(b"older, longer than nothing")
    fetch(f"{server}/again", into, HERE)
    assert into.getvalue() == BODY
    assert len(asked) == 3  # one is the photo, one answered 503


@pytest.mark.parametrize(
    ("path", "limits", "reason"),
    [
        ("/absent", {}, "missing_file"),
        ("/lying", {"attempts": 2}, "missing_file"),
        ("/endless", {"max_bytes": 300_000}, "limit:bytes"),
        ("/photo", {"max_bytes": len(BODY) - 1}, "limit:bytes"),
        ("/slow", {"seconds": 0.5}, "limit:seconds"),
        ("/to/to/to/photo", {"redirects": 2}, "limit:redirects"),
    ],
)
def test_limits(server: str, asked: list[str], path: str, limits: dict[str, float], reason: str) -> None:
    with pytest.raises((MissingFile, LimitExceeded)) as error:
        fetch_bytes(server + path, HERE.model_copy(update=limits))
    assert error.value.reason == reason
    assert len(asked) == {"/lying": 2, "/to/to/to/photo": 3}.get(path, 1)


def test_as_many_redirects_as_allowed(server: str) -> None:
    assert fetch_bytes(f"{server}/to/to/photo", HERE.model_copy(update={"redirects": 2})) == BODY


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"]
)
def test_nobody_inside_is_asked(server: str, asked: list[str], host: str) -> None:
    port = server.rpartition(":")[2]
    with pytest.raises(MissingFile, match="not on the public internet") as error:
        fetch_bytes(f"http://{host}:{port}/secret", FetchLimits())
    assert error.value.reason == "refused"
    assert asked == []


def test_a_redirect_is_judged_anew(server: str, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A public name that sends us to a host inside: the first is asked, the second is not."""
    port = int(server.rpartition(":")[2])
    real, connect = socket.getaddrinfo, socket.create_connection
    names = {"shop.example": "93.184.216.34"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *words, **more: real(names.get(host, host), *words, **more))
    public = lambda place, **more: connect(("127.0.0.1", port) if place[0] == "93.184.216.34" else place, **more)  # noqa: E731
    monkeypatch.setattr(socket, "create_connection", public)
    assert fetch_bytes("http://shop.example/photo", FetchLimits()) == BODY
    with pytest.raises(MissingFile, match="not on the public internet"):
        fetch_bytes(f"http://shop.example/to/http://127.0.0.1:{port}/secret", FetchLimits())
    assert asked == ["/photo", f"/to/http://127.0.0.1:{port}/secret"]


def test_a_name_is_looked_up_once(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: what the name means a moment later reaches nobody, for it is not asked again."""
    port = int(server.rpartition(":")[2])
    real, connect = socket.getaddrinfo, socket.create_connection
    answers, reached = iter(["93.184.216.34", "127.0.0.1"]), []

    def look_up(host: str, port: int, *words: object, **more: object) -> object:
        if host != "rebind.example":
            return real(host, port, *words, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def connected(place: tuple[str, int], **more: float) -> socket.socket:
        reached.append(place[0])
        return connect(("127.0.0.1", port), **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connected)
    assert fetch_bytes("http://rebind.example/photo", FetchLimits()) == BODY
    assert reached == ["93.184.216.34"]


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "gopher://a.example/x", "http://user@a.example/", "http:///x", "http://a b/"]
)
def test_what_is_no_address_of_ours(address: str) -> None:
    with pytest.raises(MissingFile, match=r"not fetched|is no address"):
        fetch_bytes(address, HERE)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(MissingFile, match=r"cannot be fetched: ConnectionRefusedError.*1 attempts"):
        fetch_bytes(f"http://127.0.0.1:{port}/x", HERE.model_copy(update={"attempts": 1}))


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    cert = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (tmp_path / "both.pem").write_bytes(secret + cert.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with http.server.ThreadingHTTPServer(("localhost", 0), type("Mine", (Handler,), {"asked": []})) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        running.handle_error = lambda *words: None  # type: ignore[method-assign]
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        address = f"https://localhost:{running.server_address[1]}/photo"
        try:
            with pytest.raises(MissingFile, match="not to be trusted"):
                fetch_bytes(address, HERE)
            trusting = ssl.create_default_context(cafile=str(tmp_path / "both.pem"))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(ssl, "create_default_context", lambda: trusting)
                assert fetch_bytes(address, HERE) == BODY
        finally:
            running.shutdown()
            thread.join()
