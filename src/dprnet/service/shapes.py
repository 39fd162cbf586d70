"""What the answers of the service look like."""

from __future__ import annotations

import datetime
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel

from dprnet.core.records import Match
from dprnet.gallery import Item
from dprnet.service.jobs import Job
from dprnet.service.problems import Told
from dprnet.service.searching import Answer

Stage = Literal["wait", "look", "cut", "match", "end"]


class Progress(BaseModel):
    """How far a job is."""

    stage: Stage
    done: int = 0
    total: int | None = None
    time_s: float = 0.0
    """Seconds of the video that have been looked at."""
    ahead: int = 0
    """Jobs that wait before this one."""


class Garment(BaseModel):
    """A garment while its video is still being looked at; it may yet improve or merge with another."""

    garment: int
    label: str
    picked: bool
    time_s: float
    quality: dict[str, float]
    views: int
    picture: str | None


class Summary(BaseModel):
    """A finished job in a few numbers."""

    garments: int
    picked: int
    matches: int
    status: Literal["complete", "partial", "failed"]
    note: str
    duration_s: float


class WebhookOut(BaseModel):
    """Whether somebody was told of a job's end."""

    state: Literal["due", "delivered", "failed"]
    attempts: int
    note: str | None
    """Why the last try did not do."""


class JobOut(BaseModel):
    """A job."""

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    name: str
    gallery: str | None
    every: str
    clip: bool
    """Of a video over a limit, the part before it is searched."""
    created: datetime.datetime
    expires: datetime.datetime
    """When it and all its media are deleted."""
    attempts: int
    progress: Progress
    garments: list[Garment]
    summary: Summary | None
    error: Told | None
    webhook: WebhookOut | None
    links: dict[str, str]


class JobPage(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobOut]
    next: str | None
    """Address of the next page."""


class MatchOut(BaseModel):
    """A catalogue item that matches."""

    item_id: str
    similarity: float
    title: str
    category: str
    price: str
    url: str
    metadata: dict[str, str]
    picture: str
    """Address of its photo."""

    @classmethod
    def of(cls, match: Match, gallery: str, place: int = 0) -> MatchOut:
        """A match of a gallery."""
        return cls(
            item_id=match.item_id,
            similarity=match.similarity,
            title=match.title,
            category=match.category,
            price=match.price,
            url=match.url,
            metadata=dict(match.metadata),
            picture=photo_address(gallery, match.item_id, place),
        )


class FoundOut(BaseModel):
    """A garment of an image, or the part that was asked for."""

    box_xyxy: tuple[float, float, float, float]
    label: str | None
    score: float | None
    quality: dict[str, float] | None
    matches: list[MatchOut]


class SearchOut(BaseModel):
    """What an image search found."""

    width: int
    height: int
    gallery: str
    found: list[FoundOut]

    @classmethod
    def of(cls, answer: Answer, gallery: str) -> SearchOut:
        """An answer of a gallery."""
        return cls(
            width=answer.width,
            height=answer.height,
            gallery=gallery,
            found=[
                FoundOut(
                    box_xyxy=one.box_xyxy,
                    label=one.label,
                    score=one.score,
                    quality=one.quality,
                    matches=[MatchOut.of(match, gallery) for match in one.matches],
                )
                for one in answer.found
            ],
        )


class GalleryOut(BaseModel):
    """A gallery."""

    name: str
    items: int
    version: int
    embedder: str
    usable: bool


class ItemOut(BaseModel):
    """A catalogue item."""

    item_id: str
    title: str
    category: str
    price: str
    url: str
    metadata: dict[str, str]
    pictures: list[str]

    @classmethod
    def of(cls, item: Item, gallery: str) -> ItemOut:
        """An item of a gallery."""
        return cls(
            item_id=item.item_id,
            title=item.title,
            category=item.category,
            price=item.price,
            url=item.url,
            metadata=dict(item.metadata),
            pictures=[photo_address(gallery, item.item_id, place) for place in range(len(item.images))],
        )


class ItemPage(BaseModel):
    """Items in the order of their ids."""

    items: list[ItemOut]
    total: int
    next: str | None


def photo_address(gallery: str, item_id: str, place: int = 0) -> str:
    """Where the small picture of an item's photo is."""
    return f"/v1/galleries/{quote(gallery, safe='')}/photo?item_id={quote(item_id, safe='')}&photo={place}"


def job_out(job: Job, ahead: int = 0) -> JobOut:
    """A job as it is told."""
    base = f"/v1/jobs/{job.id}"
    stage: Stage = "wait" if job.state == "queued" else "end" if job.is_final else job.live.get("stage", "look")
    live = {name: job.live[name] for name in ("done", "total", "time_s") if name in job.live}
    links = {"self": base, "events": f"{base}/events", "video": f"{base}/video", "page": f"/jobs/{job.id}"}
    if job.state == "done":
        links |= {"json": f"{base}/report.json", "html": f"{base}/report.html", "csv": f"{base}/report.csv"}
    return JobOut(
        id=job.id,
        state=job.state,
        name=job.name,
        gallery=job.request["gallery"],
        every=job.request["every"],
        clip=job.request.get("clip", False),
        created=_time(job.created_s),
        expires=_time(job.expires_s),
        attempts=job.attempts,
        progress=Progress(stage=stage, ahead=ahead, **live),
        garments=[
            Garment(**garment | {"picture": garment["picture"] and f"{base}/live/{garment['picture']}"})
            for garment in ([] if job.is_final else job.live.get("garments", []))
        ],
        summary=Summary(**job.summary) if job.summary else None,
        error=Told(code=job.code, message=job.sentence or "") if job.code else None,
        webhook=WebhookOut(state=job.hook_state, attempts=job.hook_attempts, note=job.hook_note)
        if job.hook_state
        else None,
        links=links,
    )


def _time(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(round(seconds, 3), datetime.UTC)
