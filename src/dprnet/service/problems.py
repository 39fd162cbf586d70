"""Errors as the service tells them: one shape, a word for machines, and the sentence the command line would print."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from dprnet.core.errors import BadGallery, DprnetError, MissingFile, NoSpace, printable
from dprnet.service.database import DatabaseGone

_log = logging.getLogger(__name__)

_STATUS = {
    "limit:bytes": 413,
    "unsupported_format": 415,
    "format": 415,
    "empty": 422,
    "exists": 409,
    "other_embedder": 409,
    "not_ours": 403,
    "name": 422,
}
_CODES = {400: "bad_request", 401: "no_key", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}

Errors = dict[int | str, dict[str, Any]]
TEXTS = {
    400: "A request that makes no sense.",
    401: "No API key, or a wrong one.",
    403: "Not allowed.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    409: "It does not fit what is there.",
    413: "Too many bytes.",
    415: "Of a kind that is not read.",
    421: "Asked under a name that is not this service's.",
    422: "It cannot be used; the message says why.",
    429: "Too much at once; Retry-After says when to come back.",
    503: "Not now; Retry-After says when to come back.",
}


class Told(BaseModel):
    """What went wrong."""

    code: str
    """A word that does not change: ``unsupported_format``, ``limit:duration_s``, ``queue_full`` ..."""
    message: str
    """One sentence: the thing, the value, the way out."""


class ErrorBody(BaseModel):
    """The body of every answer of 400 and above."""

    error: Told


def errors(*statuses: int) -> Errors:
    """Documents which errors a route may give."""
    every = sorted({400, 401, 403, 421, 503, *statuses})
    return {status: {"model": ErrorBody, "description": TEXTS[status]} for status in every}


class Problem(Exception):
    """An answer other than the wanted one."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None, *, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = dict(headers or {}) | ({"connection": "close"} if close else {})


def come_back(status: int, code: str, message: str, after_s: int) -> Problem:
    """Too much at once: the sender may try again after so many seconds."""
    return Problem(status, code, message, {"retry-after": str(after_s)})


def told(error: DprnetError, name: str | None = None) -> Problem:
    """An error of the library; with the sender's name for the thing instead of our path."""
    if name is not None:
        error = type(error)(name, error.sentence.replace(error.thing, printable(name)), reason=error.reason)
    if isinstance(error, NoSpace):
        return come_back(503, "no_space", str(error), 60)
    if isinstance(error, DatabaseGone):
        return come_back(503, error.reason, str(error), 5)
    status = _STATUS.get(error.reason, 404 if isinstance(error, MissingFile) else 422)
    if isinstance(error, BadGallery) and error.reason == "bad_gallery":
        status = 409
    return Problem(status, error.reason, str(error), close=status == 413)


def answer(problem: Problem) -> JSONResponse:
    """The shape."""
    body = ErrorBody(error=Told(code=problem.code, message=problem.message))
    return JSONResponse(body.model_dump(), problem.status, headers=problem.headers)


def install(app: FastAPI, page: Callable[[Problem], Response]) -> None:
    """Have every error of the app told in the one shape; to somebody who opens a page, on a page."""

    def respond(request: Request, error: Problem) -> Response:
        headers = request.headers
        opened = headers.get("sec-fetch-dest", "document") == "document" and "hx-request" not in headers
        wants_page = opened and "text/html" in headers.get("accept", "") and not request.url.path.startswith("/v1/")
        return page(error) if wants_page else answer(error)

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, DprnetError), "registered for it"
        return respond(request, told(error))

    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem), "registered for it"
        return respond(request, error)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException), "registered for it"
        if isinstance(error.__cause__, Problem):  # a body that broke off while the framework read it
            return respond(request, error.__cause__)
        code = _CODES.get(error.status_code, "error")
        message = f"{request.url.path[:120]}: {error.detail}" if error.status_code in {404, 405} else str(error.detail)
        return respond(request, Problem(error.status_code, code, printable(message), error.headers))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError), "registered for it"
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in {"query", "header", "path", "body"})
        return respond(request, Problem(422, "bad_request", printable(f"{where or 'request'}: {first['msg']}")))

    async def fault(request: Request, error: Exception) -> Response:
        _log.error("a fault of ours", exc_info=error)
        return respond(
            request, Problem(500, "internal", "a fault of dprnet; its log has the traceback, please report it")
        )

    async def left(request: Request, error: Exception) -> Response:
        return answer(Problem(400, "client_left", "the sender went away before all had come", close=True))

    app.add_exception_handler(ClientDisconnect, left)
    app.add_exception_handler(DprnetError, ours)
    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, fault)
