"""A cluster that works through videos: arrivals, stragglers, failures and poison, an event at a time.

What a video costs is drawn from the measured ones; how often machines fail and how slow some are is an assumption, and
a setting. The rules are those of :mod:`dprnet.batch`: a lost worker's video is tried again, then put into quarantine.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from dprnet.core.config import Settings

FREE, ARRIVED = 0, 1


class ClusterConfig(Settings):
    """What the cluster is like; assumptions, all of them."""

    workers: int = Field(ge=1)
    videos: int = Field(ge=1)
    arrive_s: float = Field(default=0.0, ge=0)
    """Videos come evenly at random over so many seconds; 0: all are there at the start."""
    fails_after_s: float = Field(default=7 * 86_400.0, gt=0)  # ours: a worker is lost once a week
    repair_s: float = Field(default=600.0, ge=0)  # ours: until it is replaced
    slow_share: float = Field(default=0.02, ge=0, le=1)  # ours: of the workers
    slow_times: float = Field(default=4.0, ge=1)  # ours
    poison: float = Field(default=1e-5, ge=0, le=1)  # ours: share of videos that kill whoever takes them
    attempts: int = Field(default=2, ge=1)  # as dprnet batch
    start_s: float = Field(default=0.0, ge=0)
    """Until a new worker has its networks."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Simulated:
    """What became of a run."""

    seconds: float
    """From the start until the last video is done."""
    busy: float
    """Share of all workers' time that went into videos that were then done."""
    redone: int
    """Videos that were begun again because their worker was lost."""
    quarantined: int
    done: int
    wait_s: tuple[float, float]
    """Median and 99th percentile of the time from arrival to the end."""
    floor_s: float
    """Seconds if no worker failed, none was slow, and all were always busy."""


def simulate(costs: Sequence[float], config: ClusterConfig) -> Simulated:
    """Run the cluster until every video is done or in quarantine.

    Args:
        costs: seconds that a worker takes for a video; each is drawn as often as the others.
    """
    rng = np.random.default_rng(config.seed)
    cost = rng.choice(np.asarray(costs, np.float64), config.videos)
    poison = rng.random(config.videos) < config.poison
    arrival = np.sort(rng.uniform(0, config.arrive_s, config.videos)) if config.arrive_s else np.zeros(config.videos)
    slow = np.where(rng.random(config.workers) < config.slow_share, config.slow_times, 1.0)
    lives: Iterator[float] = iter(())
    waiting: deque[int] = deque()
    events = [(0.0, FREE, worker) for worker in range(config.workers)]
    events += [(float(time), ARRIVED, number) for number, time in enumerate(arrival)]
    heapq.heapify(events)
    idle: list[int] = []
    tried = np.zeros(config.videos, np.int64)
    ended = np.full(config.videos, np.nan)
    redone = quarantined = 0
    useful = last = 0.0
    while events:
        now, kind, number = heapq.heappop(events)
        if kind == ARRIVED:
            waiting.append(number)
        else:
            idle.append(number)
        while waiting and idle:
            video, worker = waiting.popleft(), idle.pop()
            tried[video] += 1
            needed = cost[video] * slow[worker]
            life = next(lives, None)
            if life is None:
                lives = iter(rng.exponential(config.fails_after_s, 10_000).tolist())
                life = next(lives)
            lost = min(life, needed) if poison[video] else life
            if lost < needed or poison[video]:
                over = now + lost
                heapq.heappush(events, (over + config.repair_s + config.start_s, FREE, worker))
                if tried[video] < config.attempts:
                    redone += 1
                    heapq.heappush(events, (over, ARRIVED, video))
                else:
                    quarantined += 1
                    last = max(last, over)
            else:
                over = now + needed
                ended[video] = over
                useful += cost[video]
                last = max(last, over)
                heapq.heappush(events, (over, FREE, worker))
    known = (ended - arrival)[~np.isnan(ended)]
    wait = (float(np.median(known)), float(np.quantile(known, 0.99))) if len(known) else (float("nan"), float("nan"))
    floor = float(cost.sum()) / config.workers
    return Simulated(
        last, useful / (last * config.workers) if last else 0.0, redone, quarantined, len(known), wait, floor
    )


def headroom(costs: Sequence[float], config: ClusterConfig, within_s: float) -> float:
    """The fewest workers that finish within a time, over those that the arithmetic wants; infinite if three times as
    many do not.

    The number of workers in ``config`` is not looked at.
    """
    mean = float(np.mean(np.asarray(costs, np.float64)))
    wanted = config.videos * mean / within_s

    def enough(workers: int) -> bool:
        return simulate(costs, config.model_copy(update={"workers": workers})).seconds <= within_s

    low, high = max(1, math.ceil(wanted)) - 1, max(1, math.ceil(3 * wanted))
    if not enough(high):
        return float("inf")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high / wanted
