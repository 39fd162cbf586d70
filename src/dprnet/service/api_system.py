"""Routes about the service itself: health, readiness, bundles, figures."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from dprnet import __version__
from dprnet.core.bundle import shipped_bundles
from dprnet.service.problems import Problem, errors
from dprnet.service.state import Serving
from dprnet.service.uploads import SPARE

router = APIRouter(prefix="/v1", tags=["system"])


class Health(BaseModel):
    """It answers."""

    status: Literal["ok"] = "ok"
    version: str = __version__


class Ready(BaseModel):
    """It can take work."""

    ready: bool
    workers: int
    waiting: int


class BundleOut(BaseModel):
    """A model bundle."""

    name: str
    identity: str | None
    """Name and content hash, of the one that is loaded."""
    loaded: bool
    card: str
    """Its card, in Markdown."""


class BundleList(BaseModel):
    """What is loaded, and what else is shipped."""

    bundles: list[BundleOut]


@router.get("/health", responses=errors())
async def health() -> Health:
    """That it lives; touches nothing."""
    return Health()


@router.get("/ready", responses=errors(503))
def ready(service: Serving) -> Ready:
    """That it can take work: a worker runs, the table answers, the disk has room."""
    workers, waiting = len(service.workers.pids), service.jobs.waiting()
    lacking = []
    if service.config.workers and not workers:
        lacking.append("no worker runs")
    if shutil.disk_usage(service.config.folder).free < SPARE:
        lacking.append("the disk is full")
    if lacking:
        raise Problem(503, "not_ready", f"the service: {', '.join(lacking)}", {"retry-after": "10"})
    return Ready(ready=True, workers=workers, waiting=waiting)


@router.get(
    "/metrics",
    response_class=Response,
    responses=errors() | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Figures."}},
)
def metrics(service: Serving) -> Response:
    """Figures for Prometheus."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/bundles", responses=errors())
def bundles(service: Serving) -> BundleList:
    """The model bundle that is loaded, with its card, and the names of the others that are shipped."""
    loaded = service.searcher.bundle
    first = BundleOut(name=loaded.name, identity=loaded.identity, loaded=True, card=_card(loaded.folder))
    others = [name for name in shipped_bundles() if name != loaded.name]
    return BundleList(bundles=[first, *(BundleOut(name=name, identity=None, loaded=False, card="") for name in others)])


def _card(folder: Path) -> str:
    try:
        return (folder / "README.md").read_text(encoding="utf-8", errors="replace")[:100_000]
    except OSError:
        return ""
