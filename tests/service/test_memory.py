"""Memory does not grow with the requests, nor with the videos of a worker (row R1 of the promises)."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from .conftest import Running, process
from .test_killing import address_of, workers_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def test_after_500_requests_it_takes_what_it_took_after_100(tmp_path: Path, random_bundle: Path, indexed: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (320, 240, 3), dtype=np.uint8)).save(out, "JPEG")
    options = ["--gallery", f"shop={indexed}", "--workers", "0"]
    with process(tmp_path / "data", random_bundle, *options) as child:
        service = Running(address_of(child), tmp_path / "data")

        def some(count: int) -> int:
            for number in range(count):
                path = ("/v1/galleries/shop/items", "/", "/catalogue/shop", "/v1/jobs")[number % 4]
                answer = (
                    service.ask("POST", "/v1/search?gallery=shop", out.getvalue())
                    if number % 2
                    else service.ask("GET", path)
                )
                assert answer.status == 200
            return psutil.Process(child.pid).memory_info().rss

        before, after = some(100), some(400)
    assert after < 1.05 * before, f"{before >> 20} MB after 100 requests, {after >> 20} MB after 500"


DRAWN = 3
SETTLED = 12  # ours: it grows by ever less: 1,216 MB after 3, 1,290 after 12, 1,305 after 30, 1,314 after 45
CLIPS = 30
MORE = 0.03  # R1 allows 0.05; so little more is noticed from 2.2 MB a clip on


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc, which tells a process's peak")
def test_the_peak_of_a_worker_settles(tmp_path: Path) -> None:
    """The shipped bundle, three clips of dressed people, each ten times, every garment matched in a gallery."""
    from dprnet.data.world.make import WorldSettings, make_world
    from dprnet.demo import SAMPLES
    from dprnet.pipeline import index_catalogue

    settings = WorldSettings.model_validate(SAMPLES | {"videos": DRAWN, "seconds": 3.0, "items": 20})
    samples = make_world(tmp_path / "samples", settings, processes=2)
    gallery = index_catalogue(samples.catalogue_path, tmp_path / "shop").folder
    peaks, garments = [], 0
    with process(tmp_path / "data", Path("tiny"), "--gallery", f"shop={gallery}", "--threads", "1") as child:
        service = Running(address_of(child), tmp_path / "data")
        for number in range(CLIPS):
            clip = samples.video_path(samples.videos[number % DRAWN])
            job = service.wait(service.send(clip, "every=0.25s&fallback=best")["id"])
            assert job["state"] == "done", job["error"]
            garments += job["summary"]["garments"]
            (worker,) = workers_of(child.pid)
            peaks.append((worker.pid, peak_mb(worker.pid)))
    assert len(peaks) == CLIPS
    assert garments >= CLIPS, "something was found"
    assert len({pid for pid, _ in peaks}) == 1, "one process searched all"
    settled, last = peaks[SETTLED - 1][1], peaks[-1][1]
    print(f"peaks in MB: {[peak for _, peak in peaks]}")
    assert last <= (1 + MORE) * settled, f"{settled} MB after {SETTLED} clips, {last} MB after {CLIPS}"


def peak_mb(pid: int) -> int:
    """The most memory that a process ever held."""
    (line,) = (one for one in Path(f"/proc/{pid}/status").read_text("ascii").splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) >> 10
