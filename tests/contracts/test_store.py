"""What every vector store promises, over every implementation."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dprnet.core.errors import BadGallery, DprnetError, MissingFile, NoSpace
from dprnet.gallery.card import SCHEMA, GalleryCard
from dprnet.gallery.lance import KEY, LanceStore
from dprnet.gallery.store import DETAILS, TEXTS, VectorStore, details_schema, schema, store_class

SIZE = 4
CARD = GalleryCard(SCHEMA, "tiny@1", SIZE, "cosine", "2026-01-01T00:00:00+00:00", "whole")


@pytest.fixture
def store(address: str) -> Iterator[VectorStore]:
    made = store_class(address).create(address, CARD)
    yield made
    made.close()


def opened(address: str) -> VectorStore:
    return store_class(address).open(address)


def photos(*pairs: tuple[str, str], value: float = 1.0, title: str = "") -> pa.Table:
    texts = {name: [""] * len(pairs) for name in TEXTS}
    texts |= {"item_id": [i for i, _ in pairs], "photo": [p for _, p in pairs], "title": [title] * len(pairs)}
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.full(SIZE * len(pairs), value), pa.float32()), SIZE)
    return pa.table({**texts, "vector": vectors, "thumbnail": [b"\0jpeg\xff"] * len(pairs)}, schema=schema(SIZE))


def details(*item_ids: str, title: str) -> pa.Table:
    texts = {name: [""] * len(item_ids) for name in DETAILS}
    texts |= {"item_id": list(item_ids), "title": [title] * len(item_ids)}
    return pa.table(texts, schema=details_schema())


def held(store: VectorStore) -> list[tuple[str, str]]:
    _, rows = store.read(["item_id", "photo"])
    return sorted((row["item_id"], row["photo"]) for row in rows.to_pylist())


def test_an_empty_store_reads_as_no_rows(store: VectorStore) -> None:
    version, rows = store.read([*TEXTS, "vector", "thumbnail"])
    assert (version, store.count(), rows.num_rows) == (store.version, 0, 0)
    assert rows.schema.field("vector").type == pa.list_(pa.float32(), SIZE)
    assert [batch.num_rows for batch in store.scan(["item_id"])[1] if batch.num_rows] == []


def test_what_is_written_is_read_back_whole(store: VectorStore) -> None:
    wanted = photos(("a", "1.jpg"), ("a", "2.jpg"), ("b", "1.jpg"), value=0.25, title="長袖 \"x\" 'y'")
    store.upsert(wanted)
    _, rows = store.read(wanted.column_names)
    order = [("item_id", "ascending"), ("photo", "ascending")]
    assert rows.sort_by(order).to_pylist() == wanted.to_pylist()
    version, parts = store.scan(wanted.column_names)
    assert version == store.version
    assert pa.Table.from_batches(parts).sort_by(order).to_pylist() == wanted.to_pylist()


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


def test_details_change_without_the_vectors(store: VectorStore) -> None:
    store.upsert(photos(("a", "1.jpg"), ("a", "2.jpg"), value=0.25, title="old"))
    store.upsert(photos(("b", "1.jpg"), title="old"))
    before = store.version
    store.update(details("a", "never seen", title="new 'x\\"))
    assert store.version == before + 1
    _, rows = store.read(["item_id", "photo", "title", "vector"])
    told = sorted((row["item_id"], row["photo"], row["title"], row["vector"][0]) for row in rows.to_pylist())
    new = "new 'x\\"
    assert told == [("a", "1.jpg", new, 0.25), ("a", "2.jpg", new, 0.25), ("b", "1.jpg", "old", 1.0)]
    store.update(details(title=""))
    assert store.version == before + 1


def test_a_scan_sees_one_version(store: VectorStore) -> None:
    store.upsert(photos(("a", "1.jpg"), ("b", "1.jpg"), title="old"))
    version, parts = store.scan(["item_id", "title"])
    store.upsert(photos(("a", "1.jpg"), ("c", "1.jpg"), title="new"))
    store.remove(["b"])
    seen = [(row["item_id"], row["title"]) for part in parts for row in part.to_pylist()]
    assert sorted(seen) == [("a", "old"), ("b", "old")]
    assert version == store.version - 2


def test_compacting_changes_nothing_that_is_seen(store: VectorStore) -> None:
    for n in range(3):
        store.upsert(photos(("a", "1.jpg"), (f"{n}", "1.jpg"), title=f"{n}"))
    store.remove(["1"])
    version = store.version
    store.compact()
    assert held(store) == [("0", "1.jpg"), ("2", "1.jpg"), ("a", "1.jpg")]
    assert store.version >= version


def test_the_card_comes_back(store: VectorStore, address: str) -> None:
    again = opened(address)
    assert again.card == store.card == CARD
    again.close()


def test_a_gallery_of_a_newer_form_says_what_to_do(address: str) -> None:
    with contextlib.suppress(BadGallery):  # some look at what they made
        store_class(address).create(address, CARD.of_schema(9)).close()
    with pytest.raises(BadGallery, match="written in schema 9, this version reads up to 3; upgrade dprnet") as caught:
        opened(address)
    assert caught.value.reason == "newer_schema"
    with pytest.raises(BadGallery, match=r"upgrade dprnet|already holds a gallery"):
        store_class(address).create(address, CARD)


def test_what_is_there_is_not_made_again(store: VectorStore, address: str) -> None:
    store.upsert(photos(("a", "1.jpg")))
    with pytest.raises(BadGallery, match="already holds a gallery"):
        store_class(address).create(address, CARD)
    assert store.count() == 1


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


def test_another_handle_sees_the_newest_version(store: VectorStore, address: str) -> None:
    other = opened(address)
    assert other.count() == 0
    store.upsert(photos(("a", "1.jpg")))
    assert other.read(["item_id"])[1].num_rows == 1
    other.upsert(photos(("b", "1.jpg")))
    assert store.version == other.version
    assert held(store) == held(other) == [("a", "1.jpg"), ("b", "1.jpg")]
    other.close()


def test_opening_what_is_no_store(address: str) -> None:
    with pytest.raises(MissingFile, match="no gallery here"):
        opened(address)


def test_opening_often_leaves_no_file_open(store: VectorStore, address: str) -> None:
    store.upsert(photos(("a", "1.jpg")))

    def files() -> int:
        for _ in range(10):
            other = opened(address)
            other.read(["item_id"])
            other.close()
        return len(list(Path("/proc/self/fd").iterdir()))

    assert files() >= files() - 2


def run(script: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PRELUDE + script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=check)


IMPORTS = f"""
import importlib.util, resource, sys
spec = importlib.util.spec_from_file_location("contract", {__file__!r})
contract = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contract)
photos = contract.photos
"""
PRELUDE = IMPORTS + "store = contract.opened(sys.argv[1])"

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
def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    folder = str(tmp_path / "store")
    store = LanceStore.create(folder, CARD)
    store.upsert(photos(("a", "1.jpg")))
    done = run(FULL, folder)
    assert "no space left" in done.stdout
    assert held(store) == [("a", "1.jpg"), ("small", "1.jpg")]


# Imports once, then forks a writer for every line that it reads: starting Python twenty times would take minutes.
WRITERS = """
import os
contract.store_class(sys.argv[1])
if sys.argv[1].startswith("milvus"):
    import pymilvus  # some seconds, otherwise in every writer
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        store = contract.opened(sys.argv[1])
        print("ready", os.getpid(), flush=True)
        for n in range(10_000):
            store.upsert(photos(*((f"{n}", f"{m}.jpg") for m in range(50))))
            print(n, flush=True)
    os.waitpid(pid, 0)
    print("gone", flush=True)
"""


def counted(store: VectorStore) -> dict[str, int]:
    """Photos of each item."""
    _, rows = store.read(["item_id"])
    return {entry["values"]: entry["counts"] for entry in rows["item_id"].value_counts().to_pylist()}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_was_acknowledged_survives_a_kill(store: VectorStore, address: str) -> None:
    command = [sys.executable, "-c", IMPORTS + WRITERS, address]
    rounds = 5 if address.startswith("s3") else 20  # the code of a folder, each write over HTTP
    pauses = np.random.default_rng(7).uniform(0.0, 0.25, rounds)  # anywhere in a write, and between two
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writers:
        assert writers.stdin is not None
        assert writers.stdout is not None
        for number, pause in enumerate(pauses):
            print("write", file=writers.stdin, flush=True)
            pid = int(writers.stdout.readline().removeprefix("ready "))
            lines = [writers.stdout.readline() for _ in range(number % 3)]
            time.sleep(pause)
            os.kill(pid, signal.SIGKILL)
            while lines[-1:] != ["gone\n"]:
                lines.append(writers.stdout.readline())
            again = opened(address)
            counts = counted(again)
            assert {line.strip() for line in lines[:-1]} <= set(counts)
            assert set(counts.values()) <= {50}, "a batch is whole or absent"
            again.upsert(photos(("after the kill", "1.jpg")))
            again.remove([*counts, "after the kill"])
            until = time.monotonic() + 60
            while again.count():  # a server may finish what it was told before the client died: whole, as ever
                counts = counted(again)
                assert set(counts.values()) <= {50}
                assert time.monotonic() < until, "it does not stay empty"
                again.remove(list(counts))
            again.close()
        writers.stdin.close()


@pytest.mark.slow
def test_two_writers_lose_nothing(store: VectorStore, address: str) -> None:
    script = """
for n in range(15):
    store.upsert(photos((f"{sys.argv[2]} {n}", "1.jpg"), ("both", "1.jpg"), title=sys.argv[2]))
"""
    writers = [subprocess.Popen([sys.executable, "-c", PRELUDE + script, address, name]) for name in ("left", "right")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert store.count() == 31


def test_two_writers_of_one_new_item_at_the_same_moment(store: VectorStore, address: str) -> None:
    """It is there once, with the photos of one of them."""
    writers = [opened(address) for _ in range(3)]
    for number in range(4):
        start, wrong = threading.Barrier(len(writers)), []

        def write(writer: VectorStore, title: str, number: int = number) -> None:
            start.wait()  # noqa: B023 - all have ended before the next one is made
            try:
                writer.upsert(photos((f"{number}", "1.jpg"), (f"{number}", "2.jpg"), title=title))
            except DprnetError as error:
                wrong.append(error)  # noqa: B023

        threads = [threading.Thread(target=write, args=(writer, f"{n}")) for n, writer in enumerate(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows = store.read(["photo", "title"], [f"{number}"])[1].to_pylist()
        assert wrong == []
        assert sorted(row["photo"] for row in rows) == ["1.jpg", "2.jpg"]
        assert len({row["title"] for row in rows}) == 1
    for writer in writers:
        writer.close()


def test_a_gallery_of_before_tables_knew_their_keys(tmp_path: Path) -> None:
    import lancedb

    folder = tmp_path / "store"
    LanceStore.create(str(folder), CARD).close()
    lancedb.connect(folder).create_table("photos", schema=schema(SIZE), mode="overwrite")
    for item_id in ("a", "b"):
        old = LanceStore.open(str(folder))
        old.upsert(photos((item_id, "1.jpg")))
        assert all(KEY.encode() in old._table.schema.field(name).metadata for name in ("item_id", "photo"))
        old.close()
    assert held(LanceStore.open(str(folder))) == [("a", "1.jpg"), ("b", "1.jpg")]


def test_a_server_that_is_not_there_is_told() -> None:
    for server in ("postgresql://nobody:secret@127.0.0.1:9/none#shop",):
        with pytest.raises(DprnetError) as caught:
            opened(server)
        assert "secret" not in str(caught.value)
        assert "#shop" in str(caught.value)


@pytest.mark.parametrize("name", ["Shop", "a-b", "1a", "x" * 41, "a;drop table b", 'a"b', "a%00"])
@pytest.mark.parametrize("scheme", ["postgresql", "milvus"])
def test_a_gallery_name_is_an_identifier(scheme: str, name: str) -> None:
    with pytest.raises(BadGallery, match="gallery name"):
        opened(f"{scheme}://127.0.0.1:9/none#{name}")


def test_an_unknown_kind_of_address_is_told() -> None:
    with pytest.raises(BadGallery, match=r"give a folder, s3://, postgresql://"):
        opened("mysql://shop")


def test_a_damaged_folder_is_told(tmp_path: Path) -> None:
    store = LanceStore.create(str(tmp_path / "store"), CARD)
    store.upsert(photos(("a", "1.jpg")))
    for path in (tmp_path / "store" / "photos.lance").rglob("*"):
        if path.is_file():
            path.write_bytes(b"damage")
    with pytest.raises(BadGallery):
        opened(str(tmp_path / "store")).read(["item_id"])


def test_many_small_changes_do_not_leave_many_small_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dprnet.gallery.store.TIDY_EVERY", 5)
    store = LanceStore.create(str(tmp_path / "store"), CARD)
    for n in range(11):
        store.upsert(photos((f"{n}", "1.jpg")))
    store.remove(["0"])
    assert held(store) == sorted((f"{n}", "1.jpg") for n in range(1, 11))
    assert store._table.stats()["fragment_stats"]["num_fragments"] <= 3
    store.close()


def test_no_space_is_known_by_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Callable[..., None]:
        raise RuntimeError("lance error: LanceError(IO): No space left on device (os error 28), src/x.rs")

    store = LanceStore.create(str(tmp_path / "store"), CARD)
    monkeypatch.setattr(store._table, "merge_insert", full)
    with pytest.raises(NoSpace):
        store.upsert(photos(("a", "1.jpg")))
