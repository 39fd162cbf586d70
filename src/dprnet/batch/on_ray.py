"""The same search on Ray Data: an actor a worker, each with a process of its own that may die.

Ray hands out videos and starts actors again whose machine was lost; limits, further tries and quarantine are those of
:mod:`dprnet.batch.pool`, and what is found goes through the same ledger, in the process that called. Only paths and
rows travel: a video's bytes are read where it is searched.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dprnet.batch.config import BatchConfig
from dprnet.batch.ledger import Ledger, Row
from dprnet.batch.pool import OneAtATime, Task
from dprnet.batch.videos import Video, brought_here, fetching_of, version_of
from dprnet.batch.worker import empty_row
from dprnet.core.addresses import is_address
from dprnet.core.errors import BadRecipe, DprnetError, MissingExtra, printable

log = logging.getLogger(__name__)

SPARE_CPUS = 0.5  # ours: for Ray's own work; where actors hold every core, reading gets none and nothing ever moves
LEAST_CPUS = 0.1  # ours: a worker that shares a core with more than nine others only costs memory
STARTS = 3  # ours
WAVE = 500  # ours: videos a worker before Ray is given a new list: it holds all of a list's entries at once


class RaySearch:
    """The networks in a process of this actor; called with one video at a time."""

    def __init__(self, config: BatchConfig, threads: int, known: NDArray[np.bytes_]) -> None:
        """Start nothing yet: the first video does.

        Args:
            known: sorted SHA-256 of the contents that have their result.
        """
        self._config, self._known = config, known
        self._folder = tempfile.TemporaryDirectory(prefix="dprnet-batch-")
        self._search = OneAtATime(config, threads)

    def __call__(self, entry: dict[str, Any]) -> dict[str, str]:
        """A row as JSON; an empty one where the content has its result; or why nothing can be searched at all."""
        video: Video = entry["video"] if is_address(entry["video"]) else Path(entry["video"])
        try:
            version = version_of(video)
            local = brought_here(video, Path(self._folder.name), fetching_of(self._config))
        except DprnetError as error:
            return _told(empty_row(video, f"path:{video}", "failed", error.reason, str(error)))
        task = Task(video, local, version)
        try:
            if _among(local.content, self._known):
                return {"row": "", "refused": ""}
            return _told(self._search(task) | {"version": version})
        except DprnetError as error:  # of the bundle or the gallery, as this machine sees them
            return {"row": "", "refused": str(error)}
        finally:
            task.forget()


class OnRay:
    """Rows of the videos that have no result yet."""

    def __init__(self, videos: Sequence[Video], ledger: Ledger, again: bool, config: BatchConfig) -> None:
        self._videos, self._ledger, self._again, self._config = videos, ledger, again, config
        self.already = 0

    def rows(self) -> Iterator[Row | None]:
        """A row a video, None for one that has its result.

        Raises:
            MissingExtra: Ray is not installed.
            BadRecipe: the cluster is too small or cannot be reached, or no worker can be started.
        """
        with _cluster(self._config) as ray:
            share = cpus_each(ray.cluster_resources().get("CPU", 0.0), self._config.workers)
            _room(ray, self._config, share)
            left = iter(self._videos)
            while wave := list(itertools.islice(left, WAVE * self._config.workers)):
                yield from self._wave(ray, wave, share)

    def _wave(self, ray: Any, videos: list[Video], share: float) -> Iterator[Row | None]:
        from ray.data import ActorPoolStrategy

        entries = []
        for video in videos:
            if self._known_object(video):
                self.already += 1
                yield None
            else:
                entries.append({"video": str(video) if isinstance(video, str) else str(video.resolve())})
        if not entries:
            return
        config = self._config
        done = [content for content in self._ledger.status if self._ledger.done(content, again=self._again)]
        constructor = {"config": config, "threads": max(1, math.floor(share)), "known": digests(done)}
        found = ray.data.from_items(entries, override_num_blocks=len(entries)).map(
            RaySearch,
            fn_constructor_kwargs=constructor,
            compute=ActorPoolStrategy(size=min(config.workers, len(entries))),
            num_cpus=share,
            num_gpus=config.gpus_each() or None,
        )
        given = set()
        for answer in found.iter_rows():
            if answer["refused"]:
                raise BadRecipe("batch", f"a worker on Ray cannot begin: {answer['refused']}")
            row = json.loads(answer["row"]) if answer["row"] else None
            if row is None or row["sha256"] in given or self._ledger.done(row["sha256"], again=self._again):
                self.already += 1  # two workers may search copies of one video at the same time
                yield None
            else:
                given.add(row["sha256"])
                yield row

    def _known_object(self, video: Video) -> bool:
        """Whether an object of a store is as it was when it got its result; only those seen before are asked for."""
        if str(video) not in self._seen:
            return False
        try:
            content = self._ledger.contents.get((str(video), version_of(video)), "")
        except DprnetError:
            return False  # its worker tells
        return self._ledger.done(content, again=self._again)

    @cached_property
    def _seen(self) -> set[str]:
        return {path for path, _ in self._ledger.contents}


def cpus_each(cpus: float, workers: int) -> float:
    """What each actor asks of Ray, a little less than a core where workers and cores are as many.

    Raises:
        BadRecipe: so many workers do not fit.

    >>> cpus_each(2.0, 2), cpus_each(64.0, 8), cpus_each(1.0, 1)
    (0.75, 1.0, 0.5)
    """
    share = math.floor(1000 * min(1.0, (cpus - SPARE_CPUS) / workers)) / 1000
    if share < LEAST_CPUS:
        most = math.floor((cpus - SPARE_CPUS) / LEAST_CPUS + 1e-9)
        way = f"give at most --workers {most}" if most >= 1 else "give a cluster with at least one core"
        raise BadRecipe("batch", f"{workers} workers on a Ray cluster of {cpus:g} cores; {way}")
    return share


def digests(contents: Sequence[str]) -> NDArray[np.bytes_]:
    """SHA-256 in hexadecimal as a sorted array of 32 bytes each: Ray shares it between the actors of a machine."""
    whole = [bytes.fromhex(content) for content in contents if len(content) == 64 and ":" not in content]
    return np.sort(np.array(whole, "S32"))


def _among(content: str, known: NDArray[np.bytes_]) -> bool:
    wanted = np.array([bytes.fromhex(content)], "S32")
    at = int(np.searchsorted(known, wanted)[0])
    return at < len(known) and bool(known[at] == wanted[0])


def _told(row: Row) -> dict[str, str]:
    return {"row": json.dumps(row), "refused": ""}


@contextmanager
def _cluster(config: BatchConfig) -> Iterator[Any]:
    """Ray: the one that is there, one at an address, or one on this machine for this run."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingExtra("batch", "--on ray needs Ray: pip install 'dprnet[ray]'") from None
    ours = not ray.is_initialized()
    if ours:
        _begin(ray, config.address)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _begin(ray: Any, address: str) -> None:
    """Connect to a cluster, or start one here; its programs have half a minute to start, too little on a busy machine.

    Raises:
        BadRecipe: neither can be done.
    """
    where = {"address": address} if address else {"address": "local", "include_dashboard": False}
    for attempt in range(1, STARTS + 1):
        try:
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises plain Exceptions too
            ray.shutdown()
            if address or attempt == STARTS:
                there = address or "this machine"
                raise BadRecipe("batch", f"no Ray on {there} ({printable(str(error), 160)})") from None
            log.warning("Ray did not start (%s); trying again", printable(str(error), 160))
        else:
            return


def _room(ray: Any, config: BatchConfig, share: float) -> None:
    """Ask the cluster for room for all workers, and give it back: a run that cannot start says so.

    Raises:
        BadRecipe: it has no such room, or not within ``start_s``.
    """
    there, gpus = ray.cluster_resources(), config.gpus_each()
    if gpus * config.workers > there.get("GPU", 0.0):
        sentence = f"{config.workers} workers want {gpus * config.workers:g} GPUs, the Ray cluster has "
        raise BadRecipe("batch", f"{sentence}{there.get('GPU', 0.0):g}; give fewer --workers, or less --gpus each")
    from ray.util import placement_group, remove_placement_group

    each = {"CPU": share} | ({"GPU": gpus} if gpus else {})
    group = placement_group([each] * config.workers)
    try:
        if not group.wait(config.start_s):
            free = ray.available_resources().get("CPU", 0.0)
            raise BadRecipe(
                "batch",
                f"no room for {config.workers} workers of {share:g} cores within {config.start_s:g} s: "
                f"{free:g} of {there.get('CPU', 0.0):g} cores are free, perhaps on no one machine; give fewer "
                "--workers, or wait for what else runs there",
            )
    finally:
        remove_placement_group(group)
