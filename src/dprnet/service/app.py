"""The service as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from dprnet import __version__
from dprnet.service import (
    api_galleries,
    api_jobs,
    api_results,
    api_sources,
    api_system,
    pages,
    pages_feedback,
    problems,
)
from dprnet.service.guard import Guard
from dprnet.service.state import Service

ABOUT = """Find the clothes worn in a video in a shop's catalogue.

Send a video to `POST /v1/jobs`, follow it under the address in `Location`, fetch its report. Every error has the one
shape `{"error": {"code", "message"}}`. Videos and results are deleted when the job expires, or by `DELETE`."""


def make_app(service: Service) -> ASGIApp:
    """The application of a service; its workers run while the application does."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="dprnet",
        version=__version__,
        description=ABOUT,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    problems.install(app, lambda error: pages.page_of_error(service, error))
    app.state.service = service
    for module in (api_jobs, api_results, api_galleries, api_sources, api_system):
        app.include_router(module.router)
    for module in (pages, pages_feedback):
        app.include_router(module.router, include_in_schema=False)
    _make_routes(app)
    return Guard(app, service.config, service.metrics)


def _make_routes(app: FastAPI) -> None:
    """Have every included route made now: FastAPI makes them when the first request comes, in the thread that answers
    all others (0.27 s on a small machine)."""
    for route in app.routes:
        route.matches({"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": []})
