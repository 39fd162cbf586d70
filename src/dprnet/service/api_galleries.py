"""Routes of galleries: what there is, add, replace, remove; and search by one image."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from dprnet.core.errors import BadImage
from dprnet.gallery import Item
from dprnet.service.api_jobs import BINARY, GalleryQuery
from dprnet.service.config import NAME
from dprnet.service.doctor import Finding, examine
from dprnet.service.problems import Problem, errors
from dprnet.service.shapes import GalleryOut, ItemOut, ItemPage, SearchOut
from dprnet.service.state import Service, Serving

MAX_PHOTOS = 8  # ours: of one item in one request
MAX_TEXT = 2000
TEXTS = ("category", "title", "url", "price")
Name = Annotated[str, Path(pattern=f"^{NAME}$", description="The gallery's name.")]
ItemId = Annotated[str, Query(min_length=1, max_length=500, description="The item's id, as in the catalogue.")]
Where = Annotated[
    str, Query(max_length=2000, description="A filter: category = dress and price < 50; see the page on galleries.")
]
IMAGE_BODY = {
    "requestBody": {
        "description": "The image file itself: JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF, told by its content.",
        "content": {"application/octet-stream": BINARY},
    }
}
_PHOTOS = {"type": "array", "minItems": 1, "maxItems": MAX_PHOTOS, "items": BINARY["schema"]}
_FIELDS = {name: {"type": "string", "maxLength": MAX_TEXT} for name in TEXTS}
_METADATA = {"type": "string", "maxLength": MAX_TEXT, "description": "A JSON object of texts."}
ITEM_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["photo"],
                    "properties": _FIELDS | {"photo": _PHOTOS, "metadata": _METADATA},
                }
            }
        },
    }
}

router = APIRouter(prefix="/v1")


class GalleryList(BaseModel):
    """All galleries."""

    galleries: list[GalleryOut]


class FindingList(BaseModel):
    """All that is wrong with a catalogue."""

    items: int
    findings: list[Finding]


@router.get("/galleries", tags=["galleries"], responses=errors())
def galleries(service: Serving) -> GalleryList:
    """What there is to search in."""
    return GalleryList(galleries=[GalleryOut(**asdict(shelf)) for shelf in service.shelves.all()])


@router.get("/galleries/{name}", tags=["galleries"], responses=errors(404, 409, 422))
def gallery(service: Serving, name: Name) -> GalleryOut:
    """One of them."""
    return GalleryOut(**asdict(service.shelves.one(name)))


@router.put("/galleries/{name}", tags=["galleries"], status_code=201, responses=errors(409, 422, 503))
def create(service: Serving, name: Name) -> GalleryOut:
    """A new, empty gallery for the service's bundle."""
    return GalleryOut(**asdict(service.shelves.create(name)))


@router.get("/galleries/{name}/doctor", tags=["galleries"], responses=errors(404, 409, 422))
def doctor(service: Serving, name: Name) -> FindingList:
    """What is wrong with its items, as far as the gallery shows it."""
    items = service.shelves.items(name)
    with service.shelves.gallery(name) as found:
        return FindingList(items=len(items), findings=examine(found, items))


@router.delete("/galleries/{name}", tags=["galleries"], status_code=204, responses=errors(404, 409, 422))
def delete(service: Serving, name: Name) -> None:
    """Remove a gallery that was made through the service."""
    service.shelves.delete(name)


@router.get("/galleries/{name}/items", tags=["galleries"], responses=errors(404, 409, 422))
def items(
    service: Serving,
    name: Name,
    after: Annotated[str | None, Query(max_length=500, description="The id after which the page begins.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 48,
    q: Annotated[str, Query(max_length=100, description="Words that id, title or category must hold.")] = "",
    where: Where = "",
) -> ItemPage:
    """Items in the order of their ids."""
    found, total = matching(service.shelves.items(name, where), q, after, limit)
    following = None
    if len(found) > limit:
        last = quote(found[limit - 1].item_id, safe="")
        asked = f"limit={limit}&q={quote(q, safe='')}&where={quote(where, safe='')}"
        following = f"/v1/galleries/{quote(name)}/items?{asked}&after={last}"
    return ItemPage(items=[ItemOut.of(item, name) for item in found[:limit]], total=total, next=following)


@router.put(
    "/galleries/{name}/items",
    tags=["galleries"],
    openapi_extra=ITEM_BODY,
    responses=errors(404, 408, 409, 413, 415, 422, 429, 503),
)
async def put(service: Serving, name: Name, item_id: ItemId, request: Request) -> ItemOut:
    """Write an item with its photos; one of this id is replaced with all its photos."""
    await run_in_threadpool(service.shelves.check, name)
    item, photos = await _item(request, item_id.strip())
    embedder = service.searcher.embedder
    written = await service.searcher.alone(lambda _: service.shelves.put(name, item, photos, embedder))
    return ItemOut.of(written, name)


@router.delete("/galleries/{name}/items", tags=["galleries"], status_code=204, responses=errors(404, 409, 422))
def remove(service: Serving, name: Name, item_id: ItemId) -> None:
    """Remove an item."""
    service.shelves.remove(name, item_id)


@router.get(
    "/galleries/{name}/photo",
    tags=["galleries"],
    response_class=Response,
    responses=errors(404, 409, 422) | {200: {"content": {"image/jpeg": BINARY}, "description": "A small JPEG."}},
)
def photo(service: Serving, name: Name, item_id: ItemId, photo: Annotated[int, Query(ge=0, le=10_000)] = 0) -> Response:
    """The small picture of an item's photo."""
    jpeg = service.shelves.thumbnail(name, item_id, photo)
    return Response(jpeg, media_type="image/jpeg", headers={"cache-control": "private, max-age=300"})


@router.post("/search", tags=["search"], openapi_extra=IMAGE_BODY, responses=errors(404, 408, 409, 413, 415, 422, 429))
async def search(
    service: Serving,
    request: Request,
    gallery: GalleryQuery = None,
    name: Annotated[str, Query(max_length=200, description="What the image is called, for messages.")] = "image",
    items: Annotated[int, Query(ge=1, le=100, description="Items a garment gets at most.")] = 10,
    box: Annotated[str | None, Query(max_length=80, description="Only this part: x1,y1,x2,y2 in pixels.")] = None,
    whole: Annotated[bool, Query(description="All of it as one garment, instead of each garment found in it.")] = False,
    where: Where = "",
) -> SearchOut:
    """The items most like the garments of one image."""
    name_of, corners = gallery or _only(service), _box(box)
    await run_in_threadpool(service.shelves.check, name_of)
    data = b"".join([chunk async for chunk in request.stream()])
    if not data:
        raise BadImage(name, "an empty body; send the image file itself as the body", reason="empty")
    settings: dict[str, Any] = {"items": items, "where": where, "box": corners, "whole": whole}
    with service.metrics.searches.time():
        answer = await service.searcher.alone(
            lambda given_up: service.searcher.search(
                data, name, service.shelves, name_of, given_up=given_up, **settings
            ),
            request.is_disconnected,
        )
    return SearchOut.of(answer, name_of)


def matching(items: list[Item], q: str, after: str | None, limit: int) -> tuple[list[Item], int]:
    """One more than a page of the items that hold all words, and how many there are in all."""
    words = q.lower().split()
    fitting = [
        item for item in items if all(word in f"{item.item_id} {item.title} {item.category}".lower() for word in words)
    ]
    page = [item for item in fitting if after is None or item.item_id > after]
    return page[: limit + 1], len(fitting)


def _only(service: Service) -> str:
    names = service.shelves.names()
    if len(names) != 1:
        known = ", ".join(names) or "there is none yet"
        raise Problem(422, "which_gallery", f"gallery: say which one to search: {known}")
    return names[0]


def _box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise Problem(422, "bad_request", f"box: {text!r} is not four numbers x1,y1,x2,y2") from None
    return (x1, y1, x2, y2)


async def _item(request: Request, item_id: str) -> tuple[Item, list[tuple[str, bytes]]]:
    """An item of a form, and its photos as they came.

    Raises:
        Problem: not a form, or too much or too little in it.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Problem(415, "unsupported_format", "send the item as multipart/form-data with one 'photo' or several")
    if not item_id:
        raise Problem(422, "bad_request", "item_id: is empty")
    async with request.form(max_files=MAX_PHOTOS, max_fields=20, max_part_size=64_000) as form:
        files = [part for part in form.getlist("photo") if isinstance(part, UploadFile)]
        photos = [(part.filename or "photo", await part.read()) for part in files]
        texts = {key: value for key, value in form.items() if isinstance(value, str)}
    if not photos:
        raise Problem(422, "bad_request", "photo: an item needs at least one")
    for key, value in texts.items():
        if key not in {*TEXTS, "metadata"}:
            known = ", ".join(TEXTS)
            raise Problem(422, "bad_request", f"'{key[:40]}' is no field of an item; known are {known}, metadata")
        if len(value) > MAX_TEXT:
            raise Problem(422, "bad_request", f"{key}: {len(value)} characters, at most {MAX_TEXT}")
    metadata = _metadata(texts.get("metadata"))
    return Item(item_id, (), **{key: texts.get(key, "") for key in TEXTS}, metadata=metadata), photos


def _metadata(text: str | None) -> dict[str, str]:
    try:
        values: Any = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise Problem(422, "bad_request", "metadata: not a JSON object of texts")
    return values
