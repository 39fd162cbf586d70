"""Settings of the service from the words of a command: lists of ``NAME=VALUE``, keys from files."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import cast, get_args

from dprnet.core.errors import BadRecipe, MissingFile
from dprnet.gallery import SearchKind
from dprnet.service.config import ServiceConfig

LIMITS = tuple(
    name
    for name in ServiceConfig.model_fields
    if name.startswith("max_") or name in {"lease_s", "attempts", "silence_s"}
)


def named_galleries(given: Iterable[str]) -> dict[str, Path | str]:
    """Galleries by name, from ``NAME=PATH`` or ``PATH`` (called as its folder); a server's always with its name.

    >>> named_galleries(["shop=g/one", "g/two"])
    {'shop': PosixPath('g/one'), 'two': PosixPath('g/two')}
    >>> named_galleries(["shop=postgresql://db/clothes#spring"])
    {'shop': 'postgresql://db/clothes#spring'}
    """
    found: dict[str, Path | str] = {}
    for text in given:
        name, mark, path = text.partition("=")
        if "://" in name or (not mark and "://" in text):
            raise BadRecipe("--gallery", "a gallery on a server needs a name here: NAME=ADDRESS")
        folder = path if "://" in path else Path(path if mark else text)
        name = name if mark else Path(folder).resolve().name
        if name in found:
            raise BadRecipe(f"gallery {name}", "is named twice; give each a name of its own: NAME=PATH")
        found[name] = folder
    return found


def named_kinds(given: Iterable[str], galleries: Iterable[str]) -> dict[str, SearchKind]:
    """What searches each gallery, from ``NAME=KIND``, or ``KIND`` for all of ``galleries``; what is named counts more.

    >>> named_kinds(["store", "small=exact"], ["small", "large"])
    {'small': 'exact', 'large': 'store'}
    """
    named: dict[str, SearchKind] = {}
    every: dict[str, SearchKind] = {}
    for text in given:
        name, mark, kind = text.rpartition("=")
        if kind not in get_args(SearchKind):
            raise BadRecipe(f"--kind {text[:40]}", f"no way to search; known are {', '.join(get_args(SearchKind))}")
        if mark:
            named[name] = cast(SearchKind, kind)
        else:
            every = dict.fromkeys(galleries, cast(SearchKind, kind))
    return every | named


def named_sources(given: Iterable[str]) -> dict[str, str]:
    """Streams by name, from ``NAME=ADDRESS``.

    >>> named_sources(["door=rtsp://camera.example/1?a=b"])
    {'door': 'rtsp://camera.example/1?a=b'}
    """
    found: dict[str, str] = {}
    for text in given:
        name, mark, address = text.partition("=")
        if not mark or not address or name in found:
            raise BadRecipe("--source", "each needs a name of its own: NAME=ADDRESS")
        found[name] = address
    return found


def named_limits(given: Iterable[str]) -> dict[str, float]:
    """Limits by name, from ``NAME=NUMBER``: a setting of :class:`ServiceConfig` that is a number.

    >>> named_limits(["max_queue=200", "max_duration_s=90.5"])
    {'max_queue': 200, 'max_duration_s': 90.5}
    """
    found: dict[str, float] = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in LIMITS:
            near = difflib.get_close_matches(name, LIMITS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(LIMITS)}"
            raise BadRecipe(f"--limit {name[:40]}", f"there is no such limit; {hint}")
        try:
            value = float(number)
        except ValueError:
            raise BadRecipe(f"--limit {name}", f"{number[:40]!r} is no number; write {name}=NUMBER") from None
        found[name] = int(value) if value.is_integer() else value
    return found


def read_key(path: Path | None, variable: str = "DPRNET_API_KEY") -> str | None:
    """A key of a file, or of the environment, or None.

    Raises:
        MissingFile: the file cannot be read.
    """
    if path is None:
        return os.environ.get(variable) or None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MissingFile(path, f"the key cannot be read ({type(error).__name__})") from None
