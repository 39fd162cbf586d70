"""A video on its way in: to a file of ours, hashed, its kind checked after the first bytes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from dprnet.core.errors import BadVideo, DprnetError, NoSpace
from dprnet.decode import DecodeLimits, open_video
from dprnet.decode.container import check_file
from dprnet.service.problems import told

HEAD = 4096  # bytes after which every refusal by kind has been made
SPARE = 256 << 20  # ours: bytes that stay free on the disk, for results and the table
LOOK = "1s"


def room_for(folder: Path, wanted: int) -> None:
    """Refuse before the first byte where the disk could not hold it.

    Raises:
        NoSpace: with what is there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < wanted + SPARE:
        raise NoSpace(
            "the service", f"{free >> 20} MB are free on its disk, too little for this video; try again later"
        )


async def receive(stream: AsyncIterator[bytes], path: Path, limits: DecodeLimits, name: str) -> str:
    """Write a body to a file; its SHA-256.

    Raises:
        Problem: 415, 413, 422, 503 by what it is; the file is left for the caller to remove.
    """
    digest, came, looked = hashlib.sha256(), 0, False
    try:
        with path.open("wb") as file:
            async for chunk in stream:
                digest.update(chunk)
                await run_in_threadpool(file.write, chunk)
                came += len(chunk)
                if came >= HEAD and not looked:
                    file.flush()
                    check_file(path, limits)
                    looked = True
        if not came:
            raise BadVideo(name, "an empty body; send the file itself as the body", reason="empty")
        await run_in_threadpool(probe, path, limits)
    except DprnetError as error:
        raise told(error, name) from None
    except OSError as error:
        if error.errno != 28:
            raise
        raise told(NoSpace(name, "the disk of the service is full; try again later")) from None
    return digest.hexdigest()


def probe(path: Path, limits: DecodeLimits) -> None:
    """Open a video in the decoder's process, without decoding: what can be refused at once is.

    Raises:
        DprnetError: as ``open_video``.
    """
    check_file(path, limits)
    with open_video(path, LOOK, limits=limits):
        pass
