"""Ray: reached or started, asked for room, and given entries that its actors answer, one a block."""

from __future__ import annotations

import itertools
import logging
import math
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from dprnet.batch.config import WorkerConfig
from dprnet.core.errors import BadRecipe, MissingExtra, printable

log = logging.getLogger(__name__)

SPARE_CPUS = 0.5  # ours: for Ray's own work; where actors hold every core, reading gets none and nothing ever moves
LEAST_CPUS = 0.1  # ours: a worker that shares a core with more than nine others only costs memory
STARTS = 3  # ours
KNOCK_S = 20.0  # ours: a machine far away has answered by then
WAY = "; see that it runs, and where it asks for a token set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
T = TypeVar("T")

WAVE = 500  # ours: entries a worker before Ray is given a new list: it holds all of a list's entries at once


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster with room for the workers of a run."""

    config: WorkerConfig
    share: float
    """Cores an actor asks for."""

    @property
    def threads(self) -> int:
        """Threads that a worker's networks may use."""
        return max(1, math.floor(self.share))

    def waves(self, items: Iterable[T]) -> Iterator[list[T]]:
        """As many as Ray is given at once."""
        left = iter(items)
        while wave := list(itertools.islice(left, WAVE * self.config.workers)):
            yield wave

    def answers(
        self, entries: Sequence[Mapping[str, Any]], actor: type[Any], arguments: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        """What actors answer to entries, as the answers come; a block is one entry, so that a kill costs little.

        Args:
            actor: made with ``arguments``, called with an entry; answers ``refused`` (why it cannot begin, or
                nothing) beside what it found.

        Raises:
            BadRecipe: a worker cannot begin.
        """
        import ray.data

        if not entries:
            return
        found = ray.data.from_items(list(entries), override_num_blocks=len(entries)).map(
            actor,
            fn_constructor_kwargs=dict(arguments),
            compute=ray.data.ActorPoolStrategy(size=min(self.config.workers, len(entries))),
            num_cpus=self.share,
            num_gpus=self.config.gpus_each() or None,
        )
        for answer in found.iter_rows():
            if answer["refused"]:
                raise BadRecipe(self.config.command, f"a worker on Ray cannot begin: {answer['refused']}")
            yield answer


@contextmanager
def cluster_of(config: WorkerConfig) -> Iterator[Cluster]:
    """Ray with room for all workers: the one that is there, one at an address, or one on this machine for this run.

    Raises:
        MissingExtra: Ray is not installed.
        BadRecipe: it cannot be reached or started, or has too little room.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingExtra(config.command, "--on ray needs Ray: pip install 'dprnet[ray]'") from None
    ours = not ray.is_initialized()
    if ours:
        _begin(ray, config)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        share = cpus_each(ray.cluster_resources().get("CPU", 0.0), config.workers, config.command)
        make_room(ray, config, share)
        yield Cluster(config, share)
    finally:
        if ours:
            ray.shutdown()


def cpus_each(cpus: float, workers: int, command: str = "batch") -> float:
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
        raise BadRecipe(command, f"{workers} workers on a Ray cluster of {cpus:g} cores; {way}")
    return share


def _begin(ray: Any, config: WorkerConfig) -> None:
    """Connect to a cluster, or start one here; its programs have half a minute to start, too little on a busy machine.

    Raises:
        BadRecipe: neither can be done.
    """
    address = config.address
    if address:
        _knock(address, config.command)
    where = {"address": address} if address else {"address": "local", "include_dashboard": False}
    for attempt in range(1, STARTS + 1):
        try:
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises plain Exceptions too
            ray.shutdown()
            if address or attempt == STARTS:
                there, way = (address, WAY) if address else ("this machine", "")
                raise BadRecipe(config.command, f"no Ray on {there} ({printable(str(error), 160)}){way}") from None
            log.warning("Ray did not start (%s); trying again", printable(str(error), 160))
        else:
            return


def _knock(address: str, command: str) -> None:
    """Refuse an address (``HOST:PORT``) where nobody listens at once: Ray itself would ask for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise BadRecipe(command, f"no Ray on {address} ({printable(str(error), 160)}){WAY}") from None


def make_room(ray: Any, config: WorkerConfig, share: float) -> None:
    """Ask the cluster for room for all workers, and give it back: a run that cannot start says so.

    Raises:
        BadRecipe: it has no such room, or not within ``start_s``.
    """
    there, gpus = ray.cluster_resources(), config.gpus_each()
    if gpus * config.workers > there.get("GPU", 0.0):
        sentence = f"{config.workers} workers want {gpus * config.workers:g} GPUs, the Ray cluster has "
        raise BadRecipe(
            config.command, f"{sentence}{there.get('GPU', 0.0):g}; give fewer --workers, or less --gpus each"
        )
    from ray.util import placement_group, remove_placement_group

    each = {"CPU": share} | ({"GPU": gpus} if gpus else {})
    group = placement_group([each] * config.workers)
    try:
        if not group.wait(config.start_s):
            free = ray.available_resources().get("CPU", 0.0)
            raise BadRecipe(
                config.command,
                f"no room for {config.workers} workers of {share:g} cores within {config.start_s:g} s: "
                f"{free:g} of {there.get('CPU', 0.0):g} cores are free, perhaps on no one machine; give fewer "
                "--workers, or wait for what else runs there",
            )
    finally:
        remove_placement_group(group)
