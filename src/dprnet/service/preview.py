"""A small WebM of a video that browsers do not play, made when somebody wants to see it, in a process of its own.

``python -m dprnet.service.preview``; told by one line of JSON, it ends with the service. The video itself is decoded
under the limits of its job, in the decoder's process.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

from dprnet.core.errors import DprnetError
from dprnet.decode import DecodeLimits, open_video
from dprnet.decode.child import leave_with_parent, request_line

NAME = "preview.webm"
FAILED = "preview.failed"  # so that it is not tried again and again
EVERY_S = 0.125  # ours: eight pictures a second; enough to follow who is where
SIDE = 360  # ours: pixels of the shorter side; it is shown beside the garments
RATE = 500_000  # ours: bits a second
MAX_S = 900.0  # ours: a quarter of an hour of video, at most 56 MB
WALL_S = 300.0  # ours: seconds of work, then what there is must do


class Previews:
    """Makes them, one at a time."""

    def __init__(self, limits: DecodeLimits) -> None:
        less = {"max_wall_s": min(limits.max_wall_s, WALL_S), "clip": True}  # the beginning is all that it shows
        self._limits = limits.model_copy(update=less)
        self._one = asyncio.Semaphore(1)
        self._asked: dict[Path, asyncio.Task[None]] = {}

    def ask(self, video: Path) -> bool:
        """Have one made beside the video, unless that is being done; True while it is."""
        if (video.parent / FAILED).exists():
            return False
        if video not in self._asked:
            task = asyncio.get_running_loop().create_task(self._make(video))
            self._asked[video] = task
            task.add_done_callback(lambda _: self._asked.pop(video, None))
        return True

    async def close(self) -> None:
        """Give up what is being made."""
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, video: Path) -> None:
        async with self._one:
            request = {"video": str(video), "out": str(video.parent / NAME), "limits": self._limits.model_dump()}
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "dprnet.service.preview"),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            )
            assert process.stdin is not None, "its input is a pipe"
            try:
                process.stdin.write(json.dumps(request).encode() + b"\n")
                await process.stdin.drain()
                await asyncio.wait_for(process.wait(), 2 * WALL_S)
            except (TimeoutError, OSError):
                pass
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            if process.returncode and video.is_file():
                (video.parent / FAILED).touch()


def make(video: Path, out: Path, limits: DecodeLimits) -> None:
    """Write a small WebM of the first ``MAX_S`` seconds of a video; whole or not at all.

    Raises:
        DprnetError: it cannot be decoded.
    """
    import av

    partial = out.with_suffix(f".{os.getpid()}.partial")
    try:
        with (
            open_video(video, f"{EVERY_S}s", limits=limits, short_side=SIDE) as frames,
            av.open(str(partial), "w", format="webm") as file,
        ):
            stream: Any = None
            for frame in frames:
                if frame.time_s > MAX_S:
                    break
                height, width = (side - side % 2 for side in frame.image.shape[:2])
                if stream is None:
                    fast = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
                    stream = file.add_stream("libvpx", rate=round(1 / EVERY_S), options=fast)
                    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                    stream.bit_rate, stream.time_base = RATE, Fraction(1, 1000)
                    stream.codec_context.time_base, stream.codec_context.thread_count = Fraction(1, 1000), 1
                picture = av.VideoFrame.from_ndarray(frame.image[:height, :width], format="rgb24")
                picture = picture.reformat(stream.width, stream.height, "yuv420p")
                picture.pts, picture.time_base = round(1000 * frame.time_s), Fraction(1, 1000)
                file.mux(stream.encode(picture))
            if stream is not None:
                file.mux(stream.encode())
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def main() -> None:
    """Make one, as asked."""
    request = json.loads(request_line())
    threading.Thread(target=leave_with_parent, daemon=True).start()
    try:
        make(Path(request["video"]), Path(request["out"]), DecodeLimits(**request["limits"]))
    except DprnetError:
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
