"""Video to frames: key frames every T, at exact times, decoded in a child process that cannot take us down.

    with open_video("look.mp4", Every.parse("0.5s"), short_side=480) as video:
        for frame in video:
            ...
        source = video.record()

    sampling    which frames are wanted          limits      what a video may cost
    container   which files and streams we open  structure   groups of pictures, references and spares
    pixels      upright 8-bit RGB                inprocess   the decoder itself
    wire, child the process around it            video       what callers use
    process     how it starts and ends           forked      the one that it is forked from, for a quick start

Names are imported when first used, so that the child starts without the settings library (and never with torch).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dprnet.decode.forked import prepare, processor_s
    from dprnet.decode.inprocess import decode_in_process
    from dprnet.decode.limits import DecodeLimits
    from dprnet.decode.sampling import Every
    from dprnet.decode.video import Video, frames_at, open_video

_HOMES = {
    "DecodeLimits": "limits",
    "Every": "sampling",
    "Video": "video",
    "decode_in_process": "inprocess",
    "frames_at": "video",
    "open_video": "video",
    "prepare": "forked",
    "processor_s": "forked",
}

__all__ = [
    "DecodeLimits",
    "Every",
    "Video",
    "decode_in_process",
    "frames_at",
    "open_video",
    "prepare",
    "processor_s",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
