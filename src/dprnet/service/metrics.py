"""Figures for Prometheus: requests, jobs, searches; never a name or a path of anything that was sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
STATES = ("queued", "running", "done", "failed", "cancelled")


class Metrics:
    """The figures of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ["method", "route"]
        self._requests = Counter("dprnet_requests", "Answers given.", [*labels, "status"], registry=self._registry)
        self._seconds = Histogram(
            "dprnet_request_seconds", "Seconds to an answer's end.", labels, buckets=BUCKETS_S, registry=self._registry
        )
        self.searches = Histogram(
            "dprnet_image_search_seconds", "Seconds of an image search.", buckets=BUCKETS_S, registry=self._registry
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer; ``route`` is the route's pattern."""
        method = method if method in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def watch(self, jobs: Callable[[], dict[str, int]], workers: Callable[[], int]) -> None:
        """Ask for jobs by state and for living workers at every look."""
        self._registry.register(_Gauges(jobs, workers))

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)


class _Gauges:
    def __init__(self, jobs: Callable[[], dict[str, int]], workers: Callable[[], int]) -> None:
        self._jobs, self._workers = jobs, workers

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        counts = self._jobs()
        jobs = GaugeMetricFamily("dprnet_jobs", "Jobs that are kept, by state.", labels=["state"])
        for state in STATES:
            jobs.add_metric([state], counts.get(state, 0))
        yield jobs
        yield GaugeMetricFamily("dprnet_workers", "Worker processes that run.", value=self._workers())
