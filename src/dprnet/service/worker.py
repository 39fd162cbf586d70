"""A worker process: takes a job, searches its video, leaves the result; ``python -m dprnet.service.worker``.

It is told the service's settings as one line on standard input, and ends when that pipe does.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from dprnet.core.errors import DprnetError
from dprnet.pipeline import VideoToShop
from dprnet.service.config import ServiceConfig
from dprnet.service.database import DatabaseGone
from dprnet.service.jobs import Jobs, Lease
from dprnet.service.kept import KeptGallery
from dprnet.service.live import Given, Live, watched
from dprnet.service.results import PICTURES, write_result

IDLE_S = 0.1  # ours: how soon a worker sees a new job; a look costs a tenth of a millisecond
GONE_S = 1.0  # ours: how soon a database that was away is asked again
TELL_S = 0.5  # ours: how often a running job is told of
VIDEO = "video"  # the upload, in the folder of its job
RESULT = "result-"  # and the lease under which it was found
LIVE = "live"  # pictures of the garments so far

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Worker:
    """Loads the networks once, then does one job after another."""

    def __init__(self, config: ServiceConfig) -> None:
        self.config = config
        self.jobs = Jobs(config.table)
        self.shop = VideoToShop.from_pretrained(config.bundle, device=config.device, limits=config.limits)
        self._detector = self.shop.detector
        self._gallery = KeptGallery(config, self.shop.embedder.identity)

    def run_one(self) -> bool:
        """Do the next job; False where there was none."""
        lease = self.jobs.claim(self.config.lease_s, self.config.attempts)
        if lease is None:
            return False
        folder = self.config.job_folder(lease.job.id)
        live = Live(self.shop.picking, folder / LIVE)
        with self._held(lease, live):
            try:
                self._search(lease, live)
            except Given:
                patiently(lambda: self.jobs.stop(lease))
            except DprnetError as error:
                reason, sentence = error.reason, _renamed(error, lease.job.name)
                patiently(lambda: self.jobs.fail(lease, reason, sentence))
            except Exception:
                if (
                    patiently(lambda: self.jobs.get(lease.job.id)) is not None
                ):  # deleted, its folder with it: no wonder that it failed
                    _log.exception("a job failed by a fault of ours")
                    fault = f"{lease.job.name}: a fault of dprnet; its log has the traceback, please report it"
                    patiently(lambda: self.jobs.fail(lease, "internal", fault))
        if patiently(lambda: self.jobs.get(lease.job.id)) is None:  # deleted meanwhile
            shutil.rmtree(folder, ignore_errors=True)
        return True

    def _search(self, lease: Lease, live: Live) -> None:
        job, folder = lease.job, self.config.job_folder(lease.job.id)
        request = job.request
        shop = copy.copy(self.shop)
        if request["gallery"]:
            shop = shop.in_gallery(self._gallery(request["gallery"]))
        shop.detector = watched(self._detector, live)
        report, pictures = shop.search_shown(
            folder / VIDEO,
            every=request["every"],
            items=request["items"],
            fallback=request["fallback"],
            clip=request.get("clip", False),
            progress=live,
        )
        result = f"{RESULT}{lease.word[:12]}"
        summary = write_result(report, pictures, folder / result, job.name, f"/v1/jobs/{job.id}/{PICTURES}")
        if live.given.is_set():
            raise Given
        if patiently(lambda: self.jobs.finish(lease, result, summary)):
            shutil.rmtree(folder / LIVE, ignore_errors=True)
            for left in folder.glob(f"{RESULT}*"):  # by a worker killed between writing its result and saying so
                if left.name != result:
                    shutil.rmtree(left, ignore_errors=True)
        else:
            shutil.rmtree(folder / result, ignore_errors=True)  # another worker's result counts

    @contextmanager
    def _held(self, lease: Lease, live: Live) -> Iterator[None]:
        """Hold on to the lease while the block runs, and tell of the job."""
        ended = threading.Event()
        until = time.monotonic() + self.config.max_job_s
        pause_s = min(TELL_S, self.config.lease_s / 4)

        def hold() -> None:
            while not ended.wait(pause_s):
                if time.monotonic() > until:
                    os._exit(70)  # it hangs where nothing can be raised; the lease ends, the supervisor starts another
                with contextlib.suppress(DatabaseGone):  # asked again soon; if another took the job, it says so then
                    if not self.jobs.hold(lease, self.config.lease_s, live.told()):
                        live.given.set()

        thread = threading.Thread(target=hold, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def patiently(ask: Callable[[], T]) -> T:
    """An answer of the table of jobs, however long the database is away: the work is done, and only to be told."""
    while True:
        try:
            return ask()
        except DatabaseGone:
            time.sleep(GONE_S)


def _renamed(error: DprnetError, name: str) -> str:
    """The sentence as the sender knows the video: our path is nobody's business."""
    known = type(error)(name, error.sentence.replace(error.thing, name), reason=error.reason)
    return str(known)


def _end_with(parent: Callable[[], bytes]) -> None:
    """End this process when the pipe from the service closes, however that came about."""
    with contextlib.suppress(OSError, ValueError):
        while parent():
            pass
    os._exit(0)


def main() -> None:
    """Work until the service is gone."""
    logging.basicConfig(level=logging.WARNING, format="worker: %(message)s", stream=sys.stderr)
    config = ServiceConfig.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with, args=(lambda: os.read(0, 1),), name="parent", daemon=True).start()
    if config.threads:
        import torch

        torch.set_num_threads(config.threads)
    worker = Worker(config)
    while True:
        try:
            idle_s = 0.0 if worker.run_one() else IDLE_S
        except DatabaseGone:
            idle_s = GONE_S
        time.sleep(idle_s)


if __name__ == "__main__":
    main()
