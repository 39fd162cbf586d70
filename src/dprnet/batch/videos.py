"""Which videos: files, folders of them, lists, and addresses; and their bytes, where those lie elsewhere."""

from __future__ import annotations

import hashlib
import posixpath
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dprnet.batch.config import BatchConfig
from dprnet.core.addresses import is_address, joined, scheme_of
from dprnet.core.errors import MissingFile, printable
from dprnet.core.fetching import FetchLimits, fetch, fetch_bytes, object_store

SUFFIXES = {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mts", ".flv", ".3gp", ".mpg", ".mpeg"}
"""In a folder, files of these names are videos; a file that is named is taken whatever its name."""
FETCH_ATTEMPTS = 4  # ours: half a minute of a store that does not answer costs no video

Video = Path | str
"""A file, or an address as text."""


@dataclass(frozen=True, slots=True)
class Local:
    """A video's bytes on this machine."""

    path: Path
    content: str
    """SHA-256."""
    borrowed: bool = False
    """It was fetched, and goes when its video is done."""


@dataclass(slots=True)
class VideoTask:
    """A video to search."""

    video: Video
    """A file, or the address that it was fetched from."""
    local: Local
    version: str = ""
    attempts: int = 0

    @property
    def content(self) -> str:
        """SHA-256 of its bytes."""
        return self.local.content

    @property
    def message(self) -> tuple[str, str, str]:
        """What its worker is told."""
        return str(self.local.path), self.content, str(self.video)

    def __str__(self) -> str:
        return str(self.video)

    def forget(self) -> None:
        """Let go of what was fetched."""
        if self.local.borrowed:
            self.local.path.unlink(missing_ok=True)


def fetching_of(config: BatchConfig) -> FetchLimits:
    """What fetching one video may cost."""
    return FetchLimits(
        max_bytes=config.video_bytes, seconds=config.item_s, attempts=FETCH_ATTEMPTS, private=config.private
    )


def find_videos(paths: Sequence[Path | str], fetching: FetchLimits | None = None) -> list[Video]:
    """Every video once, in the order given: a file, the videos in and below a folder, the lines of a ``.txt`` list.

    An address is a video too; ``s3://BUCKET/PREFIX/`` (it ends with a slash) is a folder, one of ``.txt`` a list.

    Raises:
        MissingFile: a path is not there, a list cannot be read, or there is no video at all.
    """
    found = list(dict.fromkeys(video for path in paths for video in _videos(path, fetching or FetchLimits())))
    if not found:
        raise MissingFile(", ".join(map(str, paths)), f"no video there; looked for {', '.join(sorted(SUFFIXES))}")
    return found


def _videos(given: Path | str, fetching: FetchLimits) -> Iterator[Video]:
    if isinstance(given, str) and is_address(given):
        yield from _remote_videos(given, fetching)
        return
    path = Path(given)
    if path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    elif path.suffix.lower() == ".txt":
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise MissingFile(path, f"the list of videos cannot be read ({type(error).__name__})") from None
        for line in (line.strip() for line in lines if line.strip()):
            yield line if is_address(line) else path.parent / line
    elif path.exists():
        yield path
    else:
        raise MissingFile(path, "no such video, folder or list")


def _remote_videos(address: str, fetching: FetchLimits) -> Iterator[Video]:
    if address.endswith("/") and scheme_of(address) == "s3":
        try:
            names = sorted(object_store(address).find(address.partition("://")[2]))
        except OSError as error:  # half a list would pass for all of it
            raise MissingFile(address, f"cannot be listed ({printable(str(error), 120)})") from None
        yield from (f"s3://{name}" for name in names if posixpath.splitext(name)[1].lower() in SUFFIXES)
    elif address.partition("?")[0].lower().endswith(".txt"):
        try:
            lines = fetch_bytes(address, fetching).decode("utf-8").splitlines()
        except UnicodeDecodeError:
            raise MissingFile(address, "the list of videos is not UTF-8") from None
        folder = joined(address.partition("?")[0], "..")
        yield from (joined(folder, line.strip()) for line in lines if line.strip())
    else:
        yield address


def version_of(video: Video) -> str:
    """What tells an object from a later one of the same name (its tag and size); empty where nothing cheap does.

    Raises:
        MissingFile: the store cannot be asked, or has no such object.
    """
    if not isinstance(video, str) or scheme_of(video) != "s3":
        return ""
    try:
        info = object_store(video).info(video, refresh=True)
    except FileNotFoundError:
        raise MissingFile(video, "no such object") from None
    except OSError as error:
        raise MissingFile(video, f"cannot be asked for ({printable(str(error), 120)})") from None
    return f"{info.get('ETag', '')} {info.get('size', '')}"


def brought_here(video: Video, folder: Path, fetching: FetchLimits) -> Local:
    """A video's bytes as a file, fetched into a folder where it is elsewhere.

    Raises:
        MissingFile, LimitExceeded: it cannot be had.
    """
    if isinstance(video, Path):
        return Local(video, content_of(video))
    folder.mkdir(parents=True, exist_ok=True)
    suffix = posixpath.splitext(video.partition("?")[0])[1][:8]
    handle = tempfile.NamedTemporaryFile(dir=folder, suffix=suffix if suffix.isascii() else "", delete=False)  # noqa: SIM115
    path = Path(handle.name)
    try:
        with handle:
            fetch(video, handle.file, fetching)
        return Local(path, content_of(path), borrowed=True)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def content_of(video: Path) -> str:
    """SHA-256 of a video's bytes.

    Raises:
        MissingFile: it cannot be read.
    """
    try:
        with video.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MissingFile(video, f"cannot be opened ({error.strerror or error})") from None
