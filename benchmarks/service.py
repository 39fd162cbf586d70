"""The service under load: videos a minute and image searches a second, beside the bare pipeline in the same run.

    python benchmarks/service.py VIDEO IMAGE --gallery FOLDER [--videos 4] [--searches 50] [--clients 4] [--rounds 3]
                                 [--most 0.10] [--out FILE.csv]

The service runs as people start it, with one worker. Both ways search the same clip as often and write the same
report. Videos are told twice: as many as go through in a minute (all are sent at once, and wait for one another), and
how long one takes (sent when the one before is done), both beside the bare pipeline. Image searches go over HTTP from
one client, beside the bare ones one after another, and from several at once. Processor seconds count the service with
all its processes, its waiting included. Rounds are interleaved.

The last line says whether the service costs more than ``--most`` of the bare pipeline's rate, of videos and of image
searches; it ends with 1 where it does.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from _measure import Table, once, options

from dprnet.core.bundle import Bundle
from dprnet.core.images import cut_out, read_image
from dprnet.core.records import Frame
from dprnet.pipeline import VideoToShop
from dprnet.report import write_folder
from dprnet.service.searching import GARMENTS, SURE


class Service:
    """A service of its own, ended with the block."""

    def __init__(self, folder: Path, gallery: Path, bundle: str) -> None:
        command = [sys.executable, "-m", "dprnet", "serve", "--folder", str(folder), "--port", "0"]
        command += ["--gallery", f"shop={gallery}", "--bundle", bundle]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.base = self.process.stdout.readline().strip()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(60)

    def ask(self, path: str, body: bytes | None = None) -> dict:
        request = urllib.request.Request(self.base + path, body, {"content-type": "application/octet-stream"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.load(answer)

    def processor_s(self) -> float:
        every = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        return sum(sum(one.cpu_times()[:4]) for one in every)  # user, system, and of children that have ended

    def videos(self, clip: bytes, count: int) -> None:
        """All at once; they wait for one another."""
        for job in [self._send(clip) for _ in range(count)]:
            self._wait(job)

    def video(self, clip: bytes) -> float:
        """One; the seconds until it is done."""
        start = time.perf_counter()
        self._wait(self._send(clip))
        return time.perf_counter() - start

    def _send(self, clip: bytes) -> str:
        return self.ask("/v1/jobs?name=clip&gallery=shop", clip)["id"]

    def _wait(self, job: str) -> None:
        with urllib.request.urlopen(f"{self.base}/v1/jobs/{job}/events", timeout=600) as events:
            events.read()  # ends with the job
        assert self.ask(f"/v1/jobs/{job}")["state"] == "done", self.ask(f"/v1/jobs/{job}")


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """p50 and p99."""
    places = statistics.quantiles(seconds, n=100, method="inclusive")
    return places[49], places[98]


def main() -> None:
    parser = options(__doc__, rounds=3)
    parser.add_argument("video", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--gallery", type=Path, required=True)
    parser.add_argument("--bundle", default="tiny")
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--searches", type=int, default=50)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--most", type=float, default=0.10, help="share that the service may cost")
    given = parser.parse_args()
    table = Table("service", given.out)
    clip, image = given.video.read_bytes(), given.image.read_bytes()
    shop = VideoToShop.from_pretrained(Bundle.from_pretrained(given.bundle), gallery=given.gallery)
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "s", given.gallery, given.bundle) as service:

        def bare_video(number: int = 0) -> None:
            report, pictures = shop.search_shown(given.video)
            write_folder(report, pictures, Path(folder) / f"bare{number}", title="clip")

        def bare_search() -> None:
            photo = read_image(image, name="image").image
            found = next(iter(shop.detector([Frame(photo, 0, 0.0)])))
            sure = found[found.scores >= max(SURE, shop.picking.min_score)]
            boxes = sure.boxes_xyxy[(-sure.scores).argsort()[:GARMENTS]]
            shop.gallery.search(shop.embedder.views([cut_out(photo, box) for box in boxes] or [photo]), 5)

        def search(_: int) -> float:
            start = time.perf_counter()
            service.ask("/v1/search?gallery=shop&items=5", image)
            return time.perf_counter() - start

        bare_video()
        bare_search()
        service.videos(clip, 1)
        search(0)
        bare, queued, served, single, alone, many, spans = [], [], [], [], [], [], []
        with ThreadPoolExecutor(given.clients) as clients:
            for _ in range(given.rounds):
                bare += [once(lambda n=n: bare_video(n)) for n in range(given.videos)]
                before = service.processor_s()
                _, wall = once(lambda: service.videos(clip, given.videos))
                queued.append((service.processor_s() - before, wall))
                served += [service.video(clip) for _ in range(given.videos)]
                single += [once(bare_search)[1] for _ in range(given.searches)]
                alone += [search(0) for _ in range(given.searches)]
                start = time.perf_counter()
                many += list(clients.map(search, range(given.searches)))
                spans.append(time.perf_counter() - start)
    costs = videos(table, given.videos, bare, queued, served)
    costs |= searches(table, given.clients, single, alone, many, given.searches / statistics.median(spans))
    told = ", ".join(f"{name} {cost:+.1%}" for name, cost in costs.items())
    dear = max(costs.values()) > given.most
    print(f"the service costs, of the bare rate: {told}; {'MORE' if dear else 'not more'} than {given.most:.0%}")
    if dear:
        raise SystemExit(1)


def videos(table: Table, count: int, bare: list, queued: list, served: list[float]) -> dict[str, float]:
    """Rows of videos, and the share of the rate that the service costs."""
    wall = statistics.median(seconds for _, seconds in bare)
    cpu = statistics.median(seconds for seconds, _ in bare)
    wall_queued = statistics.median(seconds for _, seconds in queued) / count
    cpu_queued = statistics.median(seconds for seconds, _ in queued) / count
    table.row("videos, bare", 60 / wall, "videos a minute", share=cpu / wall)
    share = cpu_queued / wall_queued
    table.row("videos, service", 60 / wall_queued, "videos a minute", "bare", wall / wall_queued, share)
    table.row("videos, service, processor", cpu_queued, "processor s a video", "bare", cpu_queued / cpu)
    ours, theirs = percentiles(served), percentiles([seconds for _, seconds in bare])
    for name, mine, other in zip(("p50", "p99"), ours, theirs, strict=True):
        table.row(f"one video, bare, {name}", other, "s")
        table.row(f"one video, service, {name}", mine, "s", "bare", mine / other)
    return {"videos": 1 - wall / wall_queued}


def searches(
    table: Table, clients: int, single: list[float], alone: list[float], many: list[float], rate: float
) -> dict[str, float]:
    """Rows of image searches, and the share of the rate that the service costs."""
    mean = statistics.mean(single)
    table.row("image search, bare", 1 / mean, "searches a second")
    one = statistics.mean(alone)
    table.row("image search, service, 1 client", 1 / one, "searches a second", "bare", mean / one)
    table.row(f"image search, service, {clients} clients", rate, "searches a second", "bare", rate * mean)
    theirs = percentiles(single)
    for name, place in (("p50", 0), ("p99", 1)):
        table.row(f"image search, bare, {name}", theirs[place], "s")
        for who, spent in (("1 client", alone), (f"{clients} clients", many)):
            mine = percentiles(spent)[place]
            table.row(f"image search, service, {name}", mine, f"s, {who}", "bare", mine / theirs[place])
    return {"image searches": 1 - rate * mean}


if __name__ == "__main__":
    main()
