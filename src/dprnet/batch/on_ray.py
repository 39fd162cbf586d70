"""The same search on Ray Data: an actor a worker, each with a process of its own that may die.

Ray hands out videos and starts actors again whose machine was lost; limits, further tries and quarantine are those of
:mod:`dprnet.batch.pool`, and what is found goes through the same ledger, in the process that called. Only paths and
rows travel: a video's bytes are read where it is searched.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dprnet.batch.config import BatchConfig
from dprnet.batch.ledger import Ledger, Row
from dprnet.batch.pool import OneAtATime
from dprnet.batch.ray_cluster import Cluster, cluster_of
from dprnet.batch.videos import Video, VideoTask, brought_here, fetching_of, version_of
from dprnet.batch.worker import SearchJob, empty_row, quarantined
from dprnet.core.addresses import is_address
from dprnet.core.errors import DprnetError


class RaySearch:
    """The networks in a process of this actor; called with one video at a time."""

    def __init__(self, config: BatchConfig, threads: int, known: NDArray[np.bytes_]) -> None:
        """Start nothing yet: the first video does.

        Args:
            known: sorted SHA-256 of the contents that have their result.
        """
        self._config, self._known = config, known
        self._folder = tempfile.TemporaryDirectory(prefix="dprnet-batch-")
        self._search: OneAtATime[VideoTask] = OneAtATime(config, SearchJob(config), threads)

    def __call__(self, entry: dict[str, Any]) -> dict[str, str]:
        """A row as JSON; an empty one where the content has its result; or why nothing can be searched at all."""
        video: Video = entry["video"] if is_address(entry["video"]) else Path(entry["video"])
        try:
            version = version_of(video)
            local = brought_here(video, Path(self._folder.name), fetching_of(self._config))
        except DprnetError as error:
            return _told(empty_row(video, f"path:{video}", "failed", error.reason, str(error)))
        task = VideoTask(video, local, version)
        try:
            if _among(local.content, self._known):
                return {"row": "", "refused": ""}
            found, trouble = self._search(task)
            row = found | {"attempts": task.attempts} if found is not None else quarantined(task, trouble)
            return _told(row | {"version": version})
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
        with cluster_of(self._config) as cluster:
            for wave in cluster.waves(self._videos):
                yield from self._wave(cluster, wave)

    def _wave(self, cluster: Cluster, videos: list[Video]) -> Iterator[Row | None]:
        entries = []
        for video in videos:
            if self._known_object(video):
                self.already += 1
                yield None
            else:
                entries.append({"video": str(video) if isinstance(video, str) else str(video.resolve())})
        done = [content for content in self._ledger.status if self._ledger.done(content, again=self._again)]
        arguments = {"config": self._config, "threads": cluster.threads, "known": digests(done)}
        given = set()
        for answer in cluster.answers(entries, RaySearch, arguments):
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
