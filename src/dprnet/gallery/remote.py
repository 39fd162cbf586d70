"""Catalogues that are not files of this machine: a table at an address, or a folder of photos in an object store."""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dprnet.core.addresses import is_address, joined, scheme_of
from dprnet.core.errors import BadCatalogue, MissingFile, printable
from dprnet.core.fetching import FetchLimits, fetch, object_store
from dprnet.gallery.folders import READ_SUFFIXES
from dprnet.gallery.items import Catalogue, Item, read_catalogue
from dprnet.gallery.tables import CatalogueLimits


def read_anywhere(
    catalogue: Path | str, limits: FetchLimits | None = None, of_table: CatalogueLimits | None = None
) -> Catalogue:
    """:func:`read_catalogue` of a path, or of an address where addresses are allowed.

    ``s3://BUCKET/PREFIX/`` (it ends with a slash) is a folder: every object below it that is named like a photo is an
    item. Any other address is a table, fetched whole; its photos are relative to the table's place.

    Args:
        limits: what addresses may cost; None allows none.

    Raises:
        MissingFile: nothing there, or addresses are not allowed.
        BadCatalogue: as :func:`read_catalogue`; also where a store cannot list a folder to its end.
    """
    if not is_address(catalogue):
        return read_catalogue(catalogue, limits=of_table, addresses=limits is not None)
    address = str(catalogue)
    if limits is None:
        raise MissingFile(address, "is an address, and none is fetched here; save it as a file and give its path")
    tables = of_table or CatalogueLimits()
    if address.endswith("/") and scheme_of(address) == "s3":
        return _folder(address, tables)
    with tempfile.TemporaryDirectory(prefix="dprnet-") as work:
        path = Path(work) / "catalogue"
        with path.open("w+b") as file:
            whole = limits.model_copy(update={"max_bytes": tables.max_bytes, "seconds": max(limits.seconds, 3600.0)})
            fetch(address, file, whole)  # ours: an hour; a table of ten million rows has gigabytes
        try:
            read = read_catalogue(path, limits=tables, base=joined(address.partition("?")[0], ".."), addresses=True)
        except BadCatalogue as error:
            raise BadCatalogue(address, error.sentence, reason=error.reason) from None
    return Catalogue(Path(posixpath.basename(address)), read.items, read.problems, read.left_out)


def _folder(address: str, limits: CatalogueLimits) -> Catalogue:
    items: dict[str, Item] = {}
    for name in _listed(address, limits):
        place = f"s3://{name}"
        item_id = posixpath.splitext(place.removeprefix(address))[0]
        old = items.get(item_id)
        items[item_id] = Item(item_id, (*(old.images if old else ()), place))
    if not items:
        raise BadCatalogue(address, "holds no object that is named like a photo", reason="empty")
    return Catalogue(Path(posixpath.basename(address.rstrip("/"))), tuple(items.values()))


def _listed(address: str, limits: CatalogueLimits) -> Iterator[str]:
    store = object_store(address)
    try:
        names = sorted(store.find(address.partition("://")[2]))
    except OSError as error:  # half a list would look like a catalogue that lost its other half
        raise BadCatalogue(address, f"cannot be listed ({printable(str(error), 120)})") from None
    if len(names) > limits.max_rows:
        raise BadCatalogue(address, f"more than {limits.max_rows} objects", reason="limit:max_rows")
    return (name for name in names if posixpath.splitext(name)[1].lower() in READ_SUFFIXES)
