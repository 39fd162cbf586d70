"""The API as a client sees it: from the upload to the report, and every way it says no."""

from __future__ import annotations

import http.server
import io
import json
import socket
import threading
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dprnet.gallery import Gallery
from dprnet.report import read_json

from .conftest import DEADLINE_S, Running, form, started


def photo(colour: tuple[int, int, int] = (200, 30, 30), kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((64, 48, 3), colour, np.uint8)).save(out, kind)
    return out.getvalue()


def test_a_video_becomes_a_report(service: Running, moving_square: Path, tmp_path: Path) -> None:
    sent = service.ask("POST", "/v1/jobs?name=<b>look</b>.mp4&fallback=best", moving_square.read_bytes())
    assert sent.status == 202
    assert sent.headers["location"] == sent.json["links"]["self"]
    job = service.wait(sent.json["id"])
    assert (job["state"], job["error"], job["attempts"]) == ("done", None, 1)
    assert job["summary"]["status"] == "complete"
    assert job["gallery"] == "shop", "the only one"
    (tmp_path / "report.json").write_bytes(service.ask("GET", job["links"]["json"]).body)
    report = read_json(tmp_path / "report.json")
    assert [source.path for source in report.sources] == ["<b>look</b>.mp4"], "no path of the service's"
    assert report.sources[0].frames == 6
    html = service.ask("GET", job["links"]["html"])
    assert "sandbox" in html.headers["content-security-policy"]
    assert b"<b>look" not in html.body
    assert b"&lt;b&gt;look" in html.body
    assert service.ask("GET", job["links"]["csv"]).status == 200
    page = service.ask("GET", job["links"]["page"])
    assert b"<b>look" not in page.body
    clip = service.ask("GET", job["links"]["video"], range="bytes=0-99")
    assert (clip.status, len(clip.body), clip.headers["content-type"]) == (206, 100, "video/mp4")


def test_what_is_handed_out_names_no_path(service: Running, moving_square: Path, indexed: Path) -> None:
    job = service.wait(service.send(moving_square, "name=look.mp4&fallback=best")["id"])
    report = service.ask("GET", job["links"]["json"])
    photos = [match["photo"] for garment in report.json["garments"] for match in garment["matches"]]
    assert photos, "the test is of matches"
    for photo_address in set(photos):
        picture = service.ask("GET", photo_address)
        assert (picture.status, picture.headers["content-type"]) == (200, "image/jpeg")
    events = service.ask("GET", job["links"]["events"])
    answers = [report, events, *(service.ask("GET", job["links"][kind]) for kind in ("self", "html", "csv", "page"))]
    result = service.folder / "jobs" / job["id"]
    with Gallery.open(indexed) as gallery:
        places = {str(Path(photo).parent) for item in gallery.items() for photo in item.images}
    assert places
    for place in (*places, str(service.folder), str(service.folder.parent), str(result)):
        assert not any(place.encode() in answer.body for answer in answers), place
    (page,) = result.glob("result-*/page.json")
    assert not any(place in page.read_text() for place in places), "nor do the values that the page is made of"


def test_a_job_can_be_followed(service: Running, moving_square: Path) -> None:
    job = service.send(moving_square)
    reply = service.ask("GET", job["links"]["events"])
    assert reply.headers["content-type"].startswith("text/event-stream")
    told = [json.loads(line[6:]) for line in reply.body.decode().splitlines() if line.startswith("data: ")]
    assert told[-1]["state"] == "done"
    assert told[-1]["id"] == job["id"]
    last = [line[4:] for line in reply.body.decode().splitlines() if line.startswith("id: ")][-1]
    assert service.ask("GET", job["links"]["events"], last_event_id=last).status == 204


def test_the_same_key_gives_the_same_job(service: Running, moving_square: Path) -> None:
    first = service.send(moving_square, idempotency_key="order-17")
    again = service.send(moving_square, idempotency_key="order-17")
    assert again["id"] == first["id"]
    other = service.ask("POST", "/v1/jobs?every=1s", moving_square.read_bytes(), idempotency_key="order-17")
    assert (other.status, other.code) == (422, "key_used")
    service.wait(first["id"])
    assert len(list((service.folder / "jobs").glob(f"{first['id']}/result-*"))) == 1


def test_of_a_long_video_the_beginning_where_that_is_asked_for(service: Running, long_video: Path) -> None:
    refused = service.wait(service.send(long_video)["id"])
    assert (refused["state"], refused["error"]["code"], refused["clip"]) == ("failed", "limit:duration_s", False)
    sent = service.send(long_video, "clip=true&every=1f", idempotency_key="long")
    assert sent["clip"]
    assert service.send(long_video, "clip=true&every=1f", idempotency_key="long")["id"] == sent["id"]
    job = service.wait(sent["id"])
    assert (job["state"], job["summary"]["status"]) == ("done", "partial")
    assert "clipped after" in job["summary"]["note"]
    report = service.ask("GET", job["links"]["json"]).json
    assert (report["settings"]["clip"], report["sources"][0]["frames"]) == (True, 5)  # one every 900 s, an hour


def test_clipping_is_part_of_what_was_asked(service: Running, moving_square: Path) -> None:
    service.send(moving_square, "clip=false", idempotency_key="part")
    other = service.ask("POST", "/v1/jobs?clip=true", moving_square.read_bytes(), idempotency_key="part")
    assert (other.status, other.code) == (422, "key_used")


def test_the_next_job_sees_an_update(service: Running, moving_square: Path) -> None:
    """Though its worker keeps the gallery open."""

    def searched() -> tuple[str, set[str]]:
        job = service.wait(service.send(moving_square, "fallback=best&items=100")["id"])
        report = service.ask("GET", job["links"]["json"]).json
        found = {match["item_id"] for garment in report["garments"] for match in garment["matches"]}
        return report["gallery"], found

    before = searched()
    body, kind = form({"title": "new"}, [("new.png", photo())])
    put = service.ask("PUT", "/v1/galleries/shop/items?item_id=just-in", body, content_type=kind)
    assert put.status == 200, put.body
    after = searched()
    assert service.ask("DELETE", "/v1/galleries/shop/items?item_id=just-in").status == 204
    assert after[1] - before[1] == {"just-in"}
    assert after[0] != before[0]
    assert searched()[1] == before[1]


def test_deleting_takes_everything_along(service: Running, moving_square: Path) -> None:
    job = service.wait(service.send(moving_square)["id"])
    folder = service.folder / "jobs" / job["id"]
    assert folder.is_dir()
    assert service.ask("DELETE", job["links"]["self"]).status == 204
    assert not folder.exists()
    gone = service.ask("GET", job["links"]["self"])
    assert (gone.status, gone.code) == (404, "missing_file")
    assert service.ask("DELETE", job["links"]["self"]).status == 404


def test_a_sample_needs_no_body(service: Running) -> None:
    sent = service.ask("POST", "/v1/jobs?sample=square.mp4", b"")
    assert sent.status == 202
    assert sent.json["name"] == "square.mp4"
    for name in ("../lock", "..%2Flock", "%00", "none.mp4"):
        assert service.ask("POST", f"/v1/jobs?sample={name}", b"").status == 404


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b"", 422, "empty", "look.mp4: an empty body; send the file itself as the body"),
        (b"x", 415, "unsupported_format", "look.mp4: no MP4, MOV, 3GP, MKV, WebM, AVI, MPEG-TS or FLV file"),
        (photo(), 415, "unsupported_format", "look.mp4: a PNG picture, not a video in a known container"),
        (b"PK\3\4" + bytes(9000), 415, "unsupported_format", "look.mp4: a ZIP archive"),
        (b"#EXTM3U\nhttp://127.0.0.1/secret", 415, "unsupported_format", "look.mp4: a playlist"),
        (bytes(4) + b"ftypisom" + bytes(9000), 422, "undecodable", "look.mp4: "),
    ],
)
def test_what_is_no_video_is_refused_before_it_waits(
    service: Running, body: bytes, status: int, code: str, words: str
) -> None:
    before = [job["id"] for job in service.ask("GET", "/v1/jobs?limit=100").json["jobs"]]
    refused = service.ask("POST", "/v1/jobs?name=look.mp4", body)
    assert (refused.status, refused.code) == (status, code)
    assert refused.json["error"]["message"].startswith(words)
    assert str(service.folder) not in refused.body.decode()
    assert [job["id"] for job in service.ask("GET", "/v1/jobs?limit=100").json["jobs"]] == before
    left = {path.name for path in (service.folder / "jobs").iterdir()}
    assert left <= set(before), "no file of a refused upload stays"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("every=often", 422, "bad_recipe"),
        ("items=0", 422, "bad_request"),
        ("items=many", 422, "bad_request"),
        ("fallback=worst", 422, "bad_request"),
        ("gallery=elsewhere", 404, "missing_file"),
        ("gallery=../../etc", 404, "missing_file"),
        ("name=" + "x" * 300, 422, "bad_request"),
    ],
)
def test_wrong_settings_are_named(service: Running, moving_square: Path, query: str, status: int, code: str) -> None:
    refused = service.ask("POST", f"/v1/jobs?{query}", moving_square.read_bytes())
    assert (refused.status, refused.code) == (status, code)


def test_paths_lead_nowhere_else(service: Running) -> None:
    for path in (
        "/static/../config.py",
        "/static/..%2fconfig.py",
        "/static/%2e%2e/%2e%2e/core/errors.py",
        "/samples/..%2f..%2fdata%2flock",
        "/v1/jobs/..%2f..%2flock",
        "/v1/jobs/AAAAAAAAAAAAAAAAAAAAAA/pictures/..%2fpage.json",
        "/v1/jobs/AAAAAAAAAAAAAAAAAAAAAA/video",
        "/nowhere",
    ):
        answer = service.ask("GET", path)
        assert answer.status in {404, 422}, (path, answer.status)
        assert answer.code


def test_an_image_is_searched(service: Running) -> None:
    whole = service.ask("POST", "/v1/search?whole=true&items=3", photo())
    assert whole.status == 200, whole.body
    (found,) = whole.json["found"]
    assert (whole.json["width"], whole.json["height"], found["box_xyxy"]) == (48, 64, [0.0, 0.0, 48.0, 64.0])
    assert len({match["item_id"] for match in found["matches"]}) == 3
    assert service.ask("GET", found["matches"][0]["picture"]).headers["content-type"] == "image/jpeg"
    box = service.ask("POST", "/v1/search?box=1,2,30,40", photo()).json["found"][0]
    assert box["box_xyxy"] == [1.0, 2.0, 30.0, 40.0]
    (cheap,) = service.ask("POST", "/v1/search?whole=true&where=price+%3C+12", photo()).json["found"]
    assert {match["item_id"] for match in cheap["matches"]} == {"green", "red"}
    for query, status, code in (
        ("box=1,2", 422, "bad_request"),
        ("box=0,0,400,40", 422, "box"),
        ("box=nan,0,1,1", 422, "box"),
    ):
        refused = service.ask("POST", f"/v1/search?{query}", photo())
        assert (refused.status, refused.code) == (status, code)
    assert service.ask("POST", "/v1/search", b"").code == "empty"
    assert service.ask("POST", "/v1/search", b"no picture").status == 422
    assert service.ask("POST", "/v1/search", b"<svg xmlns='http://www.w3.org/2000/svg'/>").status in {415, 422}


def test_items_are_listed_written_and_removed(service: Running) -> None:
    first = service.ask("GET", "/v1/galleries/shop/items?limit=2").json
    assert first["total"] == 6
    assert [item["item_id"] for item in first["items"]] == ["blue", "green"]
    assert [i["item_id"] for i in service.ask("GET", first["next"]).json["items"]] == ["ink", "red"]
    assert service.ask("GET", "/v1/galleries/shop/items?q=RED+top").json["total"] == 1
    cheap = service.ask("GET", "/v1/galleries/shop/items?where=price+%3C+12").json
    assert [item["item_id"] for item in cheap["items"]] == ["green", "red"]
    assert service.ask("GET", "/v1/galleries/shop/items?where=price+%3C").code == "bad_filter"
    hostile = "../x/<img src=x onerror=alert(1)>'\" ;--"
    address = f"/v1/galleries/shop/items?item_id={urllib.parse.quote(hostile, safe='')}"
    body, kind = form({"title": "<script>alert(1)</script>", "price": "=1+1"}, [("../../evil.png", photo())])
    written = service.ask("PUT", address, body, content_type=kind)
    assert written.status == 200, written.body
    assert written.json["item_id"] == hostile
    assert service.ask("GET", written.json["pictures"][0]).status == 200
    assert len(list((service.folder / "photos" / "shop").iterdir())) == 1
    page = service.ask("GET", "/catalogue/shop?q=onerror").body
    assert b"<img src=x" not in page
    assert b"<script>alert" not in page
    again, kind = form({"title": "second"}, [("a.png", photo()), ("b.png", photo((1, 2, 3)))])
    assert len(service.ask("PUT", address, again, content_type=kind).json["pictures"]) == 2
    assert len(list((service.folder / "photos" / "shop").iterdir())) == 2, "the first photo went with its item"
    assert service.ask("DELETE", address).status == 204
    assert service.ask("DELETE", address).status == 404
    assert not list((service.folder / "photos" / "shop").iterdir())


def test_a_bad_item_changes_nothing(service: Running) -> None:
    address = "/v1/galleries/shop/items?item_id=red"
    before = service.ask("GET", "/v1/galleries/shop").json["version"]
    for fields, files, status in (
        ({}, [], 422),
        ({"colour": "red"}, [("a.png", photo())], 422),
        ({"metadata": "[1]"}, [("a.png", photo())], 422),
        ({}, [("a.png", photo()), ("b.png", b"broken")], 422),
        ({}, [(f"{n}.png", photo()) for n in range(9)], 400),
    ):
        body, kind = form(fields, files)
        refused = service.ask("PUT", address, body, content_type=kind)
        assert refused.status == status, refused.body
        assert refused.code
    assert service.ask("PUT", address, b"{}", content_type="application/json").status == 415
    assert service.ask("GET", "/v1/galleries/shop").json["version"] == before


def test_galleries_are_made_and_removed(service: Running) -> None:
    made = service.ask("PUT", "/v1/galleries/summer")
    assert (made.status, made.json["items"]) == (201, 0)
    assert service.ask("PUT", "/v1/galleries/summer").code == "exists"
    assert service.ask("PUT", "/v1/galleries/..").status in {404, 405, 422}
    assert service.ask("POST", "/v1/search", photo()).code == "which_gallery"
    empty = service.ask("POST", "/v1/search?gallery=summer&whole=true", photo())
    assert empty.json["found"][0]["matches"] == []
    assert service.ask("DELETE", "/v1/galleries/summer").status == 204
    kept = service.ask("DELETE", "/v1/galleries/shop")
    assert (kept.status, kept.code) == (403, "not_ours")


def test_feedback_is_kept_and_exported(service: Running, moving_square: Path) -> None:
    job = service.wait(service.send(moving_square, "fallback=best")["id"])
    page = json.loads(next((service.folder / "jobs" / job["id"]).glob("result-*/page.json")).read_text())
    offered = [(card["number"], offer["match"]["item_id"]) for card in page["cards"] for offer in card["offers"]]
    if not offered:
        pytest.fail("random networks found no garment in the square; seed them so that they do")
    garment, item_id = offered[0]
    said = {"garment": garment, "item_id": item_id, "verdict": "wrong"}
    address = f"/v1/jobs/{job['id']}/feedback"
    kept = service.ask("POST", address, json.dumps(said).encode(), content_type="application/json")
    assert kept.status == 201, kept.body
    said["verdict"] = "right"
    assert (
        service.ask("POST", address, json.dumps(said).encode(), content_type="application/json").json["id"]
        == kept.json["id"]
    )
    pairs = [json.loads(line) for line in service.ask("GET", "/v1/feedback").body.splitlines()]
    assert [(pair["garment"], pair["item_id"], pair["verdict"]) for pair in pairs if pair["job"] == job["id"]] == [
        (garment, item_id, "right")
    ]
    assert pairs[-1]["picture_jpeg"]
    other = json.dumps(said | {"item_id": "nothing"}).encode()
    assert service.ask("POST", address, other, content_type="application/json").status == 404
    assert service.ask("DELETE", f"/v1/feedback/{kept.json['id']}").status == 204


def test_the_service_tells_of_itself(service: Running) -> None:
    assert service.ask("GET", "/v1/health").json["status"] == "ok"
    assert service.ask("GET", "/v1/ready").json["ready"] is True
    bundles = service.ask("GET", "/v1/bundles").json["bundles"]
    assert bundles[0]["loaded"]
    figures = service.ask("GET", "/v1/metrics").body.decode()
    assert 'dprnet_jobs{state="done"}' in figures
    assert 'route="/v1/health"' in figures
    assert "look.mp4" not in figures


def test_every_answer_is_guarded(service: Running) -> None:
    for path in ("/", "/image", "/catalogue/shop", "/v1/health", "/nowhere", "/static/app.js"):
        headers = service.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_a_page_elsewhere_may_not_ask(service: Running) -> None:
    assert service.ask("POST", "/v1/jobs", b"", origin="https://evil.example").code == "cross_site"
    assert service.ask("DELETE", "/v1/galleries/shop", sec_fetch_site="cross-site").code == "cross_site"
    renamed = service.ask("GET", "/v1/jobs", host="evil.example")
    assert (renamed.status, renamed.code) == (421, "wrong_host")


def raw(service: Running, request: bytes) -> bytes:
    """What the service answers to these very bytes."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=DEADLINE_S) as line:
        line.sendall(request)
        answer = b""
        while part := line.recv(65536):
            answer += part
        return answer


def test_lying_lengths(service: Running) -> None:
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n".encode()
    huge = raw(service, head + b"Content-Length: 99999999999999\r\n\r\n")
    assert huge.startswith(b"HTTP/1.1 413")
    assert b'"limit:bytes"' in huge
    assert raw(service, head + b"Content-Length: -5\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(service, head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello").startswith(b"HTTP/1.1 400")
    small = f"POST /v1/jobs/AAAAAAAAAAAAAAAAAAAAAA/feedback HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n".encode()
    chunks = b"".join(b"10000\r\n" + b" " * 65536 + b"\r\n" for _ in range(20))
    assert b"413" in raw(service, small + b"Transfer-Encoding: chunked\r\n\r\n" + chunks).split(b"\r\n")[0]
    assert service.ask("GET", "/v1/health").status == 200


def test_a_client_that_leaves_leaves_no_file(service: Running, moving_square: Path) -> None:
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\nContent-Length: 900000\r\n\r\n".encode()
    before = {path.name for path in (service.folder / "jobs").iterdir()}
    with socket.create_connection(("127.0.0.1", service.port), timeout=DEADLINE_S) as line:
        line.sendall(head + moving_square.read_bytes()[:2000])
    for _ in range(600):
        if {path.name for path in (service.folder / "jobs").iterdir()} <= before:
            break
        import time

        time.sleep(0.1)
    assert {path.name for path in (service.folder / "jobs").iterdir()} <= before


def test_whoever_asked_to_be_told_of_the_end_is_told(tmp_path: Path, random_bundle: Path, moving_square: Path) -> None:
    from dprnet.service.config import ServiceConfig

    heard: list[dict[str, Any]] = []
    there = threading.Event()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()
            there.set()

        def log_message(self, *args: Any) -> None:
            pass

    receiver = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=receiver.serve_forever, args=(0.05,))
    thread.start()
    port = receiver.server_address[1]
    config = ServiceConfig(
        folder=tmp_path / "data",
        bundle=str(random_bundle),
        threads=1,
        webhook_secret="sixteen characters",
        webhook_to=(f"127.0.0.1:{port}",),
    )
    with started(config) as service:
        refused = service.ask("POST", "/v1/jobs?webhook=http://127.0.0.1:1/", b"x")
        assert (refused.status, refused.code) == (422, "webhook_refused")
        job = service.send(moving_square, f"name=look.mp4&webhook=http://127.0.0.1:{port}/told")
        assert job["webhook"] == {"state": "due", "attempts": 0, "note": None}
        service.wait(job["id"])
        assert there.wait(DEADLINE_S)
        assert heard[0]["type"] == "job.done"
        assert heard[0]["data"]["id"] == job["id"]
        service.wait(job["id"], until=lambda now: now["webhook"]["state"] == "delivered")
    receiver.shutdown()
    thread.join()
    receiver.server_close()


def test_a_service_that_tells_nobody_says_so(service: Running) -> None:
    refused = service.ask("POST", "/v1/jobs?webhook=https://1.1.1.1/", b"x")
    assert (refused.status, refused.code) == (422, "webhooks_off")


def test_a_catalogue_is_checked(service: Running) -> None:
    checked = service.ask("GET", "/v1/galleries/shop/doctor").json
    assert checked == {"items": 6, "findings": []}
    assert b"Nothing is wrong with these 6 items." in service.ask("GET", "/catalogue/shop/doctor").body
    assert service.ask("GET", "/v1/galleries/none/doctor").status == 404
