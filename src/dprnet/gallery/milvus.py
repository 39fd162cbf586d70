"""A store in Milvus: rows in one collection, commits in another (see `milvus_commits`).

Milvus has no transactions. A batch of rows is written under a name of its own and counts from the moment that one row
with that name stands among the commits; of an item, the rows of its latest commit count. So a batch is seen whole or
not at all, a reader sees the commits it read first and nothing later, and two writers never wait for each other (of
two that write one item, the later commit holds). What no version of the last hour needs goes when it is compacted, and
then the commits of before that hour need no longer be listed. The clocks of writers may differ by less than that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from dprnet.core.errors import BadGallery, MissingFile
from dprnet.gallery import store
from dprnet.gallery.address import ServerAddress
from dprnet.gallery.card import GalleryCard
from dprnet.gallery.milvus_cells import CELLS
from dprnet.gallery.milvus_client import CALL_IDS, CALL_S, collections, connecting, make_collection, stored_card, told
from dprnet.gallery.milvus_commits import MOST, PAGE_ROWS, CommitList, Commits, born
from dprnet.gallery.milvus_rows import MAX_TEXT_BYTES, among, kept_row, key_of, latest, read_row, size_of
from dprnet.gallery.store import DETAILS, KEEP_S, TEXTS, schema

if TYPE_CHECKING:
    import pyarrow as pa

MAX_SIZE = 32_768  # Milvus's limit
CALL_BYTES = 16 << 20  # ours: Milvus takes 64 MB a call
GRAPH = {"M": 32, "efConstruction": 80}  # ours: as in memory
KEYS = ("key", "batch", "item_key", "gone")


class MilvusStore:
    """Rows in a Milvus collection; see :class:`dprnet.gallery.store.VectorStore`.

    Addresses: ``milvus://[user:password@]host[:port][/database][?tls=1][#name]``.
    """

    def __init__(self, address: ServerAddress, card: GalleryCard, client: Any) -> None:
        self.address = address
        self.card = card
        self.client = client
        self.rows, commits = collections(address)
        self._commits = CommitList(client, commits)
        self._changes = 0
        fields = client.describe_collection(self.rows, timeout=CALL_S)["fields"]
        self.compares = any(field["name"] == CELLS for field in fields)
        """Whether rows keep what filters compare: galleries made before Milvus searched do not."""

    @classmethod
    def create(cls, address: str, card: GalleryCard) -> Self:
        """Two new collections; the card is the last thing written, without it they count as nothing."""
        where = ServerAddress.parse(address)
        if card.size > MAX_SIZE:
            raise BadGallery(where, f"vectors of {card.size} numbers; Milvus keeps at most {MAX_SIZE}")
        with told(where), connecting(where) as client:
            if stored_card(client, where) is not None:
                raise BadGallery(where, "already holds a gallery; open it, or choose another name behind #")
            texts = {"batch": 64, "item_key": 64, **dict.fromkeys((*TEXTS, "thumbnail"), MAX_TEXT_BYTES)}
            rows, commits = collections(where)
            more = {"gone": "BOOL", CELLS: "JSON"}
            make_collection(client, rows, texts, more, card.size, graph=GRAPH)
            make_collection(client, commits, {"note": MAX_TEXT_BYTES}, {"at": "INT64"}, 2)
            made = cls(where, card, client)
            made._commits.add_card(card)
        return made

    @classmethod
    def open(cls, address: str) -> Self:
        """The gallery of that name on a server."""
        where = ServerAddress.parse(address)
        with told(where), connecting(where) as client:
            card = stored_card(client, where)
            if card is None:
                raise MissingFile(where, "no gallery here; make one with `dprnet index CATALOGUE --gallery ADDRESS`")
            return cls(where, card, client)

    @property
    def version(self) -> int:
        """Grows with every change, whoever made it: 1 and the number of commits."""
        with told(self.address):
            return self.committed().version

    def count(self) -> int:
        """Number of rows (photos)."""
        with told(self.address):
            return len(self.visible(self.committed()))

    def upsert(self, rows: pa.Table) -> None:
        """Write rows and commit them; all earlier rows of the items named in them no longer count."""
        if rows.num_rows:
            self._commit([kept_row(values) for values in rows.to_pylist()])

    def update(self, rows: pa.Table) -> None:
        """Write the details of items to all their photos in one commit; vectors are copied, not made again."""
        details = {row["item_id"]: row for row in rows.to_pylist()}
        _, old = self.read(schema(self.card.size).names, details)
        if old.num_rows:
            changed = [row | {name: details[row["item_id"]][name] for name in DETAILS} for row in old.to_pylist()]
            self._commit([kept_row(values) for values in changed])

    def remove(self, item_ids: Iterable[str]) -> None:
        """Remove all rows of these items in one commit; an unknown id does nothing."""
        empty = dict.fromkeys((*TEXTS, "thumbnail"), "") | {"vector": [0.0] * self.card.size, CELLS: {}}
        self._commit([empty | {"item_key": key_of(item_id), "gone": True} for item_id in sorted(set(item_ids))])

    def read(self, columns: Sequence[str], item_ids: Iterable[str] | None = None) -> tuple[int, pa.Table]:
        """A version and its rows (of these items, or all), in no particular order; nothing of a later version."""
        import pyarrow as pa

        with told(self.address):
            commits = self.committed()
            batches = list(self._batches(commits, columns, None if item_ids is None else sorted(set(item_ids))))
        return commits.version, pa.Table.from_batches(batches, self._form(columns))

    def scan(self, columns: Sequence[str]) -> tuple[int, Iterator[pa.RecordBatch]]:
        """As :meth:`read` of all rows, a part at a time."""
        with told(self.address):
            commits = self.committed()

        def parts() -> Iterator[pa.RecordBatch]:
            with told(self.address):
                yield from self._batches(commits, columns, None)

        return commits.version, parts()

    def compact(self) -> None:
        """Delete rows that were replaced, removed or never committed over an hour ago, and list their commits no more.

        At every moment, and so after a kill, what is there reads as before.
        """
        with told(self.address):
            before = time.time_ns() - int(KEEP_S * 1e9)
            known = self.committed()  # before the rows: all of theirs are among these
            rows = list(self.query(KEYS, ""))
            committed = self.committed()  # after the rows: a batch that is committed meanwhile is not taken for lost
            self._commits.clear(committed)
            old = committed.until(before)
            alive = latest(rows, old)
            counts = {row["batch"]: committed.order(row["batch"]) is not None for row in rows}
            dead = [row["key"] for row in rows if old.order(row["batch"]) is not None and row["key"] not in alive]
            dead += [row["key"] for row in rows if not counts[row["batch"]] and born(row["batch"]) < before]
            removed = [key for key, row in alive.items() if row["gone"]]
            for keys in (dead, removed):  # in this order: a removal holds until what it removes is gone
                self._delete(keys)
            # Of before this, nothing is there but what counts: neither a batch whose commit is younger, or came just
            # now, nor one that may still be committed.
            young = {batch for batch in committed.at if batch not in old.at or batch not in known.at}
            horizon = min({f"{before:020d}", *young, *(batch for batch, counted in counts.items() if not counted)})
            if horizon > committed.horizon and not self._any([*dead, *removed]):
                self._commits.move(horizon, committed, self.address)

    def close(self) -> None:
        """Let go of the connection; the store is not used again."""
        self.client.close()

    def committed(self) -> Commits:
        """The commits of this moment."""
        return self._commits.read()

    def _commit(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        with told(self.address):
            if not self.compares:
                rows = [{name: row[name] for name in row if name != CELLS} for row in rows]
            while True:
                batch = self._commits.batch()
                written = [row | {"key": f"{batch}-{n}", "batch": batch} for n, row in enumerate(rows)]
                self._insert(self.rows, written)
                known = self.committed()
                if batch >= known.horizon:
                    break
                self._delete([row["key"] for row in written])  # a clock that is an hour behind: it counted already
            self._commits.add(batch, known)
        self._changes += 1
        if self._changes % store.TIDY_EVERY == 0:
            self.compact()

    def _delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), CALL_IDS):
            self.client.delete(self.rows, ids=list(keys[start : start + CALL_IDS]), timeout=CALL_S)

    def _any(self, keys: Sequence[str]) -> bool:
        """Whether a row of these keys is there."""
        parts = (keys[start : start + CALL_IDS] for start in range(0, len(keys), CALL_IDS))
        return any(self.some(f"key in {json.dumps(list(some))}", ["key"], 1) for some in parts)

    def _insert(self, collection: str, rows: list[dict[str, Any]]) -> None:
        part: list[dict[str, Any]] = []
        room = CALL_BYTES
        for row in rows:
            size = 200 + sum(size_of(row, name, self.address) for name in row)
            if part and size > room:
                self.client.insert(collection, part, timeout=CALL_S)
                part, room = [], CALL_BYTES
            part.append(row)
            room -= size
        self.client.insert(collection, part, timeout=CALL_S)

    def _batches(
        self, commits: Commits, columns: Sequence[str], item_ids: Sequence[str] | None
    ) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        keys = [None] if item_ids is None else [key_of(item_id) for item_id in item_ids]
        for start in range(0, len(keys), CALL_IDS):
            some = None if item_ids is None else keys[start : start + CALL_IDS]
            visible = self.visible(commits, some)
            fields = ["key", *dict.fromkeys(columns)]
            page: list[dict[str, Any]] = []
            for row in self.query(fields, among(some)) if visible else ():
                if row["key"] in visible:
                    page.append(read_row(row))
                if len(page) == PAGE_ROWS:
                    yield from pa.Table.from_pylist(page, self._form(columns)).to_batches()
                    page = []
            yield from pa.Table.from_pylist(page, self._form(columns)).to_batches()

    def visible(self, commits: Commits, keys: Sequence[str | None] | None = None) -> set[str]:
        """Keys of the rows that count, of all items or those of these keys."""
        return {key for key, row in latest(self.query(KEYS, among(keys)), commits).items() if not row["gone"]}

    def query(self, fields: Sequence[str], condition: str) -> Iterator[dict[str, Any]]:
        """Rows that meet an expression, whether they count or not.

        In one call where that is sure to hold them: pages take two calls more, a search asks twice.
        """
        if set(fields) <= set(KEYS) and "item_key in" in condition:
            found = self.some(condition, list(fields), MOST)
            if len(found) < MOST:
                yield from found
                return
        pages = self.client.query_iterator(
            self.rows, batch_size=PAGE_ROWS, filter=condition, output_fields=list(fields), timeout=CALL_S
        )
        try:
            while page := pages.next():
                yield from page
        finally:
            pages.close()

    def some(self, condition: str, fields: list[str], limit: int) -> list[dict[str, Any]]:
        """So many of the rows that meet an expression, whether they count or not."""
        found = self.client.query(self.rows, filter=condition, output_fields=fields, limit=limit, timeout=CALL_S)
        return list(found)

    def _form(self, columns: Sequence[str]) -> pa.Schema:
        import pyarrow as pa

        form = schema(self.card.size)
        return pa.schema([form.field(name) for name in columns])
