# ruff: noqa: S608 - what is put into statements are expressions and names of ours; every value travels beside it
"""Search by PostgreSQL itself: a graph of pgvector (HNSW) over the photos' vectors, filters as WHERE clauses.

The graph is made at the first search of a gallery that has none; writers wait until it is there, readers do not. Where
that is too long, make it beforehand, as the owner of the table:

    CREATE INDEX CONCURRENTLY ON dprnet_photos_NAME USING hnsw (vector vector_ip_ops);

Filters compare cells of the column ``cells`` (see :mod:`dprnet.gallery.conditions`), so an index on one that is often
asked for is used: ``CREATE INDEX ON dprnet_photos_NAME ((cells->>'t:category'))``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dprnet.core.errors import BadGallery
from dprnet.core.records import FloatArray
from dprnet.gallery.conditions import condition
from dprnet.gallery.config import IndexConfig
from dprnet.gallery.filters import Filter
from dprnet.gallery.postgres import LOCK, PostgresStore
from dprnet.gallery.postgres_client import CELLS, about_photos, has_cells, sent_cells, table_of
from dprnet.gallery.server_search import SHOWN, Hit, best_of_items
from dprnet.gallery.store import DETAILS

if TYPE_CHECKING:
    import pyarrow as pa
    from psycopg import Connection

GRAPH_SIZE = 2_000  # pgvector's limit: numbers of a vector in a graph
MOST_EFFORT = 1_000  # pgvector's limit
MOST_PHOTOS = 1_000_000  # ours: rows of one answer before items are told apart
FILLED = 5_000  # ours: rows whose cells are written in one statement
GRAPH = (
    "SELECT 1 FROM pg_index AS i JOIN pg_opclass AS o ON o.oid = i.indclass[0] JOIN pg_am AS a ON a.oid = o.opcmethod"
    " WHERE i.indrelid = to_regclass(%s) AND i.indisvalid AND a.amname = 'hnsw' AND o.opcname = 'vector_ip_ops'"
)


class PostgresSearch:
    """See :class:`dprnet.gallery.server_search.StoreSearch`."""

    def __init__(self, store: PostgresStore, config: IndexConfig) -> None:
        self._store = store
        self._config = config
        self._effort = min(MOST_EFFORT, config.store_effort)

    def __str__(self) -> str:
        if self._store.card.size > GRAPH_SIZE:
            return f"store (pgvector, every vector compared: its graphs take at most {GRAPH_SIZE} numbers)"
        return f"store (pgvector, hnsw), effort {self._effort}"

    def prepare(self) -> None:
        """Fill cells that are not there, and make the graph where there is none."""
        import psycopg

        where = self._store.address
        try:
            with self._store.connected() as connection:
                self._fill(connection)
                graph = self._store.card.size <= GRAPH_SIZE
                if graph and connection.execute(GRAPH, (table_of(where),)).fetchone() is None:
                    self._make_graph(connection)
        except BadGallery as error:
            if isinstance(error.__context__, psycopg.errors.InsufficientPrivilege):
                sentence = (
                    "has no graph or no cells to search by, and this user may not make them; search once as owner"
                )
                raise BadGallery(where, sentence, reason="no_server_search") from None
            raise

    def nearest(self, vectors: FloatArray, k: int, wanted: Filter | None) -> tuple[int, list[list[Hit]]]:
        """The version, and the k most similar items of each query."""
        with self._reading() as (connection, version):

            def photos(queries: Sequence[int], count: int) -> list[list[Hit]]:
                return [self._photos(connection, vectors[query], count, k, wanted) for query in queries]

            return version, best_of_items(photos, len(vectors), k, MOST_PHOTOS)

    def passing(self, wanted: Filter | None) -> pa.Table:
        """The rows that pass a filter, by item_id and photo."""
        import pyarrow as pa

        clause, values = _clause(wanted)
        order = 'ORDER BY item_id COLLATE "C", photo COLLATE "C"'  # by code points, as everywhere
        with self._reading() as (connection, _):
            statement = about_photos(f"SELECT {', '.join(SHOWN)} FROM {{}}{clause} {order}", self._store.address)
            rows = connection.execute(statement, values).fetchall()
        columns = list(zip(*rows, strict=True)) or [()] * len(SHOWN)
        return pa.table({name: pa.array(column, pa.string()) for name, column in zip(SHOWN, columns, strict=True)})

    def tally(self, wanted: Filter | None) -> tuple[int, int, int]:
        """The version, and how many photos and items pass a filter."""
        clause, values = _clause(wanted)
        statement = f"SELECT count(*), count(DISTINCT item_id) FROM {{}}{clause}"
        with self._reading() as (connection, version):
            row = connection.execute(about_photos(statement, self._store.address), values).fetchone()
            return version, *(row or (0, 0))

    def lacks(self, column: str) -> list[str] | None:
        """None where some row has a column, or there is no row; else names of columns that there are."""
        with self._reading() as (connection, _):
            some = about_photos(f"SELECT 1 FROM {{}} WHERE {CELLS} ? %s LIMIT 1", self._store.address)
            if connection.execute(some, (f"t:{column}",)).fetchone():
                return None
            sample = f"SELECT DISTINCT jsonb_object_keys({CELLS}) FROM (SELECT {CELLS} FROM {{}} LIMIT 1000) AS sample"
            rows = connection.execute(about_photos(sample, self._store.address)).fetchall()
        names = sorted(key.removeprefix("t:") for (key,) in rows if key.startswith("t:"))
        return names or None

    def _photos(
        self, connection: Connection, query: FloatArray, count: int, k: int, wanted: Filter | None
    ) -> list[Hit]:
        """The nearest photos of one query; every vector that passes is compared where the graph finds too few items."""
        clause, values = _clause(wanted)
        columns = ", ".join(SHOWN)
        statement = about_photos(
            f"SELECT {columns}, vector <#> %(query)s FROM {{}}{clause} ORDER BY vector <#> %(query)s LIMIT {count}",
            self._store.address,
        )
        values["query"] = query
        # Never prepared: a plan for any filter would be one for none.
        rows = connection.execute(statement, values, prepare=False).fetchall()
        if len(rows) < count and len({row[0] for row in rows}) < k:
            connection.execute("SET LOCAL enable_indexscan = off")
            rows = connection.execute(statement, values, prepare=False).fetchall()
            connection.execute("SET LOCAL enable_indexscan = on")
        return [(dict(zip(SHOWN, row[:-1], strict=True)), -float(row[-1])) for row in rows]

    @contextmanager
    def _reading(self) -> Iterator[tuple[Connection, int]]:
        """One state of the gallery, and its version."""
        with self._store.reading() as (connection, version):
            connection.execute(f"SET LOCAL hnsw.ef_search = {self._effort}")
            # With a filter, or for more neighbours than the effort: the graph is looked through further, in order.
            connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
            yield connection, version

    def _fill(self, connection: Connection) -> None:
        """Cells of rows that were written before there were any, or by another program."""
        where = self._store.address
        if not has_cells(connection, where):
            with connection.transaction():
                self._store.hold(connection)
                connection.execute(about_photos(f"ALTER TABLE {{}} ADD COLUMN IF NOT EXISTS {CELLS} jsonb", where))
                connection.execute(about_photos(f"CREATE INDEX ON {{}} (item_id) WHERE {CELLS} IS NULL", where))
        names = ("item_id", *DETAILS)
        select = f"SELECT ctid::text, {', '.join(names)} FROM {{}} WHERE {CELLS} IS NULL LIMIT {FILLED}"
        write = (
            f"UPDATE {{}} AS old SET {CELLS} = new.cells FROM unnest(%s::tid[], %s::jsonb[]) AS new(place, cells)"
            " WHERE old.ctid = new.place AND old.cells IS NULL"
        )
        some = about_photos(f"SELECT 1 FROM {{}} WHERE {CELLS} IS NULL LIMIT 1", where)
        while connection.execute(some).fetchone():  # asked without a lock: who may only read searches too
            with connection.transaction():
                self._store.hold(connection)  # as every writer: no row moves between the two statements
                rows = connection.execute(about_photos(select, where)).fetchall()
                cells = [one for (one,) in sent_cells([dict(zip(names, row[1:], strict=True)) for row in rows])]
                connection.execute(about_photos(write, where), ([row[0] for row in rows], cells))

    def _make_graph(self, connection: Connection) -> None:
        where = self._store.address
        links = min(100, max(2, self._config.hnsw_links))  # pgvector's limits
        build = min(1_000, max(self._config.hnsw_build, 2 * links))
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            if connection.execute(GRAPH, (table_of(where),)).fetchone() is None:  # nobody was quicker
                statement = (
                    f"CREATE INDEX ON {{}} USING hnsw (vector vector_ip_ops) WITH (m={links}, ef_construction={build})"
                )
                connection.execute(about_photos(statement, where))
        connection.execute(about_photos("ANALYZE {}", where))  # a plan without figures compares every vector


class _Sql:
    """The language of PostgreSQL; see :class:`dprnet.gallery.conditions.Language`."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def missing(self, column: str) -> str:
        return f"(COALESCE({self._cell('t', column)}, '') = '')"

    def holds(self, column: str, part: str) -> str:
        return f"(strpos(COALESCE({self._cell('t', column)}, ''), {self._put(part)}::text) > 0)"

    def equals(self, column: str, texts: Sequence[str], numbers: Sequence[float]) -> str:
        text, number = self._cell("t", column), self._cell("e", column)
        among = f"({text} IS NOT NULL AND {text} = ANY({self._put(list(texts))}::text[]))"
        if not numbers:
            return among
        values = f"{self._put(list(numbers))}::float8[]"
        return f"({among} OR ({number} IS NOT NULL AND {number}::float8 = ANY({values})))"

    def text(self, column: str, test: str, value: str) -> str:
        cell = self._cell("t", column)
        return f"(COALESCE({cell}, '') <> '' AND {cell} COLLATE \"C\" {test} {self._put(value)}::text)"

    def number(self, column: str, test: str, value: float) -> str:
        cell = self._cell("n", column)
        return f"({cell} IS NOT NULL AND {cell}::float8 {test} {self._put(value)}::float8)"

    def _cell(self, kind: str, column: str) -> str:
        return f"({CELLS} ->> {self._put(f'{kind}:{column}')}::text)"

    def _put(self, value: Any) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f"%({name})s"


def _clause(wanted: Filter | None) -> tuple[str, dict[str, Any]]:
    if wanted is None:
        return "", {}
    language = _Sql()
    return f" WHERE {condition(wanted, language)}", language.values
