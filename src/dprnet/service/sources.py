"""Streams that an operator listed by name: each is watched in a process of its own while somebody wants it to be.

A request carries a name, never an address. The process is `dprnet.live.served`; it ends with the service.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

from dprnet.core.errors import MissingFile
from dprnet.service.config import ServiceConfig
from dprnet.service.problems import Problem

MODULE = "dprnet.live.served"
KEPT = 200  # ours: garments that are shown of one stream; with pictures some 10 MB
State = Literal["stopped", "starting", "watching", "lost", "ended", "failed"]

_log = logging.getLogger(__name__)


class LiveStream:
    """One stream, and what was seen in it."""

    def __init__(self, name: str, address: str, config: ServiceConfig) -> None:
        self.name, self._address, self._config = name, address, config
        self.state: State = "stopped"
        self.note = ""
        self.stream_s = 0.0
        self.gallery: str | None = None
        self.revision = 0
        self._garments: dict[int, dict[str, Any]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()

    @property
    def folder(self) -> Path:
        """Of its pictures."""
        return self._config.folder / "live" / self.name

    @property
    def running(self) -> bool:
        """Whether it is being watched."""
        return self._process is not None and self._process.poll() is None

    def garments(self) -> list[dict[str, Any]]:
        """What was seen, the latest first; what is older than results are kept is forgotten here."""
        with self._lock:
            for number in [n for n, one in self._garments.items() if one["told_s"] < time.time() - self._config.keep_s]:
                self._forget(number)
            return [dict(one) for one in reversed(self._garments.values())]

    def start(self, gallery: str | None, every: str) -> None:
        """Begin to watch; what was seen before is forgotten.

        Raises:
            Problem: it is being watched (409).
            MissingFile: no such gallery.
        """
        paths = self._config.gallery_paths()
        if gallery is not None and gallery not in paths:
            raise MissingFile(f"gallery {gallery[:80]}", f"there is no such gallery; there are: {', '.join(paths)}")
        with self._lock:
            if self.running:
                raise Problem(409, "watched_already", f"source {self.name}: is being watched; stop it first")
            self._clear()
            self.folder.mkdir(parents=True, exist_ok=True)
            request = {
                "source": self._address,
                "bundle": self._config.bundle,
                "device": self._config.device,
                "threads": self._config.threads,
                "gallery": str(paths[gallery]) if gallery else None,
                "settings": {"every": every, "kind": self._config.kinds.get(gallery or "", "auto")},
                "out": str(self.folder),
            }
            self._change("starting", "")
            self.gallery, self._process = gallery, _spawn(request)
            threading.Thread(target=self._follow, args=(self._process,), name=f"live {self.name}", daemon=True).start()

    def stop(self) -> None:
        """End it, if it is being watched; what was seen stays until the next start."""
        with self._lock:
            process, self._process = self._process, None
            if process is None:
                return
            if process.poll() is None:
                self._change("stopped", "")
            process.kill()
            with contextlib.suppress(OSError):
                if process.stdin is not None:
                    process.stdin.close()
            process.wait()

    def forget(self) -> None:
        """End it and delete what was seen."""
        self.stop()
        self._clear()

    def _clear(self) -> None:
        with self._lock:
            self._garments.clear()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None, "its output is a pipe"
        with process.stdout as lines:
            for line in lines:
                with self._lock:
                    if self._process is not process:
                        return
                    with contextlib.suppress(ValueError, KeyError, TypeError):  # a line that is none of ours
                        self._take(json.loads(line))
        with self._lock:
            if self._process is process and self.state not in {"ended", "failed"}:
                self._change("failed", f"source {self.name}: its process ended unexpectedly; start it again")

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        self.stream_s = float(event.get("stream_s", self.stream_s))
        if kind in {"new", "better"}:
            number = int(event["garment"])
            self._garments.pop(number, None)  # the latest stands last
            self._garments[number] = event | {"told_s": time.time(), "picture": bool(event["picture"]), "left": False}
            while len(self._garments) > KEPT:
                self._forget(next(iter(self._garments)))
            self._change("watching", "")
        elif kind == "merged":
            self._forget(int(event["garment"]))
            self._change(self.state, self.note)
        elif kind == "left" and (gone := self._garments.get(int(event["garment"]))) is not None:
            gone["left"] = True
            self._change(self.state, self.note)
        elif kind in {"start", "back"}:
            self._change("watching", "")
        elif kind == "lost":
            self._change("lost", str(event["why"]))
        elif kind == "end":
            self._change("ended", "")
        elif kind == "failed":
            self._change("failed", str(event["message"]))

    def _forget(self, number: int) -> None:
        self._garments.pop(number, None)
        (self.folder / f"{number}.jpg").unlink(missing_ok=True)

    def _change(self, state: State, note: str) -> None:
        self.state, self.note, self.revision = state, note, self.revision + 1


class Sources:
    """All that were listed."""

    def __init__(self, config: ServiceConfig) -> None:
        self._streams = {name: LiveStream(name, address, config) for name, address in config.sources.items()}

    def all(self) -> list[LiveStream]:
        """In the order in which they were listed."""
        return list(self._streams.values())

    def one(self, name: str) -> LiveStream:
        """By its name.

        Raises:
            MissingFile: there is none of this name.
        """
        if name not in self._streams:
            known = ", ".join(self._streams) or "none"
            raise MissingFile(f"source {name[:80]}", f"there is none of this name; there are: {known}")
        return self._streams[name]

    def close(self) -> None:
        """End all, and delete what they showed: it shows people."""
        for stream in self.all():
            stream.forget()


def _spawn(request: dict[str, Any]) -> subprocess.Popen[bytes]:
    home = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))}
    for secret in ("DPRNET_API_KEY", "DPRNET_WEBHOOK_SECRET", "DPRNET_DATABASE"):
        environment.pop(secret, None)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        process_group=0,
    )
    assert process.stdin is not None, "its input is a pipe"
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
    return process
