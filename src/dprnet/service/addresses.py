"""Addresses that somebody else gave: looked up, judged, and then used as they were judged (row S3 of the promises)."""

from __future__ import annotations

import socket
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from dprnet.core.addresses import is_public
from dprnet.core.errors import BadRecipe, printable

MAX_CHARS = 2000  # ours: what browsers and proxies take
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes: connected to ``ip``, and to nothing else that the name may mean a moment later."""

    scheme: str
    host: str
    port: int
    ip: str
    target: str
    """Path and query."""

    @property
    def host_header(self) -> str:
        """As the receiver is asked for by name."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == PORTS[self.scheme] else f"{name}:{self.port}"


def look_up(address: str, allowed: Collection[str] = ()) -> Place:
    """Take an address apart, look its name up, and refuse what an outsider may not reach through this machine.

    Args:
        address: ``http://`` or ``https://``, without a user.
        allowed: hosts, as ``HOST`` or ``HOST:PORT``, that an operator allows wherever they are.

    Raises:
        BadRecipe: of another form (``webhook_address``), unknown (``webhook_unknown``), or of this machine or a
            network that is not public (``webhook_refused``).
    """
    shown = printable(address, 120)
    if len(address) > MAX_CHARS or not address.isascii() or not address.isprintable() or " " in address:
        raise BadRecipe(shown, "is no address; write https://HOST/PATH in ASCII", reason="webhook_address")
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadRecipe(shown, "is no address; write https://HOST/PATH", reason="webhook_address") from None
    if parts.scheme not in PORTS or not host or parts.username is not None or parts.fragment:
        sentence = "only http://HOST/PATH and https://HOST/PATH are told, without a user and without '#'"
        raise BadRecipe(shown, sentence, reason="webhook_address")
    port = port or PORTS[parts.scheme]
    ips = _ips(host, port, shown)
    if host not in allowed and f"{host}:{port}" not in allowed:
        for ip in ips:
            if not is_public(ip):
                sentence = f"{host} is not on the public internet; the operator may allow it by --webhook-to {host}"
                raise BadRecipe(shown, sentence, reason="webhook_refused")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(parts.scheme, host, port, ips[0], target)


def _ips(host: str, port: int, shown: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise BadRecipe(shown, f"no such host: {host}", reason="webhook_unknown") from None
    return [str(entry[4][0]) for entry in found]
