"""Milvus's client: connections, collections, and its errors as ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from dprnet.core.errors import BadGallery, MissingExtra, NoSpace
from dprnet.gallery.address import ServerAddress
from dprnet.gallery.card import GalleryCard, parse_card

logger = logging.getLogger(__name__)

CALL_IDS = 500  # ours: keys of 64 letters in one expression
CALL_S = 60.0  # ours: how long one call to the server may last
# The client asks every ten seconds whether an idle server is there; one with gRPC's own limits hangs up on who asks so
# often. A call that gets no answer ends after CALL_S all the same. The client shares one connection to a server among
# all that a process makes, with the options of whoever came first, so ours are connections of their own.
QUIET = {"grpc.keepalive_time_ms": 330_000, "grpc.keepalive_permit_without_calls": False}


def collections(where: ServerAddress) -> tuple[str, str]:
    """Names of a gallery's collections: rows, and commits."""
    return f"dprnet_{where.name}", f"dprnet_{where.name}_commits"


def make_collection(
    client: Any,
    name: str,
    texts: Mapping[str, int],
    others: Mapping[str, str],
    size: int,
    graph: Mapping[str, int] | None = None,
) -> None:
    """A new collection; one that a killed creation left behind goes.

    Args:
        texts: fields and their bytes at most.
        others: fields and their types.
        size: numbers of its vectors.
        graph: links and effort of a graph (HNSW) over them.
    """
    from pymilvus import DataType

    client.drop_collection(name, timeout=CALL_S)
    form = client.create_schema(auto_id=False, enable_dynamic_field=False)
    form.add_field("key", DataType.VARCHAR, is_primary=True, max_length=128)
    for text, length in texts.items():
        form.add_field(text, DataType.VARCHAR, max_length=length)
    for other, kind in others.items():
        form.add_field(other, DataType[kind])
    form.add_field("vector", DataType.FLOAT_VECTOR, dim=size)
    index = client.prepare_index_params()
    kind = "HNSW" if graph else "FLAT"  # Milvus loads nothing without an index
    index.add_index("vector", index_type=kind, metric_type="IP", params=dict(graph or {}))
    client.create_collection(name, schema=form, index_params=index, consistency_level="Strong", timeout=CALL_S)


def stored_card(client: Any, where: ServerAddress) -> GalleryCard | None:
    """The card of a gallery, or None where there is no gallery."""
    _, commits = collections(where)
    if not client.has_collection(commits, timeout=CALL_S):
        return None
    return max(stored_cards(client, commits, where).values(), key=lambda card: card.schema, default=None)


def stored_cards(client: Any, commits: str, where: ServerAddress) -> dict[str, GalleryCard]:
    """The cards in a collection of commits by their keys: two where one was being replaced, and the newer holds."""
    found = client.query(commits, filter="at == 0", output_fields=["key", "note"], timeout=CALL_S)
    return {row["key"]: parse_card(row["note"], where) for row in found}


@contextmanager
def connecting(where: ServerAddress) -> Iterator[Any]:
    """A client of the server that an address names; stays open after the block, closed where the block fails."""
    client = connect(where)
    try:
        yield client
    except BaseException:
        client.close()
        raise


def connect(where: ServerAddress) -> Any:
    """A client of the server that an address names, with a connection of its own."""
    from pymilvus import MilvusClient

    parts = urlsplit(where.server)
    tls = parse_qs(parts.query).get("tls", ["0"])[0] not in {"0", "false"}
    return MilvusClient(
        uri=f"{'https' if tls else 'http'}://{parts.hostname or '127.0.0.1'}:{parts.port or 19530}",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        db_name=parts.path.strip("/"),
        timeout=CALL_S,
        grpc_options=QUIET,
        dedicated=True,
    )


@contextmanager
def told(where: ServerAddress) -> Iterator[None]:
    """What the client library raises, as one of our errors."""
    try:
        import grpc
        from pymilvus.exceptions import MilvusException
    except ImportError:
        raise MissingExtra(where, "galleries in Milvus need pymilvus: pip install 'dprnet[milvus]'") from None
    try:
        yield
    except (MilvusException, grpc.RpcError) as error:
        logger.debug("the store failed", exc_info=True)
        text = " ".join(str(error).split())[:200]
        if "No space left" in text or "disk quota" in text.lower():
            raise NoSpace(where, "no space left on the server; earlier data is intact") from None
        raise BadGallery(where, f"the server cannot be used ({type(error).__name__}: {text})") from None
