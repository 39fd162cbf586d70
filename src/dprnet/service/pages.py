"""What people see: the pages, their fragments, and the few files they need."""

from __future__ import annotations

import hmac
from functools import partial
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from dprnet.core.errors import MissingFile
from dprnet.service import preview
from dprnet.service.api_galleries import matching
from dprnet.service.api_jobs import JobId, job_of, told
from dprnet.service.api_results import playable
from dprnet.service.api_sources import source_out
from dprnet.service.doctor import examine
from dprnet.service.feedback import Feedback, page_of
from dprnet.service.guard import COOKIE, session
from dprnet.service.jobs import Job
from dprnet.service.pages_feedback import corrections
from dprnet.service.problems import Problem
from dprnet.service.rendering import HERE
from dprnet.service.rendering import render as _page
from dprnet.service.shapes import SearchOut
from dprnet.service.state import Service, Serving
from dprnet.service.worker import VIDEO

STATIC = {
    "report.css": (files("dprnet.report") / "templates" / "report.css", "text/css"),
    "app.css": (HERE / "static" / "app.css", "text/css"),
    "app.js": (HERE / "static" / "app.js", "text/javascript"),
    "htmx-4.0.1.min.js": (HERE / "static" / "htmx-4.0.1.min.js", "text/javascript"),
    "icon.svg": (HERE / "static" / "icon.svg", "image/svg+xml"),
}
PAGE = 36  # ours: items at once; a few screens on a phone
RECENT = 8
THUMBNAILS = 4
IMAGE_ITEMS = 5  # ours: a row

router = APIRouter(default_response_class=HTMLResponse)


@router.get("/")
def home(service: Serving) -> HTMLResponse:
    """Send a video, or try a sample."""
    recent = [(told(service, job), _thumbnails(service, job)) for job in service.jobs.page(RECENT)]
    hours = service.config.keep_s / 3600
    return _page("home.html.j2", service, "search", recent=recent, samples=list(service.samples), hours=hours)


@router.get("/jobs/{job_id}")
async def job(service: Serving, job_id: JobId) -> HTMLResponse:
    """One video: its player, its timeline, its garments."""
    found = await run_in_threadpool(job_of, service, job_id)
    seen = _screen(service, job_id) | await run_in_threadpool(_shown, service, found)
    return await run_in_threadpool(partial(_page, "job.html.j2", service, "search", **seen))


@router.get("/jobs/{job_id}/screen")
async def screen(service: Serving, job_id: JobId) -> HTMLResponse:
    """The player, or that a preview is being made."""
    found = await run_in_threadpool(job_of, service, job_id)
    return _page("screen.html.j2", service, "search", job=found, **_screen(service, job_id))


@router.get("/jobs/{job_id}/found")
def found(service: Serving, job_id: JobId) -> HTMLResponse:
    """The garments of a job as they are now, and the timeline (swapped out of band)."""
    return _page("found.html.j2", service, "search", **_shown(service, job_of(service, job_id)))


@router.get("/image")
def image(service: Serving) -> HTMLResponse:
    """Try one image."""
    return _page("image.html.j2", service, "image")


@router.post("/image/found")
async def image_found(
    service: Serving, request: Request, gallery: Annotated[str, Query(max_length=64)], whole: bool = False
) -> HTMLResponse:
    """What one image matches; the body is the image."""
    await run_in_threadpool(service.shelves.check, gallery)
    data = b"".join([chunk async for chunk in request.stream()])
    if not data:
        raise Problem(422, "empty", "image: choose a file first")
    answer = await service.searcher.alone(
        lambda given_up: service.searcher.search(
            data,
            "image",
            service.shelves,
            gallery,
            items=IMAGE_ITEMS,
            where="",
            box=None,
            whole=whole,
            given_up=given_up,
        ),
        request.is_disconnected,
    )
    return _page("image_found.html.j2", service, "image", answer=SearchOut.of(answer, gallery))


@router.get("/catalogue")
def catalogue(service: Serving) -> Response:
    """The galleries."""
    shelves = service.shelves.all()
    if len(shelves) == 1:
        return RedirectResponse(f"/catalogue/{quote(shelves[0].name)}", 303)
    return _page("galleries.html.j2", service, "catalogue", shelves=shelves)


@router.get("/catalogue/{name}")
def shelf(service: Serving, name: str, q: Annotated[str, Query(max_length=100)] = "") -> HTMLResponse:
    """The items of a gallery; add one, remove one."""
    return _page("catalogue.html.j2", service, "catalogue", shelf=service.shelves.one(name), **_items(service, name, q))


@router.get("/catalogue/{name}/items")
def shelf_items(
    service: Serving,
    name: str,
    q: Annotated[str, Query(max_length=100)] = "",
    after: Annotated[str | None, Query(max_length=500)] = None,
) -> HTMLResponse:
    """A page of the items of a gallery."""
    return _page("items.html.j2", service, "catalogue", **_items(service, name, q, after))


@router.get("/catalogue/{name}/doctor")
def shelf_doctor(service: Serving, name: str) -> HTMLResponse:
    """What is wrong with a catalogue."""
    items = service.shelves.items(name)
    with service.shelves.gallery(name) as found:
        findings = examine(found, items)
    return _page("doctor.html.j2", service, "catalogue", name=name, total=len(items), findings=findings)


@router.get("/live")
def live(service: Serving) -> Response:
    """The sources that may be watched."""
    found = [source_out(stream) for stream in service.sources.all()]
    if len(found) == 1:
        return RedirectResponse(f"/live/{quote(found[0].name)}", 303)
    return _page("live.html.j2", service, "live", sources=found)


@router.get("/live/{name}")
def live_source(service: Serving, name: str) -> HTMLResponse:
    """One source: watch it, and see what it shows."""
    return _page("source.html.j2", service, "live", source=source_out(service.sources.one(name)))


@router.get("/live/{name}/seen")
def seen(service: Serving, name: str) -> HTMLResponse:
    """What was seen in a source so far."""
    return _page("seen.html.j2", service, "live", source=source_out(service.sources.one(name)))


@router.get("/samples/{name}")
def sample(service: Serving, name: str) -> FileResponse:
    """A sample video."""
    path = service.samples.get(name)
    if path is None or (kind := playable(path)) is None:
        raise MissingFile(f"sample {name[:80]}", "there is none of this name that a browser plays")
    return FileResponse(path, media_type=kind)


@router.get("/static/{name}")
def static(name: str) -> Response:
    """A file of the page's own; there are no others."""
    if name not in STATIC:
        raise MissingFile(f"file {name[:80]}", "the page has none of this name")
    path, kind = STATIC[name]
    return Response(path.read_bytes(), media_type=kind, headers={"cache-control": "public, max-age=86400"})


@router.get("/login")
def login(service: Serving) -> HTMLResponse:
    """Ask for the key."""
    return _page("login.html.j2", service, "", wrong=False)


@router.post("/login")
def logged_in(service: Serving, request: Request, key: Annotated[str, Form(max_length=500)]) -> Response:
    """Take the key and remember, in a cookie no script reads, that it was known."""
    wanted = service.config.api_key
    if wanted is None or not hmac.compare_digest(key.strip().encode(), wanted.get_secret_value().encode()):
        page = _page("login.html.j2", service, "", wrong=True)
        page.status_code = 401
        return page
    answer = RedirectResponse("/", 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, session(wanted.get_secret_value()), httponly=True, samesite="strict", secure=secure)
    return answer


def _screen(service: Service, job_id: str) -> dict[str, Any]:
    """What there is to play: the video, or a preview of it, or one that is now being made."""
    video = service.config.job_folder(job_id) / VIDEO
    base = f"/v1/jobs/{job_id}"
    if not video.is_file():
        return {"address": None, "preview": False, "making": False}
    if playable(video):
        return {"address": f"{base}/video", "preview": False, "making": False}
    if (video.parent / preview.NAME).is_file():
        return {"address": f"{base}/preview", "preview": True, "making": False}
    return {"address": None, "preview": False, "making": service.previews.ask(video)}


def _shown(service: Service, job: Job) -> dict[str, Any]:
    values: dict[str, Any] = {"job": told(service, job), "page": None, "said": {}, "corrected": {}}
    if job.result is not None:
        try:
            values["page"] = page_of(service.config.job_folder(job.id) / job.result)
        except FileNotFoundError:
            raise MissingFile(f"job {job.id}", "its result is gone; it has just been deleted") from None
        values["said"] = Feedback(service.jobs, service.config).of(job.id)
        values["corrected"] = corrections(service, job, values["page"], values["said"])
    return values


def _thumbnails(service: Service, job: Job) -> list[str]:
    """Addresses of the best views of a finished job's first garments."""
    if job.result is None:
        return []
    try:
        cards = page_of(service.config.job_folder(job.id) / job.result)["cards"]
    except (OSError, ValueError, KeyError):  # just deleted, or of another time: the list does without
        return []
    names = [card["best"]["picture"] for card in cards if card["best"]["picture"]]
    return [f"/v1/jobs/{job.id}/pictures/{name}" for name in names[:THUMBNAILS]]


def _items(service: Service, name: str, q: str, after: str | None = None) -> dict[str, Any]:
    found, total = matching(service.shelves.items(name), q, after, PAGE)
    service.shelves.expect(name, found[:PAGE])
    following = found[PAGE - 1].item_id if len(found) > PAGE else None
    values = {"name": name, "q": q, "items": found[:PAGE], "total": total, "after": following}
    return values | {"first": after is None}


def page_of_error(service: Service, error: Problem) -> HTMLResponse:
    """An error as a page: the same sentence, in the same house."""
    page = _page("error.html.j2", service, "", message=error.message, status=error.status)
    page.status_code = error.status
    page.headers.update(error.headers)
    return page
