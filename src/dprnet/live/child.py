"""The process that reads a stream: ``python -m dprnet.live.child``, started by ``connection`` alone.

As the decoder's (:mod:`dprnet.decode.child`): it may be taken over by what it reads, so it gets nothing but its
request, limits itself, and ends when its parent does.
"""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
from typing import Any

from dprnet.core.errors import DprnetError
from dprnet.decode import Every, wire
from dprnet.decode.child import BEAT_S, leave_with_parent, limit_this_process, request_line
from dprnet.live.reading import Reading
from dprnet.live.source import LiveSource


def main() -> None:
    """Read one stream as asked, then exit without ado."""
    out = os.dup(1)
    os.dup2(2, 1)  # whatever prints must not break the messages
    request = json.loads(request_line())
    threading.Thread(target=leave_with_parent, daemon=True).start()
    limit_this_process(request.pop("max_memory_bytes"), None)
    sender = wire.Sender(out, 0)  # one picture waits, not more: it would only grow old
    sender.beat()
    try:
        _read(request, sender)
    except DprnetError as error:
        head = {"type": type(error).__name__, "sentence": error.sentence, "reason": error.reason}
        sender.send(wire.ERROR, head)
    except MemoryError:
        head = {"type": "LimitExceeded", "sentence": "reading it asks for too much memory", "reason": "limit:memory"}
        sender.send(wire.ERROR, head)
    except Exception:
        sender.send(wire.ERROR, {"type": "fault", "sentence": traceback.format_exc(), "reason": ""})
    sender.flush()
    os._exit(0)


def _read(request: dict[str, Any], sender: wire.Sender) -> None:
    last_s = time.monotonic()

    def beat() -> None:
        nonlocal last_s
        if time.monotonic() - last_s > BEAT_S:
            last_s = time.monotonic()
            sender.beat()

    source = LiveSource(request.pop("kind"), request.pop("address"))
    reading = Reading(source, Every.parse(request.pop("every")), beat=beat, **request)
    sender.send(wire.READY, {})
    for frame in reading:
        height, width = frame.image.shape[:2]
        place = {"index": frame.index, "time_s": frame.time_s, "scale": frame.scale, "height": height, "width": width}
        sender.send(wire.FRAME, {"frame": place, "skipped": reading.skipped}, frame.image)
    sender.send(wire.DONE, {"may_end": reading.may_end})


if __name__ == "__main__":
    main()
