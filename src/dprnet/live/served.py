"""A watch for somebody else: told what to watch by one line of JSON on standard input, it ends when that pipe does.

``python -m dprnet.live.served``; the address stands in no list of processes. Events go to standard output; a failure is
the last of them, ``{"event": "failed", "code": ..., "message": ...}``.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dprnet.core.config import parse_settings
from dprnet.core.errors import DprnetError
from dprnet.decode.child import leave_with_parent, request_line


def main() -> None:
    """Watch as asked."""
    request: dict[str, Any] = json.loads(request_line())
    threading.Thread(target=leave_with_parent, daemon=True).start()

    def tell(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    try:
        _watch(request, tell)
    except DprnetError as error:
        tell(json.dumps({"event": "failed", "code": error.reason, "message": str(error)}))


def _watch(request: dict[str, Any], tell: Callable[[str], None]) -> None:
    from dprnet.live.config import WatchConfig
    from dprnet.live.lines import write_lines
    from dprnet.live.watch import Watcher

    if request.get("threads"):
        import torch

        torch.set_num_threads(request["threads"])
    watcher = Watcher(
        request["bundle"],
        gallery=request["gallery"],
        config=parse_settings(request["settings"], WatchConfig, "watch"),
        device=request["device"],
    )
    write_lines(watcher.watch(request["source"]), tell, Path(request["out"]))


if __name__ == "__main__":
    main()
