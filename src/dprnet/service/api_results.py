"""Routes of what a job left: the report in its forms, pictures, the video; and what people say of its matches."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path as File
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from dprnet.core.errors import MissingFile
from dprnet.service import preview
from dprnet.service.api_jobs import JobId, job_of
from dprnet.service.feedback import Feedback, Verdict
from dprnet.service.problems import Errors, Problem, come_back, errors
from dprnet.service.results import PICTURES
from dprnet.service.state import Service, Serving
from dprnet.service.worker import LIVE, VIDEO

REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " sandbox allow-popups allow-popups-to-escape-sandbox"
)
PictureName = Annotated[str, Path(pattern=r"^[0-9a-f-]{1,64}\.jpg$")]
FINISHED = errors(404, 409, 422)

router = APIRouter(prefix="/v1", tags=["results"])


class FeedbackIn(BaseModel):
    """What somebody said of a match."""

    model_config = ConfigDict(extra="forbid")

    garment: int = Field(ge=1, le=1_000_000, description="The garment's number on the page, from 1.")
    item_id: str = Field(min_length=1, max_length=500)
    verdict: Verdict


class FeedbackOut(FeedbackIn):
    """As it is kept."""

    id: int
    job: str


def _as(kind: str) -> Errors:
    return {200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}}}, "description": "The file."}}


@router.get("/jobs/{job_id}/report.json", responses=FINISHED | _as("application/json"), response_class=FileResponse)
def report_json(service: Serving, job_id: JobId) -> FileResponse:
    """The whole report, in the form that `dprnet search --out` writes."""
    return FileResponse(_result(service, job_id, "report.json"), media_type="application/json")


@router.get("/jobs/{job_id}/report.html", responses=FINISHED | _as("text/html"), response_class=FileResponse)
def report_html(service: Serving, job_id: JobId) -> FileResponse:
    """The report as one page that needs nothing else; sandboxed."""
    path = _result(service, job_id, "report.html")
    return FileResponse(path, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})


@router.get("/jobs/{job_id}/report.csv", responses=FINISHED | _as("text/csv"), response_class=FileResponse)
def report_csv(service: Serving, job_id: JobId) -> FileResponse:
    """A row a match."""
    return FileResponse(_result(service, job_id, "report.csv"), media_type="text/csv", filename="report.csv")


@router.get("/jobs/{job_id}/pictures/{name}", responses=FINISHED | _as("image/jpeg"), response_class=FileResponse)
def picture(service: Serving, job_id: JobId, name: PictureName) -> FileResponse:
    """A picture of the result: a view of a garment, or an item's photo."""
    return FileResponse(_result(service, job_id, f"{PICTURES}/{name}"), media_type="image/jpeg")


@router.get("/jobs/{job_id}/live/{name}", responses=errors(404, 422) | _as("image/jpeg"), response_class=FileResponse)
def live(service: Serving, job_id: JobId, name: PictureName) -> FileResponse:
    """A garment's best view so far, while the job runs."""
    job_of(service, job_id)
    return FileResponse(_there(service.config.job_folder(job_id) / LIVE / name, job_id), media_type="image/jpeg")


@router.get(
    "/jobs/{job_id}/video",
    responses=errors(404, 415, 422)
    | {200: {"content": {"video/mp4": {}, "video/webm": {}}, "description": "The file; ranges are answered with 206."}},
    response_class=FileResponse,
)
def video(service: Serving, job_id: JobId) -> FileResponse:
    """The video as it was sent, where browsers play its container."""
    job_of(service, job_id)
    path = _there(service.config.job_folder(job_id) / VIDEO, job_id)
    kind = playable(path)
    if kind is None:
        raise Problem(415, "not_playable", "browsers do not play this container; the report has the pictures")
    return FileResponse(path, media_type=kind)


@router.get(
    "/jobs/{job_id}/preview",
    responses=errors(404, 415, 422, 503)
    | {200: {"content": {"video/webm": {}}, "description": "The file; ranges are answered with 206."}},
    response_class=FileResponse,
)
async def small(service: Serving, job_id: JobId) -> FileResponse:
    """A small WebM of a video that browsers do not play; made when it is first asked for, 503 until it is there."""
    await run_in_threadpool(job_of, service, job_id)
    video = service.config.job_folder(job_id) / VIDEO
    path = video.parent / preview.NAME
    if not path.is_file():
        if service.previews.ask(_there(video, job_id)):
            raise come_back(503, "being_made", f"job {job_id}: its preview is being made; come back for it", 2)
        raise Problem(415, "not_playable", "no preview could be made of this video; the report has the pictures")
    return FileResponse(path, media_type="video/webm")


@router.post("/jobs/{job_id}/feedback", status_code=201, responses=FINISHED)
def say(service: Serving, job_id: JobId, said: FeedbackIn) -> FeedbackOut:
    """Keep what somebody says of a match, with the picture of the garment's best view; a later word replaces it.

    An item that was not offered may be called `right`: that corrects the match.
    """
    kept = Feedback(service.jobs, service.config)
    number = kept.keep(job_id, said.garment, said.item_id, said.verdict, service.shelves.find)
    return FeedbackOut(id=number, job=job_id, **said.model_dump())


@router.get("/feedback", responses=errors() | _as("application/x-ndjson"), response_class=StreamingResponse)
def export(service: Serving) -> StreamingResponse:
    """All feedback as training pairs, one JSON object a line, each with its picture as base64."""

    def lines() -> Iterator[str]:
        for pair in Feedback(service.jobs, service.config).pairs():
            yield json.dumps(pair) + "\n"

    headers = {"content-disposition": f'attachment; filename="feedback-{time.strftime("%Y%m%d")}.jsonl"'}
    return StreamingResponse(lines(), media_type="application/x-ndjson", headers=headers)


@router.delete("/feedback/{number}", status_code=204, responses=errors(404, 422))
def forget(service: Serving, number: Annotated[int, Path(ge=1, le=2**53)]) -> None:
    """Delete one piece of feedback with its picture."""
    if not Feedback(service.jobs, service.config).delete(number):
        raise MissingFile(f"feedback {number}", "there is none of this number")


def playable(path: File) -> str | None:
    """The type under which a browser is given a video, by its first bytes; None where browsers play no such thing."""
    with path.open("rb") as file:
        head = file.read(64)
    if head[4:8] == b"ftyp":
        return "video/mp4"
    return "video/webm" if head[:4] == b"\x1a\x45\xdf\xa3" else None  # Matroska too: browsers look inside


def _result(service: Service, job_id: str, file: str) -> File:
    job = job_of(service, job_id)
    if job.result is None:
        raise Problem(409, "no_result", job.sentence or f"job {job_id}: has no result; it is {job.state}")
    return _there(service.config.job_folder(job_id) / job.result / file, job_id)


def _there(path: File, job_id: str) -> File:
    if not path.is_file():
        raise MissingFile(f"job {job_id}", f"has no {path.name}")
    return path
