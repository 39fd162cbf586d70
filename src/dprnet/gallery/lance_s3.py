"""The embedded store in an object store: a Lance table and a card below ``s3://BUCKET/PREFIX``.

Nothing runs but this process; the bucket is the truth. Lance commits by writing an object only where none of that name
is (``If-None-Match``), so that of two writers one tries again, as in a folder. The card is the last object written.
"""

from __future__ import annotations

import os
from typing import Any, Self

from dprnet.core.errors import BadGallery, MissingFile, printable
from dprnet.core.fetching import object_store
from dprnet.gallery.card import CARD, MAX_CARD_BYTES, GalleryCard, parse_card
from dprnet.gallery.lance import TABLE, LanceStore, connect, keyed, told
from dprnet.gallery.store import schema


class ObjectLanceStore(LanceStore):
    """Rows in a Lance table of an object store; see :class:`dprnet.gallery.store.VectorStore`.

    Addresses: ``s3://BUCKET/PREFIX``; keys and endpoint as the environment says (``AWS_ACCESS_KEY_ID``,
    ``AWS_ENDPOINT_URL``, ...).
    """

    @classmethod
    def create(cls, address: str, card: GalleryCard) -> Self:
        """An empty store below a prefix that holds nothing but, perhaps, a creation that was killed."""
        where = address.rstrip("/")
        if _card_text(where) is not None:
            raise BadGallery(where, "already holds a gallery; open it, or choose another prefix")
        others = [name for name in _names(where) if name.partition("/")[0] != f"{TABLE}.lance"]
        if others:
            raise BadGallery(where, f"is not empty (it holds {printable(others[0], 60)}); choose another prefix")
        with told(where):
            table = connect(where, _options()).create_table(TABLE, schema=keyed(schema(card.size)), mode="overwrite")
        made = cls(where, card, table)
        made._keep_card(card)
        return made

    @classmethod
    def open(cls, address: str) -> Self:
        """The store below a prefix."""
        where = address.rstrip("/")
        text = _card_text(where)
        if text is None:
            raise MissingFile(where, "no gallery here; make one with `dprnet index CATALOGUE --gallery ADDRESS`")
        with told(where):
            return cls(where, parse_card(text, where), connect(where, _options()).open_table(TABLE))

    def _connected(self) -> Any:
        return connect(self.folder, _options())

    def _keep_card(self, card: GalleryCard) -> None:
        try:
            object_store(str(self.folder)).pipe_file(_key(str(self.folder)), card.to_json().encode())
        except OSError as error:
            raise BadGallery(self.folder, f"cannot be written ({printable(str(error), 120)})") from None


def _options() -> dict[str, str]:
    """What Lance does not take from the environment by itself."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    return {"aws_endpoint": endpoint, "allow_http": str(endpoint.startswith("http://")).lower()} if endpoint else {}


def _key(address: str) -> str:
    return f"{address.partition('://')[2]}/{CARD}"


def _card_text(address: str) -> str | None:
    """The card as it stands there, or None."""
    store = object_store(address)
    try:
        if store.info(_key(address), refresh=True)["size"] > MAX_CARD_BYTES:
            raise BadGallery(address, f"its {CARD} is larger than {MAX_CARD_BYTES} bytes")
        return bytes(store.cat_file(_key(address))).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except PermissionError:
        raise BadGallery(address, "may not be read with the credentials at hand") from None
    except OSError as error:
        raise BadGallery(address, f"cannot be read ({printable(str(error), 120)})") from None


def _names(address: str) -> list[str]:
    """What lies below an address, relative to it."""
    prefix = address.partition("://")[2]
    try:
        found = object_store(address).find(prefix, refresh=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadGallery(address, f"cannot be listed ({printable(str(error), 120)})") from None
    return [name.removeprefix(prefix).lstrip("/") for name in found]
