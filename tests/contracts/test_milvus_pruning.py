"""Old commits of a gallery in Milvus are listed no longer, on a real server; whoever reads sees no difference."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dprnet.core.errors import BadGallery
from dprnet.gallery import Gallery, IndexConfig, Item, switch
from dprnet.gallery import card as cards
from dprnet.gallery.milvus import MilvusStore

from .test_store import CARD, held, photos

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def server(servers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where a gallery may be made, of which nothing is kept for those who still read an older version."""
    made: str = servers.address("milvus", tmp_path)
    monkeypatch.setattr("dprnet.gallery.milvus.KEEP_S", 0.0)
    return made


@pytest.fixture
def store(server: str) -> Iterator[MilvusStore]:
    made = MilvusStore.create(server, CARD)
    yield made
    made.close()


def grown(store: MilvusStore) -> list[tuple[str, str]]:
    """Twelve commits: items that come, are replaced and go."""
    for n in range(5):
        store.upsert(photos((f"{n}", "1.jpg"), ("all", f"{n}.jpg"), title=f"{n}"))
    for n in range(5):
        store.upsert(photos((f"{n}", "2.jpg"), title="again"))
    store.remove(["3"])
    store.upsert(photos(("last", "1.jpg")))
    return sorted([*((f"{n}", "2.jpg") for n in (0, 1, 2, 4)), ("all", "4.jpg"), ("last", "1.jpg")])


def listed(store: MilvusStore) -> int:
    """Rows of the collection of commits: what a reader has to read first."""
    return len(store.client.query(store._commits._name, filter="at >= -9", output_fields=["key"], limit=1000))


def test_the_list_gets_short_and_nothing_else_changes(store: MilvusStore, server: str) -> None:
    wanted, other = grown(store), MilvusStore.open(server)
    version = other.version
    assert (version, listed(store)) == (13, 13)
    store.compact()
    assert listed(store) == 2, "the card, and what says how many there were"
    again = MilvusStore.open(server)
    for one in (store, other, again):
        assert (held(one), one.version, one.committed().at) == (wanted, version, {})
    other.upsert(photos(("0", "3.jpg"), ("3", "3.jpg")))
    store.remove(["1"])
    expected = sorted({*wanted, ("0", "3.jpg"), ("3", "3.jpg")} - {("0", "2.jpg"), ("1", "2.jpg")})
    for one in (store, other, again):
        assert (held(one), one.version) == (expected, version + 2)
    again.compact()
    assert (held(store), store.version, listed(store)) == (expected, version + 2, 2)
    other.close()
    again.close()


def test_who_read_the_list_before_reads_on(store: MilvusStore) -> None:
    wanted = grown(store)
    store.compact()
    for n in range(3):
        store.upsert(photos((f"new {n}", "1.jpg")))
    version, parts = store.scan(["item_id", "photo"])
    known = store.committed()
    store.compact()
    assert len(known.at) == 3
    assert store.committed().at == {}
    seen = sorted((row["item_id"], row["photo"]) for part in parts for row in part.to_pylist())
    assert seen == sorted([*wanted, *((f"new {n}", "1.jpg") for n in range(3))])
    assert version == store.version
    assert len(store.visible(known)) == len(seen)


def test_what_is_young_stays_listed(store: MilvusStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old commits go, younger ones and batches that nobody knows of yet do not; readers of the last hour find all."""
    store.upsert(photos(("a", "1.jpg")))
    store.upsert(photos(("b", "1.jpg")))
    time.sleep(0.3)
    middle = time.time_ns()
    time.sleep(0.3)
    begun = store._commits.batch()  # a writer begins...
    store.upsert(photos(("a", "2.jpg")))
    before = store.committed()
    monkeypatch.setattr("dprnet.gallery.milvus.KEEP_S", (time.time_ns() - middle) / 1e9)
    store.compact()
    after = store.committed()
    assert (len(before.at), len(after.at), after.before, after.version) == (3, 1, 2, 4)
    assert held(store) == [("a", "2.jpg"), ("b", "1.jpg")]
    assert len(store.visible(before)) == 2
    assert len(store.visible(after.until(middle))) == 2, "what was replaced within the hour is still there"
    assert begun >= after.horizon
    store._commits.add(begun, after)  # ...and ends: its batch counts from now on
    assert store.version == 5


@pytest.mark.parametrize("failing", ["insert", "delete"])
def test_a_kill_between_loses_nothing(store: MilvusStore, server: str, failing: str) -> None:
    """The k-th write of a compaction fails, and all after it, for every k until none does."""
    wanted, version, done = grown(store), 13, False
    for k in range(1, 40):
        dying = MilvusStore.open(server)
        dying.client = Failing(dying.client, failing, k)
        dying._commits._client = dying.client
        try:
            dying.compact()
            done = True
        except BadGallery:
            pass
        finally:
            dying.client.close()
        fresh = MilvusStore.open(server)
        assert (held(fresh), fresh.version) == (wanted, version), f"write {k}"
        fresh.upsert(photos(("last", "1.jpg"), title=f"{k}"))  # life goes on
        version += 1
        assert (held(fresh), fresh.version) == (wanted, version), f"after write {k}"
        fresh.close()
        if done:
            break
    assert done
    assert k > 1, "some write failed"
    store.compact()
    assert (held(store), store.version, listed(store)) == (wanted, version, 2)


class Failing:
    """A client whose process dies at a write."""

    def __init__(self, client: Any, name: str, at: int) -> None:
        self._client, self._name, self._left = client, name, at

    def __getattr__(self, name: str) -> Any:
        if name in {"insert", "delete"}:
            self._left -= name == self._name or self._left <= 0
            if self._left <= 0:
                from pymilvus.exceptions import MilvusException

                raise MilvusException(message="killed")
        return getattr(self._client, name)


def test_a_writer_whose_clock_is_behind(store: MilvusStore, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it writes is not taken for something of long ago, whether it knew of the horizon or not."""
    slow = MilvusStore.open(server)
    grown(store)
    store.compact()
    now = time.time_ns
    monkeypatch.setattr("dprnet.gallery.milvus_commits.time.time_ns", lambda: now() - 7_200 * 10**9)
    for number, writer in enumerate((slow, store)):
        writer.upsert(photos(("all", f"late {number}.jpg")))
        assert [photo for item_id, photo in held(store) if item_id == "all"] == [f"late {number}.jpg"]
    assert store.version == 15
    rows = [row["batch"] for row in store.query(["batch"], "")]
    assert {batch for batch in rows if batch >= store.committed().horizon} == set(store.committed().at)
    slow.close()


def test_an_older_dprnet_does_not_take_it_for_empty(
    store: MilvusStore, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(store)
    store.compact()
    assert MilvusStore.open(server).card.schema == cards.LISTED_NO_LONGER
    monkeypatch.setattr(cards, "NEWEST", 2)
    with pytest.raises(BadGallery, match="written in schema 3, this version reads up to 2; upgrade dprnet"):
        MilvusStore.open(server)


def test_searches_snapshots_and_live_names_go_on(server: str, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((20, 8)).astype(np.float32)
    with Gallery.create(server, embedder="tiny@1", size=8) as made:
        for n in range(20):
            made.upsert(
                [Item(f"{n % 15}", (Path(f"{n}.jpg"),), category="odd" if n % 2 else "even")], vectors[n : n + 1]
            )
        made.remove(["7"])
        switch(tmp_path / "live", server)
        with (
            Gallery.open(tmp_path / "live", config=IndexConfig(kind="store")) as served,
            Gallery.open(server) as memory,
        ):
            before = [gallery.search(vectors, 3) for gallery in (served, memory)]
            kept = memory.snapshot(tmp_path / "kept")
            made.compact()
            assert [gallery.search(vectors, 3) for gallery in (served, memory)] == before
            assert (served.refresh(), memory.refresh()) == (False, False), "it is the same version"
            assert made.version == before[0].version == before[1].version == kept == 22
            assert memory.snapshot(tmp_path / "later") == kept
            assert served.count("category = odd") == memory.count("category = odd")
            made.upsert([Item("7", (Path("7.jpg"),))], vectors[7:8])
            assert memory.refresh()
            for gallery in (served, memory):
                assert gallery.search(vectors[7:8], 1)[0][0].item_id == "7"
    with Gallery.open(server) as now:
        rows = {row["item_id"]: row["vector"] for row in now.contents(["3", "7"])}
    for name in ("kept", "later"):
        with Gallery.restore(tmp_path / name, tmp_path / f"{name} again") as restored:
            assert restored.search(vectors, 3) == before[1]
            assert restored.card.schema == cards.SCHEMA
            assert [row["vector"] for row in restored.contents(["3"])] == [rows["3"]]


def test_a_list_longer_than_one_call(store: MilvusStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dprnet.gallery.milvus_commits.MOST", 5)
    wanted = grown(store)
    assert (held(store), store.version) == (wanted, 13)
    store.compact()
    assert (held(store), store.version) == (wanted, 13)
