"""What every vector store promises, over every implementation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dprnet.core.errors import BadGallery, NoSpace
from dprnet.gallery.store import TEXTS, LanceStore, VectorStore, schema

SIZE = 4
STORES = [LanceStore]


@pytest.fixture(params=STORES, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[LanceStore]:
    return request.param


@pytest.fixture
def store(kind: type[LanceStore], tmp_path: Path) -> Iterator[VectorStore]:
    made = kind.create(tmp_path, SIZE)
    yield made
    made.close()


def photos(*pairs: tuple[str, str], value: float = 1.0, title: str = "") -> pa.Table:
    texts = {name: [""] * len(pairs) for name in TEXTS}
    texts |= {"item_id": [i for i, _ in pairs], "photo": [p for _, p in pairs], "title": [title] * len(pairs)}
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.full(SIZE * len(pairs), value), pa.float32()), SIZE)
    return pa.table({**texts, "vector": vectors, "thumbnail": [b"jpeg"] * len(pairs)}, schema=schema(SIZE))


def held(store: VectorStore) -> list[tuple[str, str]]:
    _, rows = store.read(["item_id", "photo"])
    return sorted((row["item_id"], row["photo"]) for row in rows.to_pylist())


def test_an_empty_store_reads_as_no_rows(store: VectorStore) -> None:
    version, rows = store.read([*TEXTS, "vector", "thumbnail"])
    assert (version, store.count(), rows.num_rows) == (store.version, 0, 0)
    assert rows.schema.field("vector").type == pa.list_(pa.float32(), SIZE)


def test_what_is_written_is_read_back_whole(store: VectorStore) -> None:
    wanted = photos(("a", "1.jpg"), ("a", "2.jpg"), ("b", "1.jpg"), value=0.25, title="長袖 \"x\" 'y'")
    store.upsert(wanted)
    _, rows = store.read(wanted.column_names)
    assert rows.sort_by([("item_id", "ascending"), ("photo", "ascending")]).to_pylist() == wanted.to_pylist()


def test_upsert_replaces_an_item_with_all_its_photos(store: VectorStore) -> None:
    store.upsert(photos(("a", "1.jpg"), ("a", "2.jpg"), ("b", "1.jpg")))
    store.upsert(photos(("a", "2.jpg"), ("a", "3.jpg"), value=2.0))
    assert held(store) == [("a", "2.jpg"), ("a", "3.jpg"), ("b", "1.jpg")]
    _, rows = store.read(["vector"], ["a"])
    assert rows["vector"].to_pylist() == [[2.0] * SIZE] * 2


def test_every_change_makes_a_version_and_no_change_makes_none(store: VectorStore) -> None:
    seen = [store.version]
    store.upsert(photos(("a", "1.jpg")))
    seen.append(store.version)
    store.remove(["a"])
    seen.append(store.version)
    assert seen == sorted(set(seen))
    store.upsert(photos())
    store.remove([])
    assert store.version == seen[-1]


def test_remove_takes_items_and_ignores_unknown_ones(store: VectorStore) -> None:
    store.upsert(photos(("a", "1.jpg"), ("a", "2.jpg"), ("b", "1.jpg")))
    store.remove(["a", "never seen"])
    assert held(store) == [("b", "1.jpg")]


HOSTILE = [
    "'",
    "''",
    "x' OR '1'='1",
    "a\\",
    "a\\'",
    '"',
    "`",
    "%",
    "_",
    "a;DROP TABLE photos",
    "\n",
    "\0",
    "💥",
    "--",
    "{}",
]


def test_ids_are_data_never_code(store: VectorStore) -> None:
    store.upsert(photos(*((item_id, "1.jpg") for item_id in HOSTILE)))
    for item_id in HOSTILE:
        assert [row["item_id"] for row in store.read(["item_id"], [item_id])[1].to_pylist()] == [item_id]
    for count, item_id in enumerate(HOSTILE, start=1):
        store.upsert(photos((item_id, "2.jpg")))
        store.remove([item_id])
        assert store.count() == len(HOSTILE) - count


def test_reading_some_items_and_none(store: VectorStore) -> None:
    store.upsert(photos(("a", "1.jpg"), ("b", "1.jpg")))
    assert store.read(["item_id"], ["b", "c"])[1].to_pylist() == [{"item_id": "b"}]
    assert store.read(["item_id"], [])[1].num_rows == 0


def test_a_large_batch_is_one_version(store: VectorStore) -> None:
    before = store.version
    store.upsert(photos(*((f"item {n // 2}", f"{n}.jpg") for n in range(4000))))
    assert (store.version, store.count()) == (before + 1, 4000)


def test_another_handle_sees_the_newest_version(kind: type[LanceStore], store: VectorStore, tmp_path: Path) -> None:
    other = kind.open(tmp_path)
    assert other.count() == 0
    store.upsert(photos(("a", "1.jpg")))
    assert other.read(["item_id"])[1].num_rows == 1
    other.upsert(photos(("b", "1.jpg")))
    assert store.version == other.version
    assert held(store) == held(other) == [("a", "1.jpg"), ("b", "1.jpg")]
    other.close()


def test_opening_what_is_no_store(kind: type[LanceStore], tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(BadGallery, match="cannot be used"):
            kind.open(folder)


def test_a_damaged_store_is_told(kind: type[LanceStore], store: VectorStore, tmp_path: Path) -> None:
    store.upsert(photos(("a", "1.jpg")))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(b"damage")
    with pytest.raises(BadGallery):
        kind.open(tmp_path).read(["item_id"])


def test_opening_often_leaves_no_file_open(kind: type[LanceStore], store: VectorStore, tmp_path: Path) -> None:
    store.upsert(photos(("a", "1.jpg")))

    def opened() -> int:
        for _ in range(10):
            other = kind.open(tmp_path)
            other.read(["item_id"])
            other.close()
        return len(list(Path("/proc/self/fd").iterdir()))

    assert opened() >= opened() - 2


def run(script: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PRELUDE + script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check)


PRELUDE = f"""
import importlib.util, resource, sys
spec = importlib.util.spec_from_file_location("contract", {__file__!r})
contract = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contract)
photos = contract.photos
store = getattr(contract, sys.argv[2]).open(sys.argv[1])
"""

# A file size limit stands in for a full disk: both end a write in the middle of a file.
FULL = """
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.upsert(photos(*((f"new {n}", f"{n}.jpg") for n in range(20_000))))
except contract.NoSpace as error:
    print(error)
store.upsert(photos(("small", "1.jpg")))
"""


@pytest.mark.slow
def test_a_full_disk_is_told_and_loses_nothing(kind: type[LanceStore], store: VectorStore, tmp_path: Path) -> None:
    store.upsert(photos(("a", "1.jpg")))
    done = run(FULL, tmp_path, kind.__name__)
    assert "no space left" in done.stdout
    assert held(store) == [("a", "1.jpg"), ("small", "1.jpg")]


WRITER = """
for n in range(10_000):
    store.upsert(photos(*((f"{n}", f"{m}.jpg") for m in range(50))))
    print(n, flush=True)
"""


@pytest.mark.slow
def test_what_was_acknowledged_survives_a_kill(kind: type[LanceStore], store: VectorStore, tmp_path: Path) -> None:
    for start, lines in enumerate((3, 1, 8)):
        command = [sys.executable, "-c", PRELUDE + WRITER, str(tmp_path), kind.__name__]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            acknowledged = [int(writer.stdout.readline()) for _ in range(lines)]
            writer.kill()  # SIGKILL, most likely in the middle of the next batch
            acknowledged += [int(line) for line in writer.stdout.read().split()]
        again = kind.open(tmp_path)
        _, rows = again.read(["item_id"])
        counts = {entry["values"]: entry["counts"] for entry in rows["item_id"].value_counts().to_pylist()}
        assert {str(n) for n in acknowledged} <= set(counts)
        assert set(counts.values()) == {50}, "a batch is whole or absent"
        again.upsert(photos((f"after kill {start}", "1.jpg")))
        again.remove([f"after kill {start}"])
        again.close()


@pytest.mark.slow
def test_two_writers_lose_nothing(kind: type[LanceStore], store: VectorStore, tmp_path: Path) -> None:
    script = """
for n in range(15):
    store.upsert(photos((f"{sys.argv[3]} {n}", "1.jpg")))
"""
    writers = [
        subprocess.Popen([sys.executable, "-c", PRELUDE + script, str(tmp_path), kind.__name__, name])
        for name in ("left", "right")
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert store.count() == 30


def test_many_small_changes_do_not_leave_many_small_files(
    kind: type[LanceStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dprnet.gallery.store.TIDY_EVERY", 5)
    store = kind.create(tmp_path, SIZE)
    for n in range(11):
        store.upsert(photos((f"{n}", "1.jpg")))
    store.remove(["0"])
    assert held(store) == sorted((f"{n}", "1.jpg") for n in range(1, 11))
    if isinstance(store, LanceStore):
        assert store._table.stats()["fragment_stats"]["num_fragments"] <= 3
    store.close()


def test_no_space_is_known_by_its_words(
    kind: type[LanceStore], store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Callable[..., None]:
        raise RuntimeError("lance error: LanceError(IO): No space left on device (os error 28), src/x.rs")

    if isinstance(store, LanceStore):
        monkeypatch.setattr(store._table, "merge_insert", full)
        with pytest.raises(NoSpace):
            store.upsert(photos(("a", "1.jpg")))
