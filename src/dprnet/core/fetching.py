"""Bytes from http(s) and object stores, within limits of size, time, redirects and of whom one may ask (row S3).

A name is looked up once, judged, and the connection made to the address that was judged, so that a name which means
something else a moment later (DNS rebinding) reaches nobody. Every redirect is judged anew. Proxies of the environment
are not used.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from pydantic import Field

from dprnet.core.addresses import SCHEMES, is_public, scheme_of
from dprnet.core.config import Settings
from dprnet.core.errors import LimitExceeded, MissingExtra, MissingFile, printable

PORTS = {"http": 80, "https": 443}
REDIRECTS = {301, 302, 303, 307, 308}
PART = 1 << 18
FIRST_PAUSE_S = 0.5  # ours: doubled before every further attempt

log = logging.getLogger(__name__)


class FetchLimits(Settings):
    """What an address may cost, and whom one may ask."""

    max_bytes: int = Field(default=64 << 20, gt=0)  # ours: a photo is some megabytes
    seconds: float = Field(default=60.0, gt=0)  # ours: from the look-up to the last byte, an attempt
    redirects: int = Field(default=5, ge=0)  # ours
    attempts: int = Field(default=3, ge=1)  # ours: stores and servers fail for a moment
    private: bool = False  # ours: also hosts that are not on the public internet


class _Again(Exception):
    """A failure that may pass."""


def fetch_bytes(address: str, limits: FetchLimits | None = None) -> bytes:
    """What lies at an address; see :func:`fetch`."""
    file = io.BytesIO()
    fetch(address, file, limits)
    return file.getvalue()


def fetch(address: str, into: IO[bytes], limits: FetchLimits | None = None) -> None:
    """Write what lies at an address into a file, which is emptied before every attempt.

    Args:
        address: ``http://``, ``https://`` or ``s3://BUCKET/KEY`` (with the credentials of the environment).

    Raises:
        MissingFile: not there, of another scheme, or after all attempts not to be had; ``reason`` is ``refused`` for a
            host that is not public.
        LimitExceeded: ``limit:bytes``, ``limit:seconds`` or ``limit:redirects``.
        MissingExtra: what reads that kind of store is not installed.
    """
    limits = limits or FetchLimits()
    scheme = scheme_of(address)
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise MissingFile(address, f"addresses of {printable(scheme, 20)}:// are not fetched, only {known}")
    for attempt in range(1, limits.attempts + 1):
        into.seek(0)
        into.truncate()
        parts = _object(address, limits) if scheme == "s3" else _web(address, limits)
        try:
            size = 0
            for part in parts:
                size += len(part)
                if size > limits.max_bytes:
                    raise LimitExceeded(address, f"more than {limits.max_bytes} bytes", reason="limit:bytes")
                into.write(part)
            return
        except _Again as error:
            if attempt == limits.attempts:
                raise MissingFile(address, f"cannot be fetched: {error} ({attempt} attempts)") from None
            log.info("%s: %s; trying again", printable(address, 120), error)
            time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
        finally:
            parts.close()  # type: ignore[attr-defined]


def _web(address: str, limits: FetchLimits) -> Iterator[bytes]:
    until = time.monotonic() + limits.seconds
    for _ in range(limits.redirects + 1):
        with _asked(address, until, limits) as answer:
            if answer.status in REDIRECTS and answer.headers.get("Location"):
                address = urljoin(address, answer.headers["Location"])
                continue
            if answer.status == 429 or answer.status >= 500:
                raise _Again(f"answered {answer.status}")
            if answer.status != 200:
                raise MissingFile(address, f"answered {answer.status} {printable(answer.reason, 60)}")
            size = answer.length  # as promised; None where nothing was
            if size is not None and size > limits.max_bytes:
                raise LimitExceeded(address, f"{size} bytes, at most {limits.max_bytes}", reason="limit:bytes")
            while part := answer.read1(PART):
                yield part
            if answer.length:
                raise _Again("the connection ended early")
            return
    raise LimitExceeded(address, f"more than {limits.redirects} redirects", reason="limit:redirects")


@contextlib.contextmanager
def _asked(address: str, until: float, limits: FetchLimits) -> Iterator[http.client.HTTPResponse]:
    """The answer to a GET; whatever is slow about it, the connection is cut when the time is up."""
    host, port, secure, target = _taken_apart(address)
    over = threading.Event()
    left = until - time.monotonic()
    try:
        if left <= 0:
            raise TimeoutError
        with contextlib.ExitStack() as stack:
            held = stack.enter_context(_connected(address, host, port, left, limits))
            if secure:
                context = ssl.create_default_context()
                held = context.wrap_socket(held, server_hostname=host, do_handshake_on_connect=False)
                stack.enter_context(held)
            timer = threading.Timer(max(until - time.monotonic(), 0.001), _cut, (held, over))
            timer.daemon = True
            timer.start()
            stack.callback(timer.cancel)
            if isinstance(held, ssl.SSLSocket):
                held.do_handshake()
            connection = stack.enter_context(contextlib.closing(http.client.HTTPConnection(host, port)))
            connection.sock = held
            connection.request("GET", target, headers={"User-Agent": "dprnet", "Accept-Encoding": "identity"})
            yield stack.enter_context(contextlib.closing(connection.getresponse()))
        if over.is_set():
            raise TimeoutError
    except ssl.SSLCertVerificationError as error:
        raise MissingFile(address, f"its certificate is not to be trusted ({error.verify_message})") from None
    except (_Again, OSError, http.client.HTTPException) as error:
        if over.is_set() or isinstance(error, TimeoutError):
            raise LimitExceeded(address, f"took more than {limits.seconds:g} s", reason="limit:seconds") from None
        if isinstance(error, _Again):
            raise
        raise _Again(f"{type(error).__name__}: {printable(str(error), 120)}") from None


def _taken_apart(address: str) -> tuple[str, int, bool, str]:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
        parts = urlsplit("")
    plain = address.isascii() and address.isprintable() and " " not in address
    if parts.scheme not in PORTS or not host or parts.username is not None or not plain:
        raise MissingFile(printable(address, 120), "is no address; write https://HOST/PATH in ASCII, without a user")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return host, port or PORTS[parts.scheme], parts.scheme == "https", target


def _connected(address: str, host: str, port: int, seconds: float, limits: FetchLimits) -> socket.socket:
    try:
        ips = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        raise _Again(f"no such host: {printable(host, 80)}") from None
    if not limits.private and not all(is_public(ip) for ip in ips):
        sentence = f"{printable(host, 80)} is not on the public internet, and only such hosts are asked"
        raise MissingFile(printable(address, 120), sentence, reason="refused")
    return socket.create_connection((ips[0], port), timeout=seconds)


def _cut(held: socket.socket, over: threading.Event) -> None:
    over.set()
    with contextlib.suppress(OSError):
        socket.socket.shutdown(held, socket.SHUT_RDWR)  # not TLS's own, which would talk first


def _object(address: str, limits: FetchLimits) -> Iterator[bytes]:
    until = time.monotonic() + limits.seconds
    store = object_store(address)
    try:
        with store.open(address, "rb", block_size=8 << 20, cache_type="readahead") as file:
            size = file.size
            if size is not None and size > limits.max_bytes:
                raise LimitExceeded(address, f"{size} bytes, at most {limits.max_bytes}", reason="limit:bytes")
            while part := file.read(PART):
                yield part
                if time.monotonic() > until:
                    raise LimitExceeded(address, f"took more than {limits.seconds:g} s", reason="limit:seconds")
    except FileNotFoundError:
        raise MissingFile(address, "no such object") from None
    except PermissionError:
        raise MissingFile(address, "may not be read with the credentials at hand") from None
    except OSError as error:
        raise _Again(f"{type(error).__name__}: {printable(str(error), 120)}") from None


def object_store(address: str) -> Any:
    """The fsspec file system of an address such as ``s3://BUCKET/KEY``.

    Raises:
        MissingExtra: what speaks to that kind of store is not installed.
        MissingFile: it cannot be reached for another reason, such as no credentials.
    """
    import fsspec

    scheme = scheme_of(address)
    try:
        return fsspec.filesystem(scheme)
    except ImportError:
        raise MissingExtra(address, f"{scheme}:// needs s3fs: pip install 'dprnet[s3]'") from None
    except ValueError as error:
        raise MissingFile(address, f"cannot be reached ({printable(str(error), 120)})") from None
