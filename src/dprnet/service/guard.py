"""What stands before every route: who may ask, how much may come in and how slowly, and what every answer carries."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dprnet.service.config import ServiceConfig, is_loopback
from dprnet.service.metrics import Metrics
from dprnet.service.problems import Problem, answer, come_back

COOKIE = "dprnet_key"
OPEN = ("/v1/health", "/login", "/static/")
SAFE = {"GET", "HEAD", "OPTIONS"}
SMALL_BODY = 1 << 20  # ours: of a request that carries no picture
SLOW_AFTER_S, SLOWEST = 60.0, 1024  # ours: after a minute a body must have come at 1 kB a second or more
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; frame-src 'self'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}

_log = logging.getLogger("dprnet.service.requests")


def session(key: str) -> str:
    """What the cookie holds: shows that its owner knew the key, without holding it."""
    return hmac.new(key.encode(), b"dprnet page", hashlib.sha256).hexdigest()


class Guard:
    """ASGI middleware around the whole service."""

    def __init__(self, app: ASGIApp, config: ServiceConfig, metrics: Metrics) -> None:
        self._app, self._config, self._metrics = app, config, metrics
        self._now = 0  # requests that are being answered
        self._key = config.api_key.get_secret_value() if config.api_key else None
        here = {"127.0.0.1", "localhost", "::1"} if is_loopback(config.host) else set()
        # With a name of its own (or none but this machine's) a page elsewhere cannot reach it by renaming itself.
        self._hosts = here | set(config.names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        self._now += 1

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            refused = self._refused(scope)
            if refused is not None:
                await self._refuse(refused, scope, receive, sending)
            else:
                await self._app(scope, Body(receive, self._most(scope), self._config.silence_s), sending)
        finally:
            self._now -= 1
            route = getattr(scope.get("route"), "path", "other")
            spent = time.perf_counter() - started
            self._metrics.request(scope["method"], route, status, spent)
            _log.info("%s %s %d %.0f ms", scope["method"], route, status, 1000 * spent)  # no path: it may name people

    async def _refuse(self, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        wants_page = "text/html" in Headers(scope=scope).get("accept", "") and not scope["path"].startswith("/v1")
        if problem.status == 401 and wants_page and scope["method"] == "GET":
            await RedirectResponse("/login", 303)(scope, receive, send)
        else:
            await answer(problem)(scope, receive, send)

    def _refused(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        living = scope["path"] == "/v1/health"  # tells nothing, whoever asks under whatever name
        if self._hosts and not living and _hostname(host) not in self._hosts:
            return Problem(421, "wrong_host", "this service is not known by that name; see --name", close=True)
        if scope["method"] not in SAFE and _from_elsewhere(headers, host):
            return Problem(403, "cross_site", "a page of another site may not ask this service", close=True)
        if self._key is not None and not scope["path"].startswith(OPEN) and not self._known(headers):
            sentence = "give the API key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
            return Problem(401, "no_key", sentence, {"www-authenticate": "Bearer"}, close=True)
        if self._now > self._config.max_requests and not living:
            return come_back(503, "busy", f"{self._config.max_requests} requests are being answered already", 1)
        most = self._most(scope)
        length = headers.get("content-length", "0")
        if not length.isdigit():
            return Problem(400, "bad_request", "Content-Length is no number", close=True)
        return too_large(most) if int(length) > most else None

    def _known(self, headers: Headers) -> bool:
        assert self._key is not None, "asked only where there is a key"
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if given:
            return hmac.compare_digest(given.encode(), self._key.encode())
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), session(self._key).encode())

    def _most(self, scope: Scope) -> int:
        path, method = scope["path"], scope["method"]
        if method == "POST" and path == "/v1/jobs":
            return self._config.max_video_bytes
        if method == "POST" and path in {"/v1/search", "/image/found"}:
            return self._config.max_image_bytes
        if method in {"PUT", "POST"} and path.endswith("/items"):
            return 4 * self._config.max_image_bytes
        return SMALL_BODY


class Body:
    """Receives a request's body, no more of it than allowed and no slower."""

    def __init__(self, receive: Receive, most: int, silence_s: float) -> None:
        self._receive, self._most, self._silence_s = receive, most, silence_s
        self._came, self._whole = 0, False
        self._started = time.monotonic()

    async def __call__(self) -> Message:
        """See ASGI."""
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._silence_s)
        except TimeoutError:
            raise Problem(
                408, "too_slow", f"nothing came for {self._silence_s:g} s; send it again", close=True
            ) from None
        if message["type"] == "http.request":
            self._came += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            spent = time.monotonic() - self._started
            if self._came > self._most:
                raise too_large(self._most)
            if not self._whole and spent > SLOW_AFTER_S and self._came < SLOWEST * spent:
                raise Problem(408, "too_slow", f"slower than {SLOWEST} bytes a second; send it again", close=True)
        return message


def too_large(most: int) -> Problem:
    """A body over its limit."""
    return Problem(413, "limit:bytes", f"the body is over the limit of {most} bytes; send a smaller file", close=True)


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _from_elsewhere(headers: Headers, host: str) -> bool:
    """Whether a browser sends this for a page of another site."""
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != host.lower()
    except ValueError:
        return True
