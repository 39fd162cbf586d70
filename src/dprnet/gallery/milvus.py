"""A store in Milvus: rows in one collection, commits in another.

Milvus has no transactions. A batch of rows is written under a name of its own and counts from the moment that one row
with that name stands among the commits; of an item, the rows of its latest commit count. So a batch is seen whole or
not at all, a reader sees the commits it read first and nothing later, and two writers never wait for each other (of
two that write one item, the later commit holds). What no version of the last hour needs goes when it is compacted.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from dprnet.core.errors import BadGallery, MissingFile
from dprnet.gallery import store
from dprnet.gallery.address import ServerAddress
from dprnet.gallery.card import GalleryCard
from dprnet.gallery.milvus_cells import CELLS
from dprnet.gallery.milvus_client import CALL_S, collections, connect, make_collection, stored_card, told
from dprnet.gallery.milvus_rows import MAX_TEXT_BYTES, among, born, kept_row, key_of, latest, read_row, size_of
from dprnet.gallery.store import DETAILS, KEEP_S, TEXTS, schema

if TYPE_CHECKING:
    import pyarrow as pa

MAX_SIZE = 32_768  # Milvus's limit
CALL_BYTES = 16 << 20  # ours: Milvus takes 64 MB a call
CALL_IDS = 500  # ours: keys of 64 letters in one expression
CALL_ROWS = 16_384  # Milvus's limit: rows that one call without pages answers
PAGE_ROWS = 1_000  # ours: some 16 MB with thumbnails
GRAPH = {"M": 32, "efConstruction": 80}  # ours: as in memory
CARD_KEY = "card"
KEYS = ("key", "batch", "item_key", "gone")


class MilvusStore:
    """Rows in a Milvus collection; see :class:`dprnet.gallery.store.VectorStore`.

    Addresses: ``milvus://[user:password@]host[:port][/database][?tls=1][#name]``.
    """

    def __init__(self, address: ServerAddress, card: GalleryCard, client: Any) -> None:
        self.address = address
        self.card = card
        self.client = client
        self.rows, self._commits = collections(address)
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
        with told(where):
            client = connect(where)
            if stored_card(client, where) is not None:
                raise BadGallery(where, "already holds a gallery; open it, or choose another name behind #")
            texts = {"batch": 64, "item_key": 64, **dict.fromkeys((*TEXTS, "thumbnail"), MAX_TEXT_BYTES)}
            rows, commits = collections(where)
            more = {"gone": "BOOL", CELLS: "JSON"}
            make_collection(client, rows, texts, more, card.size, graph=GRAPH)
            make_collection(client, commits, {"note": MAX_TEXT_BYTES}, {"at": "INT64"}, 2)
            made = cls(where, card, client)
            made._insert(commits, [{"key": CARD_KEY, "at": 0, "note": card.to_json(), "vector": [0.0, 0.0]}])
        return made

    @classmethod
    def open(cls, address: str) -> Self:
        """The gallery of that name on a server."""
        where = ServerAddress.parse(address)
        with told(where):
            client = connect(where)
            card = stored_card(client, where)
            if card is None:
                raise MissingFile(where, "no gallery here; make one with `dprnet index CATALOGUE --gallery ADDRESS`")
            return cls(where, card, client)

    @property
    def version(self) -> int:
        """Grows with every change, whoever made it: 1 and the number of commits."""
        with told(self.address):
            found = self.client.query(self._commits, filter="at > 0", output_fields=["count(*)"], timeout=CALL_S)
            return 1 + int(found[0]["count(*)"])

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
        return 1 + len(commits), pa.Table.from_batches(batches, self._form(columns))

    def scan(self, columns: Sequence[str]) -> tuple[int, Iterator[pa.RecordBatch]]:
        """As :meth:`read` of all rows, a part at a time."""
        with told(self.address):
            commits = self.committed()

        def parts() -> Iterator[pa.RecordBatch]:
            with told(self.address):
                yield from self._batches(commits, columns, None)

        return 1 + len(commits), parts()

    def compact(self) -> None:
        """Delete rows that were replaced, removed or never committed over an hour ago."""
        with told(self.address):
            before = time.time_ns() - int(KEEP_S * 1e9)
            rows = list(self.query(KEYS, ""))
            committed = self.committed()  # after the rows: a batch that is committed meanwhile is not taken for lost
            old = {batch: at for batch, at in committed.items() if at < before}
            alive = latest(rows, old)
            replaced = [row["key"] for row in rows if row["batch"] in old and row["key"] not in alive]
            lost = [row["key"] for row in rows if row["batch"] not in committed and born(row["batch"]) < before]
            dead = [*replaced, *lost]
            removed = [key for key, row in alive.items() if row["gone"]]
            for keys in (dead, removed):  # in this order: a removal holds until what it removes is gone
                for start in range(0, len(keys), CALL_IDS):
                    self.client.delete(self.rows, ids=keys[start : start + CALL_IDS], timeout=CALL_S)

    def close(self) -> None:
        """Let go of the connection; the store is not used again."""
        self.client.close()

    def committed(self) -> dict[str, int]:
        """Every commit by its batch, with its time."""
        rows = self._few_or_pages(self._commits, ["key", "at"], "at > 0")
        return {row["key"]: int(row["at"]) for row in rows}

    def _commit(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        with told(self.address):
            if not self.compares:
                rows = [{name: row[name] for name in row if name != CELLS} for row in rows]
            batch = f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}"
            self._insert(self.rows, [row | {"key": f"{batch}-{n}", "batch": batch} for n, row in enumerate(rows)])
            at = max(time.time_ns(), 1 + max(self.committed().values(), default=0))  # clocks may run behind
            self._insert(self._commits, [{"key": batch, "at": at, "note": "", "vector": [0.0, 0.0]}])
        self._changes += 1
        if self._changes % store.TIDY_EVERY == 0:
            self.compact()

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
        self, commits: Mapping[str, int], columns: Sequence[str], item_ids: Sequence[str] | None
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

    def visible(self, commits: Mapping[str, int], keys: Sequence[str | None] | None = None) -> set[str]:
        """Keys of the rows that count, of all items or those of these keys."""
        return {key for key, row in latest(self.query(KEYS, among(keys)), commits).items() if not row["gone"]}

    def query(self, fields: Sequence[str], condition: str) -> Iterator[dict[str, Any]]:
        """Rows that meet an expression, whether they count or not."""
        return self._few_or_pages(self.rows, list(fields), condition)

    def some(self, condition: str, fields: list[str], limit: int) -> list[dict[str, Any]]:
        """So many of the rows that meet an expression, whether they count or not."""
        found = self.client.query(self.rows, filter=condition, output_fields=fields, limit=limit, timeout=CALL_S)
        return list(found)

    def _few_or_pages(self, collection: str, fields: list[str], condition: str) -> Iterator[dict[str, Any]]:
        """Rows in one call where that is sure to hold them: pages take two calls more, a search asks twice."""
        short = set(fields) <= {"at", *KEYS} and (collection == self._commits or "item_key in" in condition)
        if short:
            found = self.client.query(
                collection, filter=condition, output_fields=fields, limit=CALL_ROWS, timeout=CALL_S
            )
            if len(found) < CALL_ROWS:
                yield from found
                return
        yield from self._pages(collection, fields, condition)

    def _pages(self, collection: str, fields: list[str], condition: str) -> Iterator[dict[str, Any]]:
        pages = self.client.query_iterator(
            collection, batch_size=PAGE_ROWS, filter=condition, output_fields=fields, timeout=CALL_S
        )
        try:
            while page := pages.next():
                yield from page
        finally:
            pages.close()

    def _form(self, columns: Sequence[str]) -> pa.Schema:
        import pyarrow as pa

        form = schema(self.card.size)
        return pa.schema([form.field(name) for name in columns])
