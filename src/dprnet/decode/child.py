"""The decoder's process: forked by :mod:`dprnet.decode.forkserver` or ``python -m dprnet.decode.child``.

It reads one line of JSON (what to decode), limits itself, and sends frames (:mod:`dprnet.decode.wire`). Its standard
input stays open as long as the parent lives and wants frames; when it closes, the process ends at once.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
import threading
import time
import traceback
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from dprnet.core.errors import DprnetError
from dprnet.decode import wire
from dprnet.decode.inprocess import TOO_MUCH_MEMORY, Decoding
from dprnet.decode.sampling import Wanted

if TYPE_CHECKING:
    from dprnet.decode.limits import DecodeLimits

BEAT_S = 0.5
CPU_GRACE_S = 10  # the decoder's own count of seconds comes first; the kernel's is for a decoder that hangs


def main() -> None:
    """Decode one video as asked, then exit without ado."""
    out = os.dup(1)
    os.dup2(2, 1)  # whatever prints must not break the messages
    request = json.loads(request_line())
    threading.Thread(target=leave_with_parent, daemon=True).start()
    # The settings library is not loaded here: these values were checked by the parent.
    limits = cast("DecodeLimits", SimpleNamespace(**request["limits"]))
    limit_this_process(limits.max_memory_bytes, limits.max_decode_s)
    sender = wire.Sender(out, limits.queue_bytes)
    sender.beat()  # started: from now on silence means that the decoder hangs
    try:
        _decode(request, limits, sender)
    except DprnetError as error:
        head = {"type": type(error).__name__, "sentence": error.sentence, "reason": error.reason}
        sender.send(wire.ERROR, head)
    except MemoryError:
        head = {"type": "LimitExceeded", "sentence": TOO_MUCH_MEMORY, "reason": "limit:memory"}
        sender.send(wire.ERROR, head)
    except Exception:
        sender.send(wire.ERROR, {"type": "fault", "sentence": traceback.format_exc(), "reason": ""})
    sender.flush()
    os._exit(0)


def _decode(request: dict[str, Any], limits: DecodeLimits, sender: wire.Sender) -> None:
    last_s = time.monotonic()

    def beat() -> None:
        nonlocal last_s
        if time.monotonic() - last_s > BEAT_S:
            last_s = time.monotonic()
            sender.beat()

    decoding = Decoding(
        request["path"],
        Wanted.from_json(request["wanted"]),
        limits,
        request["short_side"],
        request["long_side"],
        request["source"],
        beat=beat,
    )
    sender.send(wire.READY, {})
    for frame in decoding:
        height, width = frame.image.shape[:2]
        place = {"index": frame.index, "time_s": frame.time_s, "scale": frame.scale, "height": height, "width": width}
        sender.send(wire.FRAME, {"frame": place, "progress": decoding.progress.to_json()}, frame.image)
    sender.send(wire.DONE, {"progress": decoding.progress.to_json()})


def request_line() -> bytes:
    """The request; read byte by byte from the descriptor, so that no buffer hides the end of the input."""
    parts: list[bytes] = []
    while not parts or not parts[-1].endswith(b"\n"):
        part = os.read(0, 1 << 16)
        if not part:
            sys.exit(0)
        parts.append(part)
    return b"".join(parts)


def leave_with_parent() -> None:
    """End this process at once when the parent's end of standard input closes."""
    while os.read(0, 1):
        pass
    os._exit(0)


def limit_this_process(max_memory_bytes: int, max_decode_s: float | None) -> None:
    """Bound what this process may take of the machine; it writes no file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    import resource

    wanted = {
        resource.RLIMIT_AS: max_memory_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,  # a decoder writes no file
    }
    if max_decode_s is not None:
        wanted[resource.RLIMIT_CPU] = math.ceil(max_decode_s) + CPU_GRACE_S
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):  # a system without this limit
            resource.setrlimit(kind, (bound, bound))


if __name__ == "__main__":
    main()
