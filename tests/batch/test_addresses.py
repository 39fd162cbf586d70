"""Videos and results that lie elsewhere, against real servers."""

from __future__ import annotations

import http.server
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dprnet.batch import BatchConfig, find_videos, read_results, run_batch
from dprnet.batch import mirror as mirroring
from dprnet.batch.ahead import Ahead
from dprnet.batch.ledger import row_schema
from dprnet.batch.mirror import Mirror
from dprnet.cli import run
from dprnet.core.errors import BadReport, MissingFile
from dprnet.core.fetching import FetchLimits


@pytest.fixture
def videos(moving_square: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number, name in enumerate(("a.mp4", "b.mp4", "c.mp4")):
        (folder / name).write_bytes(moving_square.read_bytes() + bytes(number))
    (folder / "list.txt").write_text("a.mp4\nb.mp4\n", "utf-8")
    return folder


@pytest.fixture
def site(web_server: Callable[..., AbstractContextManager[str]], videos: Path) -> Iterator[str]:
    """The videos on a web server."""
    with web_server(http.server.SimpleHTTPRequestHandler, directory=str(videos)) as address:
        yield address


@pytest.fixture
def config(random_bundle: Path) -> BatchConfig:
    return BatchConfig(bundle=str(random_bundle), every="1s", workers=0, block=2, private=True)


def statuses(out: Path) -> dict[str, str]:
    return {row["path"].rpartition("/")[2]: row["status"] for row in read_results(out).to_pylist()}


def test_videos_on_a_web_server(site: str, videos: Path, config: BatchConfig, tmp_path: Path) -> None:
    found = find_videos([f"{site}/list.txt", f"{site}/gone.mp4"], FetchLimits(private=True))
    assert found == [f"{site}/a.mp4", f"{site}/b.mp4", f"{site}/gone.mp4"]
    out = tmp_path / "out"
    done = run_batch([*found, videos / "a.mp4"], out, config)
    assert (done.searched, done.already) == (3, 1)  # what lies here is the content of a
    assert done.bad == ((f"{site}/gone.mp4", "missing_file"),)
    assert statuses(out) == {"a.mp4": "complete", "b.mp4": "complete", "gone.mp4": "failed"}
    assert list((out / "fetched").iterdir()) == []


@pytest.mark.parametrize(
    ("limits", "reason"), [({"private": False}, "refused"), ({"video_bytes": 1000}, "limit:bytes")]
)
def test_a_video_that_may_not_be_fetched(
    limits: dict[str, Any], reason: str, site: str, config: BatchConfig, tmp_path: Path
) -> None:
    done = run_batch([f"{site}/a.mp4"], tmp_path / "out", config.model_copy(update=limits))
    assert done.bad == ((f"{site}/a.mp4", reason),)
    assert not list((tmp_path / "out" / "fetched").glob("*"))


def test_blocks_of_before_versions_were_kept(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    old = row_schema().empty_table().drop_columns(["version"])
    pq.write_table(old, tmp_path / "results" / "part-000001.parquet")
    assert read_results(tmp_path).column_names == row_schema().names


def test_ahead_gives_everything_then_the_error() -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise MissingFile("list", "is gone")

    found: list[int] = []

    def everything() -> None:
        with Ahead.of(source(), 2) as ahead:
            while not ahead.over:
                found.extend(ahead.take())

    with pytest.raises(MissingFile, match="is gone"):
        everything()
    assert found == [0, 1, 2, 3, 4]


def test_ahead_stops_when_nobody_wants_more() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    with Ahead.of(source(), 3) as ahead:
        while not list(ahead.take()):
            pass
    assert len(taken) < 20
    assert not ahead._thread.is_alive()


class Flaky:
    """A store in memory whose every call fails a number of times before it works."""

    def __init__(self, fails: int) -> None:
        from fsspec.implementations.memory import MemoryFileSystem

        self.inner, self.fails, self.left = MemoryFileSystem(), fails, fails

    def __getattr__(self, name: str) -> Any:
        def call(*words: Any, **more: Any) -> Any:
            if self.left:
                self.left -= 1
                raise OSError("503 slow down")
            self.left = self.fails
            return getattr(self.inner, name)(*words, **more)

        return call


@pytest.mark.parametrize("fails", [0, 3, 4])
def test_a_store_that_fails_now_and_then(fails: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirroring, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(mirroring, "object_store", lambda address: Flaky(fails))
    (tmp_path / "results").mkdir()
    pq.write_table(pa.table({"x": [1]}), tmp_path / "results" / "part-000001.parquet")
    mirror = Mirror(tmp_path, f"memory://flaky{fails}/out")
    if fails == mirroring.ATTEMPTS:
        with pytest.raises(MissingFile, match="what was found is kept in"):
            mirror.push()
        return
    mirror.push()
    there = Flaky(0).inner.find(f"flaky{fails}/out")
    assert there == [f"/flaky{fails}/out/results/part-000001.parquet"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_everything_in_an_object_store(bucket: str, videos: Path, config: BatchConfig, tmp_path: Path, capsys) -> None:
    import fsspec

    store = fsspec.filesystem("s3")
    store.put(str(videos) + "/", f"{bucket}/in/", recursive=True)
    first = ["batch", f"{bucket}/in/", "--out", f"{bucket}/out", "--bundle", config.bundle, "--every", "1s"]
    first += ["--workers", "1", "--block", "2"]
    assert run([*first, "--work", str(tmp_path / "one")]) == 0
    assert "3 videos searched" in capsys.readouterr().out
    names = {name.removeprefix("shop/out/") for name in store.find(f"{bucket}/out", refresh=True)}
    assert names == {"run.json", "results/part-000001.parquet", "results/part-000002.parquet"}
    # Another machine, with nothing but the address, goes on; what is done is not even fetched.
    store.pipe_file(f"{bucket}/in/d.mp4", (videos / "c.mp4").read_bytes() + b"more")
    store.invalidate_cache()
    assert run([*first, "--work", str(tmp_path / "two")]) == 0
    assert "1 videos searched, 3 were done" in capsys.readouterr().out
    assert set(statuses(tmp_path / "two")) == {"a.mp4", "b.mp4", "c.mp4", "d.mp4"}
    # The first one does not know of that block, and may not write over it.
    store.pipe_file(f"{bucket}/in/e.mp4", (videos / "c.mp4").read_bytes() + b"another one")
    store.invalidate_cache()
    folder = tmp_path / "one" / "results"
    pq.write_table(pa.table({"x": ["another block"]}), folder / "part-000003.parquet")
    with pytest.raises(BadReport, match="choose another --out"):
        Mirror(tmp_path / "one", f"{bucket}/out").pull()
    blind = Mirror(tmp_path / "one", f"{bucket}/out")
    blind._there = {"part-000001.parquet", "part-000002.parquet"}
    with pytest.raises(BadReport, match="another run has put a block"):
        blind.push()
    assert run([*first[:3], "s3://no-such-bucket-anywhere/out", *first[4:], "--work", str(tmp_path / "three")]) == 2
    assert "no such bucket" in capsys.readouterr().err
