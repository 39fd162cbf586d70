"""Addresses of galleries on servers: taken apart, checked, and shown without their password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from dprnet.core.errors import BadGallery

NAME = "gallery"  # ours: what a gallery is called whose address names none
ALLOWED = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """``scheme://[user[:password]@]host[:port][/database][?options][#name]``."""

    server: str
    """Everything before ``#``: what the client library takes."""
    name: str
    """Which of the server's galleries."""

    @classmethod
    def parse(cls, address: str) -> ServerAddress:
        """Take an address apart.

        Raises:
            BadGallery: the gallery's name is not one that every server takes.
        """
        server, _, name = address.partition("#")
        name = unquote(name) or NAME
        if not ALLOWED.fullmatch(name):
            sentence = f"gallery name {name[:60]!r}: small letters, digits and _, a letter first, at most 40"
            raise BadGallery(shown(address), sentence)
        return cls(server, name)

    def __str__(self) -> str:
        return f"{shown(self.server)}#{self.name}"


def name_of(address: str) -> str:
    """What a gallery is called: by its server, or by the last part of its place.

    >>> name_of("postgresql://db.example/clothes#spring"), name_of("s3://shop/galleries/spring/"), name_of("a/spring")
    ('spring', 'spring', 'spring')
    """
    if not is_server(address):
        return Path(address).resolve().name
    if address.lower().startswith("s3://"):
        return address.rstrip("/").rpartition("/")[2]
    return ServerAddress.parse(address).name


def is_server(address: object) -> bool:
    """Whether an address names a server or an object store rather than a folder."""
    return "://" in str(address)


def shown(address: str) -> str:
    """An address that may stand in messages and reports.

    >>> shown("postgresql://shop:secret@db.example/clothes?sslpassword=x#spring")
    'postgresql://shop:***@db.example/clothes#spring'
    >>> shown("galleries/spring")
    'galleries/spring'
    """
    if not is_server(address):
        return address
    try:
        parts = urlsplit(address)
    except ValueError:
        return address.partition("://")[0] + "://..."
    user, at, host = parts.netloc.rpartition("@")
    name, colon, password = user.partition(":")
    netloc = f"{name}{colon}{'***' if password else ''}{at}{host}"
    return urlunsplit((parts.scheme, netloc, parts.path, "", parts.fragment))
