"""What every test may use: the real data, if it is at hand."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is, and no test is about that.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


def _data_root() -> Path | None:
    value = os.environ.get("DPRNET_DATA")
    return Path(value) if value and Path(value).is_dir() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if _data_root() is None:
        skip = pytest.mark.skip(reason="needs the real data: set DPRNET_DATA to its folder")
        for item in items:
            if item.get_closest_marker("data"):
                item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Graphs that tests make are kept apart from those of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPRNET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _ordinary_priority() -> Iterator[None]:
    """No test may leave the process at another priority: real-time threads that wait for ordinary ones hang the run."""
    before = os.sched_getscheduler(0)
    yield
    assert os.sched_getscheduler(0) == before


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data; use it with the marker ``data``."""
    root = _data_root()
    assert root is not None, "mark this test with @pytest.mark.data"
    return root


@pytest.fixture(scope="session")
def random_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle with small networks of random weights: everything runs, nothing is right."""
    import torch

    from dprnet.core.bundle import save_pretrained
    from dprnet.detect.boxhead import BoxStageConfig
    from dprnet.detect.detector import export_parts
    from dprnet.detect.model import DetectorConfig, DetectorNetwork, ProposalConfig
    from dprnet.embed.embedder import export_weights
    from dprnet.embed.model import EmbedderConfig, EmbedderNetwork

    with torch.random.fork_rng():
        torch.manual_seed(0)
        detector = DetectorConfig(
            backbone="mobilenet_v2",
            channels=16,
            short_side=96,
            long_side=256,
            levels=(4, 5),
            proposals=ProposalConfig(sizes=((32,), (64,), (128,)), kept=20, before=40),
            boxes=BoxStageConfig(detections=4, score_threshold=0.0),
            box_features=32,
            scoring_filters=8,
            instance_hidden=16,
            embedding=8,
        )
        detector_settings, detector_weights = export_parts(detector, DetectorNetwork(detector).state_dict())
        embedder = EmbedderNetwork(EmbedderConfig(size=16, image_size=32))
    folder = tmp_path_factory.mktemp("bundle") / "random"
    save_pretrained(
        folder,
        "random",
        {
            "detector": detector_settings,
            "embedder": embedder.config.model_dump(mode="json"),
            "picking": {"viewpoint": 0.0, "occlusion": 0.0, "crop": 0.0, "cut_distance": 0.2},
        },
        {"detector": detector_weights, "embedder": export_weights(embedder)},
    )
    return folder


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """``s3://BUCKET`` of a real S3 API on this machine, a process of its own; the environment names it."""
    import socket
    import subprocess
    import sys
    import time

    for name in ("s3fs", "moto", "flask"):
        pytest.importorskip(name, reason="needs an S3 API: pip install s3fs 'moto[s3,server]'")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
    with (
        pytest.MonkeyPatch.context() as patch,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server,
    ):
        keys = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}
        for name, value in (keys | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}).items():
            patch.setenv(name, value)
        try:
            until = time.monotonic() + 120
            while True:
                try:
                    socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()
                    break
                except OSError:
                    assert time.monotonic() < until, "the S3 API did not start"
                    time.sleep(0.2)
            import fsspec

            fsspec.filesystem("s3").mkdir("shop")
            yield "s3://shop"
        finally:
            server.kill()


@pytest.fixture(scope="session")
def moving_square(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 3 s, 160x120 at 10 frames a second: a red square that walks over a blue field."""
    import av
    import numpy as np

    path = tmp_path_factory.mktemp("video") / "square.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10, options={"preset": "ultrafast", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(30):
            image = np.full((120, 160, 3), (30, 60, 160), np.uint8)
            image[30:90, 4 * number : 4 * number + 40] = (200, 30, 30)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven and a half hours in thirty frames, 160x120."""
    import av
    import numpy as np

    path = tmp_path_factory.mktemp("video") / "long.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=1, options={"x264-params": "keyint=5:bframes=0"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 8 * number, np.uint8), format="rgb24")
            frame.pts = number * 900
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def small_catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of six items in plain colours, one of them with two photos, as a CSV table."""
    import numpy as np
    from PIL import Image

    folder = tmp_path_factory.mktemp("catalogue")
    rows = ["item_id,image,category,title,url,price"]
    colours = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 180), "sand": (210, 190, 150)}
    for number, (name, colour) in enumerate([*colours.items(), ("ink", (20, 20, 40)), ("snow", (245, 245, 245))]):
        photos = (f"{name}.png", f"{name}_back.png") if name == "red" else (f"{name}.png",)
        for photo in photos:
            noise = np.random.default_rng(number).integers(0, 10, (64, 48, 3), dtype=np.uint8)
            Image.fromarray(np.minimum(245, np.array(colour, np.uint8)) + noise).save(folder / photo)
            rows.append(f"{name},{photo},top,The {name} top,https://shop.example/{name},{10 + number}.00")
    (folder / "catalogue.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "catalogue.csv"


@pytest.fixture(scope="session")
def deepfashion2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set in the form of DeepFashion2, without faults.

    Pair p (1 to 4): a photo of a user and one of a shop, each with a plain rectangle of the pair's colour, which is one
    garment (style 1); the user's photo also shows trousers of style 0. The splits hold the same.
    """
    import json

    import numpy as np
    from PIL import Image

    from dprnet.data.deepfashion2_files import CATEGORIES, LANDMARKS

    def item(category: int, style: int, box: list[int], **columns: object) -> dict[str, object]:
        marks = [box[0], box[1], 2] * LANDMARKS[category - 1]
        values = {"category_name": CATEGORIES[category - 1], "category_id": category, "style": style}
        labels = {"scale": 2, "occlusion": 1, "zoom_in": 1, "viewpoint": 2, "segmentation": []}
        return {**values, **labels, "bounding_box": box, "landmarks": marks, **columns}

    root = tmp_path_factory.mktemp("deepfashion2")
    for split in ("train", "validation"):
        for part in ("image", "annos"):
            (root / split / part).mkdir(parents=True)
        for number in range(8):
            pair, shop = number % 4 + 1, number >= 4
            stem = f"{number + 1:06d}"
            image = np.full((96, 64, 3), 128, np.uint8)
            image[10:50, 8:56] = (60 * pair, 250 - 60 * pair, 30 * pair)
            marks = [8, 10, 2] * LANDMARKS[pair - 1]
            cut = {"landmarks": [*marks[:-3], 0, 0, 0], "zoom_in": 3} if shop and pair == 1 else {}
            items = {"item1": item(pair, 1, [8, 10, 56, 50], viewpoint=1 if shop else 2, **cut)}
            if not shop:
                image[50:90, 16:48] = (20, 20, 60)
                items["item2"] = item(8, 0, [16, 50, 48, 90], occlusion=3, viewpoint=3)
            Image.fromarray(image).save(root / split / "image" / f"{stem}.jpg", quality=95)
            values = {"source": "shop" if shop else "user", "pair_id": pair, **items}
            (root / split / "annos" / f"{stem}.json").write_text(json.dumps(values))
    return root


@pytest.fixture(scope="session")
def web_server() -> Callable[..., contextlib.AbstractContextManager[str]]:
    """Serves a class of request handlers on 127.0.0.1 while a ``with`` statement lasts, which gets the address."""

    @contextlib.contextmanager
    def running(handler: type[http.server.BaseHTTPRequestHandler], **settings: str) -> Iterator[str]:
        quiet = type("Quiet", (handler,), {"log_message": lambda self, *words: None})  # nothing on stderr
        made = functools.partial(quiet, **settings)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), made) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()

    return running


@pytest.fixture
def on_a_full_disk(tmp_path: Path) -> Callable[[str], None]:
    """Runs a program on a file system of 4 MB of its own, its argument and its folder for temporary files; the program
    ends by printing ``held``."""

    def run(program: str) -> None:
        small = tmp_path / "small"
        small.mkdir()
        mount = f"mount -t tmpfs -o size=4m none {small}"
        if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount a file system")
        command = f'{mount} && exec env TMPDIR={small} "{sys.executable}" -c "$0" {small}'
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", command, program], capture_output=True, text=True, check=False
        )
        assert done.stdout.splitlines()[-1:] == ["held"], done.stderr[-2000:]

    return run
