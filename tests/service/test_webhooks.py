"""The ends of jobs are told: signed, again until they are heard, and to nobody whom an outsider should not reach."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dprnet.core.errors import BadRecipe
from dprnet.service.addresses import Place, is_public, look_up
from dprnet.service.config import ServiceConfig
from dprnet.service.jobs import Jobs
from dprnet.service.signing import signature
from dprnet.service.webhooks import ATTEMPTS, Webhooks, check_address, post

SECRET = "a secret of sixteen characters"
REQUEST = {"every": "0.5s", "items": 5, "fallback": None, "gallery": None}


class Receiver:
    """A real one; answers as told, first things first."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.heard.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, headers = receiver.answers.pop(0) if receiver.answers else (204, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def jobs(table: Path | str) -> Iterator[Jobs]:
    opened = Jobs(table)
    yield opened
    opened.close()


def telling(tmp_path: Path, jobs: Jobs, receiver: Receiver) -> Webhooks:
    config = ServiceConfig(folder=tmp_path, webhook_secret=SECRET, webhook_to=(f"127.0.0.1:{receiver.port}",))
    return Webhooks(config, jobs)


def ended(jobs: Jobs, address: str, job_id: str = "a") -> None:
    jobs.add(job_id, name="look.mp4", sha256="ab" * 32, request=REQUEST, keep_s=60.0, max_queue=9, webhook=address)
    lease = jobs.claim(60, 3)
    assert lease is not None
    assert jobs.fail(lease, "undecodable", "look.mp4: no frame could be decoded")


def at_once(jobs: Jobs) -> None:
    """As if the pause were over."""
    with jobs.writing() as db:
        db.execute("UPDATE jobs SET hook_next_s = 0")


def test_an_end_is_told_once_and_signed(tmp_path: Path, jobs: Jobs, receiver: Receiver) -> None:
    webhooks = telling(tmp_path, jobs, receiver)
    assert not webhooks.tell_one()
    ended(jobs, f"http://127.0.0.1:{receiver.port}/told?by=dprnet")
    assert webhooks.tell_one()
    assert not webhooks.tell_one(), "once"
    ((path, headers, body),) = receiver.heard
    assert path == "/told?by=dprnet"
    assert (headers["host"], headers["webhook-id"]) == (f"127.0.0.1:{receiver.port}", "job_a")
    signed = f"job_a.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 600
    told = json.loads(body)
    assert told["type"] == "job.failed"
    assert told["data"]["error"] == {"code": "undecodable", "message": "look.mp4: no frame could be decoded"}
    job = jobs.get("a")
    assert job is not None
    assert (job.hook_state, job.hook_attempts, job.hook_note) == ("delivered", 1, None)


def test_it_is_told_again_under_the_same_id_until_it_is_heard(tmp_path: Path, jobs: Jobs, receiver: Receiver) -> None:
    webhooks = telling(tmp_path, jobs, receiver)
    ended(jobs, f"http://127.0.0.1:{receiver.port}/")
    receiver.answers = [(500, {}), (429, {})]
    assert webhooks.tell_one()
    job = jobs.get("a")
    assert job is not None
    assert (job.hook_state, job.hook_attempts, job.hook_note) == ("due", 1, "answered 500")
    assert not webhooks.tell_one(), "not before the pause is over"
    for _ in range(2):
        at_once(jobs)
        assert webhooks.tell_one()
    job = jobs.get("a")
    assert job is not None
    assert (job.hook_state, job.hook_attempts) == ("delivered", 3)
    assert [headers["webhook-id"] for _, headers, _ in receiver.heard] == ["job_a"] * 3


def test_at_last_it_is_given_up(tmp_path: Path, jobs: Jobs, receiver: Receiver) -> None:
    webhooks = telling(tmp_path, jobs, receiver)
    ended(jobs, f"http://127.0.0.1:{receiver.port}/")
    receiver.answers = [(503, {})] * ATTEMPTS
    for _ in range(ATTEMPTS):
        at_once(jobs)
        assert webhooks.tell_one()
    at_once(jobs)
    assert not webhooks.tell_one()
    job = jobs.get("a")
    assert job is not None
    assert (job.hook_state, job.hook_attempts) == ("failed", ATTEMPTS)


def test_nobody_is_followed_elsewhere(tmp_path: Path, jobs: Jobs, receiver: Receiver) -> None:
    secret = Receiver()
    try:
        webhooks = telling(tmp_path, jobs, receiver)
        ended(jobs, f"http://127.0.0.1:{receiver.port}/")
        receiver.answers = [(307, {"location": f"http://127.0.0.1:{secret.port}/latest/meta-data"})]
        assert webhooks.tell_one()
        job = jobs.get("a")
        assert job is not None
        assert job.hook_state == "due"
        assert job.hook_note == "answered 307; addresses that send us elsewhere are not followed"
        assert secret.heard == []
    finally:
        secret.close()


def test_a_name_that_means_another_machine_by_now_is_not_told(
    tmp_path: Path, jobs: Jobs, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhooks = telling(tmp_path, jobs, receiver)
    ended(jobs, f"http://shop.example:{receiver.port}/")  # it was public when it was given
    rebound = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: rebound)
    assert webhooks.tell_one()
    job = jobs.get("a")
    assert job is not None
    assert "not on the public internet" in str(job.hook_note)
    assert receiver.heard == []


def test_one_public_address_beside_a_private_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: both)
    with pytest.raises(BadRecipe) as refused:
        look_up("http://both.example/")
    assert refused.value.reason == "webhook_refused"
    assert look_up("http://both.example/", ("both.example",)).ip == "1.1.1.1"


@pytest.mark.parametrize(
    "address",
    [
        *("http://127.0.0.1/", "http://localhost:8000/", "http://[::1]/", "http://0/", "http://2130706433/"),
        *("http://0x7f.1/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::a00:1]/", "http://10.1.2.3/"),
        *("http://169.254.169.254/latest/meta-data", "http://[fe80::1]/", "http://[2002:7f00:1::]/", "http://0.0.0.0/"),
    ],
)
def test_what_an_outsider_may_not_reach_is_refused(address: str) -> None:
    with pytest.raises(BadRecipe) as refused:
        look_up(address)
    assert refused.value.reason in {"webhook_refused", "webhook_unknown"}


@pytest.mark.parametrize(
    "address",
    [
        *("file:///etc/passwd", "gopher://1.1.1.1/", "ftp://1.1.1.1/", "http://", "//1.1.1.1/", "1.1.1.1", ""),
        *("http://user:word@1.1.1.1/", "http://1.1.1.1/#part", "http://1.1.1.1:99999/", "http://1.1.1.1/\r\nX: y"),
        *(
            "http://1.1.1.1/ a",
            "http://[1.1.1.1/",
            "http://\N{GREEK SMALL LETTER ALPHA}.example/",
            "http://1.1.1.1/" + "a" * 2000,
        ),
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(BadRecipe) as refused:
        look_up(address)
    assert refused.value.reason == "webhook_address"


def test_the_public_internet_is_allowed() -> None:
    place = look_up("https://1.1.1.1/hook?a=b")
    assert (place.ip, place.port, place.target, place.host_header) == ("1.1.1.1", 443, "/hook?a=b", "1.1.1.1")
    assert look_up("http://[2606:4700:4700::1111]:81").host_header == "[2606:4700:4700::1111]:81"
    assert not is_public("224.0.0.1")


def test_a_receiver_that_trickles_is_hung_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        ended = threading.Event()

        def trickle() -> None:
            line, _ = door.accept()
            with line:
                while not ended.wait(0.2):
                    try:
                        line.send(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=trickle)
        thread.start()
        place = Place("http", "127.0.0.1", door.getsockname()[1], "127.0.0.1", "/")
        started = time.monotonic()
        with pytest.raises((OSError, http.client.HTTPException)):
            post(place, b"{}", {"host": "x"}, whole_s=1.5)
        spent = time.monotonic() - started
        ended.set()
        thread.join()
    assert spent < 60, "a byte now and then does not keep the line open"


def test_a_place_with_another_name_in_its_certificate_is_not_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=lambda: door.accept()[0].close())
        thread.start()
        with pytest.raises(OSError):  # noqa: PT011 - no TLS is spoken there
            post(Place("https", "shop.example", door.getsockname()[1], "127.0.0.1", "/"), b"{}", {"host": "x"})
        thread.join()


def test_a_service_without_a_secret_tells_nobody(tmp_path: Path) -> None:
    with pytest.raises(BadRecipe) as refused:
        check_address(ServiceConfig(folder=tmp_path), "https://1.1.1.1/")
    assert refused.value.reason == "webhooks_off"
    with pytest.raises(ValueError, match="shorter than"):
        ServiceConfig(folder=tmp_path, webhook_secret="short")
    told = ServiceConfig(folder=tmp_path, webhook_secret=SECRET).for_worker()
    assert SECRET not in told
    assert ServiceConfig.model_validate_json(told).webhook_secret is None


def test_the_signature_is_that_of_standard_webhooks() -> None:
    secret, message_id = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    signed = signature(secret, message_id, 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "the example of its specification"


def test_a_secret_in_a_coding_that_it_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="base64"):
        ServiceConfig(folder=tmp_path, webhook_secret="whsec_" + "a" * 21)
