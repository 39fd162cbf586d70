"""Settings of the service."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator

from dprnet.core.config import Settings
from dprnet.core.errors import BadRecipe
from dprnet.decode import DecodeLimits
from dprnet.gallery import CARD, IndexConfig, SearchKind
from dprnet.service.signing import signature

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
MIN_KEY_CHARS = 16


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
    kinds: dict[str, SearchKind] = Field(default_factory=dict)
    """What searches a gallery, by its name; an index in memory where nothing is said."""
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
    def _known(self) -> ServiceConfig:
        for name in set(self.kinds) - set(self.galleries):
            known = ", ".join(self.galleries) or "none"
            raise ValueError(f"kind of gallery {name!r}: no gallery of this name was given; there are: {known}")
        return self

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
        own = self.folder / "galleries"
        found: dict[str, Path | str] = {}
        for path in own.glob(f"*/{CARD}"):
            if re.fullmatch(NAME, path.parent.name):
                found[path.parent.name] = path.parent
        return dict(sorted((found | self.galleries).items()))

    def index(self, gallery: str) -> IndexConfig:
        """How a gallery is searched."""
        return IndexConfig(kind=self.kinds.get(gallery, "auto"))

    def job_folder(self, job_id: str) -> Path:
        """Where the media and results of a job are."""
        return self.folder / "jobs" / job_id


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
