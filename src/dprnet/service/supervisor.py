"""Keeps the worker processes alive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from dprnet.service.config import ServiceConfig

LOOK_S = 0.5
QUICK_S = 10.0  # ours: a worker that dies sooner than this is started again with a pause
LONGEST_PAUSE_S = 30.0

_log = logging.getLogger(__name__)


class Supervisor:
    """Starts ``config.workers`` processes, and another for each that ends."""

    def __init__(self, config: ServiceConfig) -> None:
        self._config = config
        self._processes: list[subprocess.Popen[bytes]] = []
        self._started: list[float] = []
        self._pause = LOOK_S
        self._not_before = 0.0

    def start(self) -> None:
        """Start them all."""
        for _ in range(self._config.workers):
            self._processes.append(self._spawn())
            self._started.append(time.monotonic())

    @property
    def pids(self) -> list[int]:
        """Of those that run."""
        return [process.pid for process in self._processes if process.poll() is None]

    async def watch(self) -> None:
        """Replace what has ended, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            for place, process in enumerate(self._processes):
                if process.poll() is None or time.monotonic() < self._not_before:
                    continue
                quick = time.monotonic() - self._started[place] < QUICK_S
                self._pause = min(LONGEST_PAUSE_S, 2 * self._pause) if quick else LOOK_S
                self._not_before = time.monotonic() + (self._pause if quick else 0)
                _log.warning("a worker ended (exit code %s); starting another", process.returncode)
                _bury(process)
                self._processes[place], self._started[place] = self._spawn(), time.monotonic()

    def stop(self) -> None:
        """End them all, whatever they do: their jobs are taken up at the next start."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            _bury(process)
        self._processes.clear()

    def _spawn(self) -> subprocess.Popen[bytes]:
        home = str(Path(__file__).parents[2])
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))}
        for secret in ("DPRNET_API_KEY", "DPRNET_WEBHOOK_SECRET"):
            environment.pop(secret, None)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dprnet.service.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the service, which then ends it; nor does it take of its share
        )
        assert process.stdin is not None, "the worker's input is a pipe"
        with contextlib.suppress(BrokenPipeError):  # it died at once: the next look sees it
            process.stdin.write(self._config.for_worker().encode() + b"\n")
            process.stdin.flush()
        return process


def _bury(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    process.wait()
