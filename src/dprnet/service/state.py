"""What the routes share."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import logging
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from dprnet.core.bundle import Bundle
from dprnet.core.errors import BadRecipe
from dprnet.decode.container import check_file
from dprnet.gallery import check_searches
from dprnet.service.config import ServiceConfig
from dprnet.service.database import DatabaseGone
from dprnet.service.jobs import Jobs
from dprnet.service.metrics import Metrics
from dprnet.service.preview import Previews
from dprnet.service.searching import Searcher
from dprnet.service.shelves import Shelves
from dprnet.service.sources import Sources
from dprnet.service.supervisor import Supervisor
from dprnet.service.webhooks import Webhooks

SWEEP_S = 30.0
MAX_SAMPLES = 24
UPLOAD_S = 3600.0  # ours: a gigabyte at a quarter of a megabyte a second

_log = logging.getLogger(__name__)


class Service:
    """One service on its folder: the table, the galleries, the networks for images, the workers.

    Args:
        own_process: nothing else runs in this process, so what is loaded now stays for as long as it lives.
    """

    def __init__(self, config: ServiceConfig, *, own_process: bool = False) -> None:
        config.refuse_open_door()
        for name in (name for name, kind in config.kinds.items() if kind == "store"):
            check_searches(config.galleries[name])
        self.config, self._own_process = config, own_process
        config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = None if config.database else _alone(config.folder)
        self.metrics = Metrics()
        bundle = Bundle.from_pretrained(config.bundle)
        self.searcher = Searcher(config, bundle)
        embedder = self.searcher.embedder
        self.shelves = Shelves(config, embedder.identity, embedder.size)
        self.jobs = Jobs(config.table)
        self.workers = Supervisor(config)
        self.sources = Sources(config)
        self.previews = Previews(config.limits)
        self.metrics.watch(self.jobs.counts, lambda: len(self.workers.pids))
        self.uploads = self.streams = 0
        self.samples = _samples(config)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Workers and sweeping, for as long as the block runs."""
        if not self.jobs.database.shared:  # otherwise the lease of a dead service ends by itself
            self.jobs.release_all()
        self._sweep(orphans=True)
        self.workers.start()
        work = (self.workers.watch(), self._sweeping(), run_in_threadpool(self._warm))
        tasks = [asyncio.create_task(one) for one in work]
        if self.config.webhook_secret is not None:
            tasks.append(asyncio.create_task(Webhooks(self.config, self.jobs).run()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.previews.close()
            self.workers.stop()
            self.sources.close()
            self.searcher.close()
            self.shelves.close()
            self.jobs.close()
            if self._lock is not None:
                self._lock.close()

    def _warm(self) -> None:
        """Open the galleries before the first one asks for them, and keep what is loaded out of garbage collections."""
        with contextlib.suppress(Exception):  # whoever asks is told
            self.shelves.all()
        if self._own_process:
            gc.freeze()  # to go through it all again takes a quarter of a second, in which nobody is answered

    def forget(self, job_id: str) -> bool:
        """Delete a job with all its media; True where there was one."""
        known = self.jobs.delete(job_id)
        if known:
            shutil.rmtree(self.config.job_folder(job_id), ignore_errors=True)
        return known

    async def _sweeping(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            with contextlib.suppress(DatabaseGone):  # the next time, then
                await asyncio.to_thread(self._sweep)

    def _sweep(self, *, orphans: bool = False) -> None:
        """Delete what has expired; at the start also what no job knows (an upload that was cut off)."""
        gone = set(self.jobs.expire())
        if orphans:
            gone.update(path.name for path in self._folders() if self.jobs.get(path.name) is None and self._idle(path))
        for job_id in gone:
            shutil.rmtree(self.config.job_folder(job_id), ignore_errors=True)
        if gone:
            _log.info("deleted %d jobs with their media", len(gone))

    def _idle(self, folder: Path) -> bool:
        """Whether nothing comes into a folder any more: another service may be taking in a video."""
        return not self.jobs.database.shared or time.time() - folder.stat().st_mtime > UPLOAD_S

    def _folders(self) -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError):
            yield from (self.config.folder / "jobs").iterdir()


def service_of(request: Request) -> Service:
    """The service that a request is for."""
    service: Service = request.app.state.service
    return service


Serving = Annotated[Service, Depends(service_of)]


def _alone(folder: Path) -> IO[str]:
    """The right to be the only service on a folder; ends with this process, however it ends."""
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise BadRecipe(folder, "another service runs on this folder; stop it, or give --folder another one") from None
    return file


def _samples(config: ServiceConfig) -> dict[str, Path]:
    """Videos that the page offers, by name."""
    if config.samples is None:
        return {}
    if not config.samples.is_dir():
        raise BadRecipe(config.samples, "no folder of sample videos is here")
    found = {}
    for path in sorted(config.samples.iterdir()):
        with contextlib.suppress(Exception):
            check_file(path, config.limits)
            found[path.name] = path
    return dict(list(found.items())[:MAX_SAMPLES])
