"""Names of things that are not files of this machine, and which hosts an outsider may not reach through it (row S3)."""

from __future__ import annotations

import ipaddress
import posixpath
import re

SCHEMES = ("http", "https", "s3")
"""What is fetched from."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}://")
_INSIDE = (  # IPv6 networks whose addresses hold an IPv4 address, and where in them it begins
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),
    (ipaddress.IPv6Network("::/96"), 0),
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)


def is_address(text: object) -> bool:
    """Whether a text is an address and no path.

    >>> [is_address(text) for text in ("https://a.example/x.jpg", "s3://b/x", "photos/a.jpg", "C:/photos", "/a://b")]
    [True, True, False, False, False]
    """
    return isinstance(text, str) and _ADDRESS.match(text) is not None


def scheme_of(address: str) -> str:
    """The part before ``://``, in small letters.

    >>> scheme_of("S3://bucket/key")
    's3'
    """
    return address.partition("://")[0].lower()


def joined(base: str, name: str) -> str:
    """An address, or a name relative to the folder ``base`` of an object store or server; never above its root.

    >>> joined("s3://shop/spring", "photos/a.jpg"), joined("s3://shop/spring", "../../../b.jpg")
    ('s3://shop/spring/photos/a.jpg', 's3://shop/b.jpg')
    >>> joined("s3://shop/spring", "https://b.example/c.jpg"), joined("s3://shop", "/d.jpg")
    ('https://b.example/c.jpg', 's3://shop/d.jpg')
    """
    if is_address(name):
        return name
    scheme, _, rest = base.partition("://")
    host, _, folder = rest.partition("/")
    return f"{scheme}://{host}{posixpath.normpath(posixpath.join('/', folder, name)).replace('//', '/')}"


def is_public(ip: str) -> bool:
    """Whether an address is one of the public internet, also by the IPv4 address that it may hold.

    >>> [is_public(ip) for ip in ("1.1.1.1", "127.0.0.1", "10.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fe80::1")]
    [True, False, False, False, False, False]
    """
    found = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        for network, bit in _INSIDE:
            if found in network:
                return is_public(str(ipaddress.IPv4Address((int(found) >> bit) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast
