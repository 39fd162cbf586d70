"""Which addresses a watch opens, and how (row V10 of the promises): never a file by way of an address."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from dprnet.core.errors import BadVideo, MissingFile, printable

Kind = Literal["file", "pipe", "network"]

STDIN = "-"
SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "tcp", "rtp")
STREAM_FORMATS = "rtsp,rtp,sdp,hls,mpegts,mov,mp4,m4a,3gp,3g2,mj2"
STREAM_PROTOCOLS = "rtsp,rtp,rtps,udp,tcp,tls,http,https,httpproxy,crypto"
FILE_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,flv"  # those that can be read from front to back


@dataclass(frozen=True, slots=True)
class LiveSource:
    """Something to watch."""

    kind: Kind
    address: str
    """A path, ``-``, or an address of a network; may hold a password."""

    @classmethod
    def parse(cls, text: str) -> LiveSource:
        """A source from what somebody typed.

        Raises:
            MissingFile: no such file.
            BadVideo: an address or a file of a kind that is not watched.
        """
        if text == STDIN:
            return cls("pipe", text)
        scheme, mark, _ = text.partition("://")
        if mark:
            if scheme.lower() not in SCHEMES:
                sentence = f"only {', '.join(f'{name}://' for name in SCHEMES)}, files and '-' are watched"
                raise BadVideo(shown(text), sentence, reason="unsupported_source")
            return cls("network", text)
        path = Path(text)
        try:
            mode = path.stat().st_mode
        except (OSError, ValueError):
            raise MissingFile(text, "no such file; give a file, an address such as rtsp://..., or '-'") from None
        if stat.S_ISCHR(mode):
            sentence = "a camera is not opened here; pipe it: ffmpeg -f v4l2 -i DEVICE -f mpegts - | dprnet watch -"
            raise BadVideo(text, sentence, reason="unsupported_source")
        if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
            raise BadVideo(text, "a folder or a device, not a video file", reason="unsupported_source")
        return cls("file", str(path.absolute()))

    @property
    def shown(self) -> str:
        """What may stand in messages."""
        return shown(self.address)

    @property
    def options(self) -> dict[str, str]:
        """For FFmpeg: what it may open, and that it need not wait."""
        if self.kind != "network":
            return {"format_whitelist": FILE_FORMATS, "protocol_whitelist": ""}
        wanted = {"format_whitelist": STREAM_FORMATS, "protocol_whitelist": STREAM_PROTOCOLS}
        if self.address.lower().startswith("rtsp"):
            wanted |= {"rtsp_transport": "tcp"}  # ours: half a picture is no picture, and UDP loses halves
        return wanted


def shown(address: str) -> str:
    """An address without its password and without its query, which may hold a token.

    >>> shown("rtsp://me:secret@camera.example/door?token=x")
    'rtsp://***@camera.example/door'
    """
    if "://" not in address:
        return printable(address)
    try:
        parts = urlsplit(address)
    except ValueError:
        return address.partition("://")[0] + "://..."
    _, at, host = parts.netloc.rpartition("@")
    return printable(urlunsplit((parts.scheme, ("***" + at if at else "") + host, parts.path, "", "")))
