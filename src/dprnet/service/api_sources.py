"""Routes of live sources: which there are, watch one, what was seen in it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel

from dprnet.core.errors import MissingFile
from dprnet.decode import Every
from dprnet.service.config import NAME
from dprnet.service.problems import errors
from dprnet.service.sources import LiveStream
from dprnet.service.state import Serving

SourceName = Annotated[str, Path(pattern=f"^{NAME}$", description="The source's name, as its operator listed it.")]

router = APIRouter(prefix="/v1", tags=["sources"])


class LiveMatch(BaseModel):
    """A catalogue item that matches."""

    item_id: str
    similarity: float
    title: str
    category: str
    price: str
    url: str


class LiveGarment(BaseModel):
    """A garment of a stream, in its best view so far."""

    garment: int
    label: str
    picked: bool
    time_s: float
    first_seen_s: float
    last_seen_s: float
    views: int
    quality: dict[str, float]
    matches: list[LiveMatch]
    picture: str | None
    left: bool
    """It was not seen for long, and would count as another if it came back."""


class SourceOut(BaseModel):
    """A source; its address is nobody's business."""

    name: str
    state: Literal["stopped", "starting", "watching", "lost", "ended", "failed"]
    note: str
    stream_s: float
    gallery: str | None
    revision: int
    garments: list[LiveGarment]


class SourceList(BaseModel):
    """All sources."""

    sources: list[SourceOut]


def source_out(stream: LiveStream) -> SourceOut:
    """A source as it is told."""
    return SourceOut(
        name=stream.name,
        state=stream.state,
        note=stream.note,
        stream_s=stream.stream_s,
        gallery=stream.gallery,
        revision=stream.revision,
        garments=[
            LiveGarment(**one | {"picture": _picture(stream.name, one["garment"]) if one["picture"] else None})
            for one in stream.garments()
        ],
    )


@router.get("/sources", responses=errors())
def sources(service: Serving) -> SourceList:
    """What may be watched."""
    return SourceList(sources=[source_out(stream) for stream in service.sources.all()])


@router.get("/sources/{name}", responses=errors(404, 422))
def source(service: Serving, name: SourceName) -> SourceOut:
    """One source, and what was seen in it, the latest first."""
    return source_out(service.sources.one(name))


@router.post("/sources/{name}/start", responses=errors(404, 409, 422))
def start(
    service: Serving,
    name: SourceName,
    gallery: Annotated[str | None, Query(max_length=64)] = None,
    every: Annotated[str, Query(max_length=20, description="How often a frame is looked at: 0.5s.")] = "0.5s",
) -> SourceOut:
    """Watch it, until it ends or is stopped. What was seen before is forgotten."""
    stream = service.sources.one(name)
    stream.start(gallery or None, str(Every.parse(every)))
    return source_out(stream)


@router.post("/sources/{name}/stop", responses=errors(404, 422))
def stop(service: Serving, name: SourceName) -> SourceOut:
    """No longer watch it; what was seen stays until the next start."""
    stream = service.sources.one(name)
    stream.stop()
    return source_out(stream)


@router.delete("/sources/{name}/garments", status_code=204, responses=errors(404, 422))
def forget(service: Serving, name: SourceName) -> None:
    """No longer watch it, and delete what was seen."""
    service.sources.one(name).forget()


@router.get(
    "/sources/{name}/pictures/{garment}",
    response_class=FileResponse,
    responses=errors(404, 422)
    | {200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}, "description": "JPEG."}},
)
def picture(service: Serving, name: SourceName, garment: Annotated[int, Path(ge=1, le=2**53)]) -> FileResponse:
    """The best view of a garment so far."""
    path = service.sources.one(name).folder / f"{garment}.jpg"
    if not path.is_file():
        raise MissingFile(f"garment {garment}", f"source {name} has no picture of it")
    return FileResponse(path, media_type="image/jpeg")


def _picture(name: str, garment: int) -> str:
    return f"/v1/sources/{name}/pictures/{garment}"
