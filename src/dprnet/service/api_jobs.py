"""Routes of jobs: send a video, follow it, end it, delete it."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path as File
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from dprnet.core.errors import MissingFile
from dprnet.decode import DecodeLimits, Every
from dprnet.service import uploads
from dprnet.service.database import DatabaseGone
from dprnet.service.jobs import Job, KeyUsed, QueueFull
from dprnet.service.problems import Problem, come_back, errors
from dprnet.service.shapes import JobOut, JobPage, job_out
from dprnet.service.state import Service, Serving
from dprnet.service.webhooks import check_address
from dprnet.service.worker import VIDEO

LOOK_S = 0.2  # ours: how often a followed job is looked at
BEAT_S = 10.0  # ours: sooner than any proxy gives up on a silent answer
QUEUE_RETRY_S = 30
JobId = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{22}$", description="The job's id, as its sender was told.")]
BINARY = {"schema": {"type": "string", "format": "binary"}}
VIDEO_BODY = {
    "requestBody": {
        "description": "The video file itself: MP4, MOV, 3GP, MKV, WebM, AVI, MPEG-TS or FLV, told by its content.",
        "content": {"application/octet-stream": BINARY},
    }
}
NameQuery = Annotated[str, Query(max_length=200, description="What the video is called, for people.")]
GalleryQuery = Annotated[
    str | None, Query(max_length=64, description="Where to search; may be left out where there is only one.")
]
EveryQuery = Annotated[str, Query(max_length=20, description="How often a frame is looked at: 0.5s, or 15f (frames).")]
ItemsQuery = Annotated[int, Query(ge=1, le=100, description="Items a garment gets at most.")]
FallbackQuery = Annotated[Literal["best"] | None, Query(description="best: also match garments without a good view.")]
ClipQuery = Annotated[
    bool, Query(description="Of a video over a limit of length, search the part before it; it counts as partial.")
]
WebhookQuery = Annotated[
    str | None, Query(max_length=2000, description="An address to be told of the end by a signed POST; see the docs.")
]
SampleQuery = Annotated[str | None, Query(max_length=200, description="One of the service's samples, not a body.")]

router = APIRouter(prefix="/v1", tags=["jobs"])


def job_of(service: Service, job_id: str) -> Job:
    """A job.

    Raises:
        MissingFile: there is none.
    """
    job = service.jobs.get(job_id)
    if job is None:
        raise MissingFile(f"job {job_id}", "there is no such job; it may have expired or been deleted")
    return job


def told(service: Service, job: Job) -> JobOut:
    """A job as the service tells it."""
    return job_out(job, service.jobs.ahead(job) if job.state == "queued" else 0)


@router.post(
    "/jobs", status_code=202, openapi_extra=VIDEO_BODY, responses=errors(404, 408, 409, 413, 415, 422, 429, 503)
)
async def send(
    service: Serving,
    request: Request,
    response: Response,
    name: NameQuery = "video",
    gallery: GalleryQuery = None,
    every: EveryQuery = "0.5s",
    items: ItemsQuery = 5,
    fallback: FallbackQuery = None,
    clip: ClipQuery = False,
    sample: SampleQuery = None,
    webhook: WebhookQuery = None,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> JobOut:
    """Send a video; the answer says where to follow it. The same Idempotency-Key gives the same job."""
    config = service.config
    if webhook is not None:
        await run_in_threadpool(check_address, config, webhook)
    where = await run_in_threadpool(_gallery, service, gallery)
    wanted = {"every": str(Every.parse(every)), "items": items, "fallback": fallback, "gallery": where}
    wanted |= {"clip": True} if clip else {}  # so that a key of before there was this still stands for its job
    limits = config.limits.model_copy(update={"clip": clip})
    if await run_in_threadpool(service.jobs.waiting) >= config.max_queue:
        raise _full(config.max_queue)
    if service.uploads >= config.max_uploads:
        raise come_back(429, "busy", f"{service.uploads} videos are coming in already; try again soon", 5)
    job_id, kept = secrets.token_urlsafe(16), False
    folder = config.job_folder(job_id)
    service.uploads += 1
    try:
        uploads.room_for(folder, int(request.headers.get("content-length", 0)))
        sha256, called = await _take(request, service, folder / VIDEO, limits, sample, name)
        add = partial(
            service.jobs.add,
            job_id,
            name=called,
            sha256=sha256,
            request=wanted,
            key=idempotency_key,
            webhook=webhook,
            keep_s=config.keep_s,
            max_queue=config.max_queue,
        )
        job = await run_in_threadpool(add)
        kept = job.id == job_id  # otherwise this video is here already
    except QueueFull:
        raise _full(config.max_queue) from None
    except KeyUsed:
        sentence = "this Idempotency-Key came with another video or other settings; use a new key"
        raise Problem(422, "key_used", sentence) from None
    finally:
        service.uploads -= 1
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
    response.headers["location"] = f"/v1/jobs/{job.id}"
    return await run_in_threadpool(told, service, job)


@router.get("/jobs", responses=errors(422))
def listed(
    service: Serving,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    before: Annotated[float | None, Query(ge=0, description="Seconds since 1970, as in `next`.")] = None,
) -> JobPage:
    """The jobs that are kept, newest first."""
    found = service.jobs.page(limit, before)
    following = f"/v1/jobs?limit={limit}&before={found[-1].created_s!r}" if len(found) == limit else None
    return JobPage(jobs=[told(service, job) for job in found], next=following)


@router.get("/jobs/{job_id}", responses=errors(404, 422))
def one(service: Serving, job_id: JobId) -> JobOut:
    """How far a job is, and what became of it."""
    return told(service, job_of(service, job_id))


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses=errors(404, 422, 429)
    | {
        200: {
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
            "description": "Events `job`; the data of each is the job as it is then.",
        },
        204: {"description": "Nothing new will come."},
    },
)
async def events(
    service: Serving, job_id: JobId, last_event_id: Annotated[str | None, Header(max_length=40)] = None
) -> Response:
    """Follow a job by server-sent events: each is the job as it is now; the last one is final."""
    job = await run_in_threadpool(job_of, service, job_id)
    if job.is_final and last_event_id == str(job.revision):
        return Response(status_code=204)
    if service.streams >= service.config.max_streams:
        raise come_back(429, "busy", f"{service.streams} jobs are followed already; ask for the job itself", 5)
    return StreamingResponse(_events(service, job_id), media_type="text/event-stream")


@router.post("/jobs/{job_id}/cancel", responses=errors(404, 422))
def cancel(service: Serving, job_id: JobId) -> JobOut:
    """End a job; one that runs ends at its next frame. What it found so far is not kept."""
    job_of(service, job_id)
    service.jobs.cancel(job_id)
    return told(service, job_of(service, job_id))


@router.delete("/jobs/{job_id}", status_code=204, responses=errors(404, 422))
def delete(service: Serving, job_id: JobId) -> None:
    """Delete a job with its video, its results and its feedback."""
    job_of(service, job_id)
    service.forget(job_id)


def _gallery(service: Service, name: str | None) -> str | None:
    names = service.shelves.names()
    if name:
        with service.shelves.gallery(name):
            return name
    if len(names) > 1:
        raise Problem(422, "which_gallery", f"gallery: say which one to search: {', '.join(names)}")
    return names[0] if names else None


async def _take(
    request: Request, service: Service, path: File, limits: DecodeLimits, sample: str | None, name: str
) -> tuple[str, str]:
    """The video of a request in its place: its hash and what it is called."""
    if sample is None:
        return await uploads.receive(request.stream(), path, limits, name), name
    if sample not in service.samples:
        raise MissingFile(f"sample {sample[:80]}", f"there is none of this name; {len(service.samples)} are offered")

    async def chunks() -> AsyncIterator[bytes]:
        with service.samples[sample].open("rb") as file:
            while chunk := await run_in_threadpool(file.read, 1 << 20):
                yield chunk

    return await uploads.receive(chunks(), path, limits, sample), sample


async def _events(service: Service, job_id: str) -> AsyncIterator[str]:
    service.streams += 1
    try:
        known, said = -1, time.monotonic()
        while True:
            job = await run_in_threadpool(service.jobs.get, job_id)
            if job is None:
                yield "event: gone\ndata: {}\n\n"
                return
            if job.revision != known:
                known, said = job.revision, time.monotonic()
                yield f"id: {known}\nevent: job\ndata: {json.dumps(await run_in_threadpool(_plain, service, job))}\n\n"
            elif time.monotonic() - said > BEAT_S:
                said = time.monotonic()
                yield ": still here\n\n"
            if job.is_final:
                return
            await asyncio.sleep(LOOK_S)
    except DatabaseGone:
        return  # whoever follows comes back
    finally:
        service.streams -= 1


def _plain(service: Service, job: Job) -> dict[str, Any]:
    return told(service, job).model_dump(mode="json")


def _full(most: int) -> Problem:
    return come_back(429, "queue_full", f"{most} videos wait already; try again later", QUEUE_RETRY_S)
