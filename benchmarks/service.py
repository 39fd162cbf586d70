"""The service under load: videos a minute and image searches a second, beside the bare pipeline in the same run.

    python benchmarks/service.py VIDEO IMAGE --gallery FOLDER [--videos 4] [--searches 50] [--clients 4] [--rounds 3]
                                 [--out FILE.csv]

The service runs as people start it, with one worker. Both ways search the same clip as often and write the same
report; image searches go over HTTP from several clients at once, and bare one after another. Processor seconds count
the service with all its processes, its waiting included.
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
        jobs = [self.ask("/v1/jobs?name=clip&gallery=shop", clip)["id"] for _ in range(count)]
        for job in jobs:
            while (state := self.ask(f"/v1/jobs/{job}")["state"]) not in {"done", "failed"}:
                time.sleep(0.25)
            assert state == "done", self.ask(f"/v1/jobs/{job}")


def main() -> None:
    parser = options(__doc__, rounds=3)
    parser.add_argument("video", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--gallery", type=Path, required=True)
    parser.add_argument("--bundle", default="tiny")
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--searches", type=int, default=50)
    parser.add_argument("--clients", type=int, default=4)
    given = parser.parse_args()
    table = Table("service", given.out)
    clip, image = given.video.read_bytes(), given.image.read_bytes()
    shop = VideoToShop.from_pretrained(Bundle.from_pretrained(given.bundle), gallery=given.gallery)
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "s", given.gallery, given.bundle) as service:

        def bare_videos() -> None:
            for number in range(given.videos):
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

        shop.search(given.video)
        bare_search()
        service.videos(clip, 1)
        search(0)
        bare, served, single, answers, spans = [], [], [], [], []
        with ThreadPoolExecutor(given.clients) as clients:
            for _ in range(given.rounds):
                bare.append(once(bare_videos))
                before = service.processor_s()
                _, wall = once(lambda: service.videos(clip, given.videos))
                served.append((service.processor_s() - before, wall))
                single += [once(bare_search)[1] for _ in range(given.searches)]
                start = time.perf_counter()
                answers += list(clients.map(search, range(given.searches)))
                spans.append(time.perf_counter() - start)
    cpu, wall = (statistics.median(values) for values in zip(*bare, strict=True))
    cpu_served, wall_served = (statistics.median(values) for values in zip(*served, strict=True))
    minute = 60 * given.videos
    table.row("videos, bare", minute / wall, "videos a minute", share=cpu / wall)
    table.row(
        "videos, service", minute / wall_served, "videos a minute", "bare", wall / wall_served, cpu_served / wall_served
    )
    table.row("videos, service, processor", cpu_served / given.videos, "processor s a video", "bare", cpu_served / cpu)
    mean = statistics.mean(single)
    table.row("image search, bare", 1 / mean, "searches a second")
    rate = given.searches / statistics.median(spans)
    table.row("image search, service", rate, "searches a second", "bare", rate * mean)
    places = statistics.quantiles(answers, n=100, method="inclusive")
    for name, place in (("p50", 49), ("p99", 98)):
        table.row(
            f"image search, service, {name}", places[place], f"s, {given.clients} clients", "bare", places[place] / mean
        )


if __name__ == "__main__":
    main()
