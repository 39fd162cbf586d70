"""Which videos: files, folders of them, and lists."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from dprnet.core.errors import MissingFile

SUFFIXES = {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mts", ".flv", ".3gp", ".mpg", ".mpeg"}
"""In a folder, files of these names are videos; a file that is named is taken whatever its name."""


def find_videos(paths: Sequence[Path | str]) -> list[Path]:
    """Every video once, in the order given: a file, the videos in and below a folder, the lines of a ``.txt`` list.

    Raises:
        MissingFile: a path is not there, a list cannot be read, or there is no video at all.
    """
    found = list(dict.fromkeys(video for path in paths for video in _videos(Path(path))))
    if not found:
        raise MissingFile(", ".join(map(str, paths)), f"no video there; looked for {', '.join(sorted(SUFFIXES))}")
    return found


def _videos(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    elif path.suffix.lower() == ".txt":
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise MissingFile(path, f"the list of videos cannot be read ({type(error).__name__})") from None
        yield from (path.parent / line.strip() for line in lines if line.strip())
    elif path.exists():
        yield path
    else:
        raise MissingFile(path, "no such video, folder or list")


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
