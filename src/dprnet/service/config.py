"""Settings of the service."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import Field, SecretStr, field_validator, model_validator

from dprnet.core.config import Settings
from dprnet.core.errors import BadRecipe, MissingFile
from dprnet.decode import DecodeLimits
from dprnet.service.signing import signature

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
MIN_KEY_CHARS = 16
T = TypeVar("T")


class ServiceConfig(Settings):
    """Where the service listens, what it may use, and how long it keeps what it was given."""

    folder: Path
    """Its own folder: the table of jobs, uploads, results, photos of items that were added."""
    host: str = "127.0.0.1"  # ours: nobody else, until a key is set
    port: int = Field(8000, ge=0, le=65535)
    api_key: SecretStr | None = None
    bundle: str = "tiny"
    device: str = "cpu"
    database: str | None = Field(None, repr=False)  # ours: none, so the jobs of one machine are in a file
    """``postgresql://...[#SCHEMA]``: a table of jobs that several services share, as they share the folder."""
    galleries: dict[str, Path | str] = Field(default_factory=dict)
    """By the name under which they are offered; those in ``folder/galleries`` are found by themselves."""
    samples: Path | None = None
    """A folder of videos that the page offers to try."""
    sources: dict[str, str] = Field(default_factory=dict, repr=False)
    """Streams that may be watched, by name: addresses as `dprnet watch` takes them. A request carries only the name."""
    names: tuple[str, ...] = ()
    """Host names under which it is reached, beside its address; a request for another is refused."""

    webhook_secret: SecretStr | None = None
    """Signs what others are told of the ends of jobs; without it nobody is told."""
    webhook_to: tuple[str, ...] = ()  # ours: none, so only the public internet is told
    """Hosts (``HOST`` or ``HOST:PORT``) that may be told although they are not public."""

    workers: int = Field(1, ge=0, le=64)  # ours: one keeps two cores busy, decoding included
    threads: int = Field(0, ge=0)  # ours: of a worker's networks; 0 leaves it to torch
    lease_s: float = Field(30.0, gt=0)  # ours: a worker that gave no sign for so long is taken for dead
    attempts: int = Field(3, ge=1)  # ours: a video that killed three workers is not tried again
    max_job_s: float = Field(3600.0, gt=0)  # ours: then the worker gives up by itself

    keep_s: float = Field(24 * 3600.0, gt=0)  # ours: videos show people; a day is enough to look at the result
    max_queue: int = Field(50, ge=1)  # ours: jobs waiting; more would wait for hours on two cores
    max_uploads: int = Field(8, ge=1)  # ours: videos coming in at once
    max_searches: int = Field(8, ge=1)  # ours: image searches that may wait for the one that runs
    max_streams: int = Field(100, ge=1)  # ours: pages that follow a job at once
    max_requests: int = Field(300, ge=1)  # ours: requests being answered at once, those that follow a job among them

    max_video_bytes: int = Field(1 << 30, gt=0)  # ours: half an hour of phone video
    max_image_bytes: int = Field(32 << 20, gt=0)  # ours: a camera's JPEG
    max_image_pixels: int = Field(50_000_000, gt=0)  # ours: a phone's largest
    max_duration_s: float = Field(3600.0, gt=0)  # ours: an hour of video is some half hour of work
    max_video_pixels: int = Field(4096 * 2304, gt=0)  # ours: 4K, with the padding codecs add
    silence_s: float = Field(20.0, gt=0)  # ours: seconds without one byte of a body after which we stop listening

    @field_validator("galleries")
    @classmethod
    def _names(cls, value: dict[str, Path]) -> dict[str, Path]:
        for name in value:
            if not re.fullmatch(NAME, name):
                raise ValueError(f"gallery name {name!r}: letters, digits, '.', '-', '_' only, at most 64")
        return value

    @model_validator(mode="after")
    def _locked(self) -> ServiceConfig:
        if self.api_key is not None and len(self.api_key.get_secret_value()) < MIN_KEY_CHARS:
            raise ValueError(f"the API key is shorter than {MIN_KEY_CHARS} characters")
        if self.webhook_secret is not None and len(self.webhook_secret.get_secret_value()) < MIN_KEY_CHARS:
            raise ValueError(f"the secret of webhooks is shorter than {MIN_KEY_CHARS} characters")
        if self.webhook_secret is not None:
            signature(self.webhook_secret.get_secret_value(), "", 0, b"")  # a whsec_ that is no base64 is refused here
        return self

    def refuse_open_door(self) -> None:
        """Raise unless only this machine can reach the service, or a key is set.

        Raises:
            BadRecipe: bound to another address without a key.
        """
        if self.api_key is None and not is_loopback(self.host):
            raise BadRecipe(
                self.host,
                "anybody who reaches this address could use the service: set an API key"
                " (DPRNET_API_KEY or --api-key-file), or bind to 127.0.0.1",
                reason="no_api_key",
            )

    def for_worker(self) -> str:
        """The settings as a worker is told them: without what it has no use for."""
        return self.model_copy(update={"api_key": None, "webhook_secret": None, "sources": {}}).model_dump_json()

    @property
    def limits(self) -> DecodeLimits:
        """What one video may cost."""
        return DecodeLimits(
            max_bytes=self.max_video_bytes,
            max_duration_s=self.max_duration_s,
            max_pixels=self.max_video_pixels,
            max_wall_s=self.max_job_s,
        )

    @property
    def table(self) -> Path | str:
        """Where the table of jobs is."""
        return self.database or self.folder / "jobs.sqlite"

    def gallery_paths(self) -> dict[str, Path | str]:
        """Where each gallery is: those that were named, and those made through the service."""
        from dprnet.gallery import CARD

        own = self.folder / "galleries"
        found: dict[str, Path | str] = {}
        for path in own.glob(f"*/{CARD}"):
            if re.fullmatch(NAME, path.parent.name):
                found[path.parent.name] = path.parent
        return dict(sorted((found | self.galleries).items()))

    def job_folder(self, job_id: str) -> Path:
        """Where the media and results of a job are."""
        return self.folder / "jobs" / job_id


LIMITS = tuple(
    name
    for name in ServiceConfig.model_fields
    if name.startswith("max_") or name in {"lease_s", "attempts", "silence_s"}
)


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("shop.example")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
