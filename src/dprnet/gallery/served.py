"""What a gallery answers from: the store that its name means, and the index of one version of it."""

from __future__ import annotations

import logging
import threading

from dprnet.core.errors import DprnetError
from dprnet.gallery import live
from dprnet.gallery.address import name_of, shown
from dprnet.gallery.config import IndexConfig
from dprnet.gallery.index import PhotoIndex
from dprnet.gallery.opening import card_at, opened
from dprnet.gallery.searching import InMemory, Searched
from dprnet.gallery.server_search import OnServer, on_server, searches
from dprnet.gallery.store import TEXTS, VectorStore, store_class

logger = logging.getLogger(__name__)


class Served:
    """A store and its index; moves on to newer ones when told, never in the middle of a search."""

    def __init__(self, address: str, store: VectorStore, config: IndexConfig) -> None:
        self.address = address
        self.config = config
        self.target = live.followed(address)
        """The gallery that the address means, which is another one where the address is a live name."""
        self.store = store
        self._index: PhotoIndex | None = None
        self._before: PhotoIndex | None = None  # what answered last, where the next is to be made from it
        self._builder: threading.Thread | None = None
        self._built: tuple[str, VectorStore, PhotoIndex] | None = None
        self._server: OnServer | None = None
        if config.kind == "store":
            try:
                self._server = on_server(self.target, store, config)
            except BaseException:
                store.close()  # nobody else has it yet
                raise

    @property
    def searched(self) -> Searched:
        """What answers: the server, or the index in memory."""
        return InMemory(self.index) if self._server is None else self._server

    @property
    def index(self) -> PhotoIndex:
        """What answers; built now where it is not there."""
        if self._index is None:
            self._index = indexed(self.store, self.config, self._before)
            self._before = None
        return self._index

    @property
    def identity(self) -> str:
        """``name@version (n photos)`` of what is searched."""
        searched = self._server or (InMemory(self._index) if self._index is not None else None)
        version = self.store.version if searched is None else searched.version
        photos = self.store.count() if searched is None else searched.photos
        return f"{name_of(self.target)}@{version} ({photos} photos)"

    def changed(self) -> None:
        """After a change through this object, its next search sees it."""
        self._before, self._index = self._index or self._before, None

    def refresh(self) -> bool:
        """Let the next search see the newest version, and the gallery that a name means now; True where that moved."""
        target = self._followed()
        if target != self.target:
            self._move(target, opened(target, self.store.card.embedder), None)
            return True
        if self._server is not None:
            return self._server.moved()
        newest = self.store.version  # asked for in any case: a server that is out of reach is told of here
        moved = self._index is not None and self._index.version != newest
        if moved:
            self.changed()
        return moved

    def replaced(self) -> bool:
        """Whether another gallery stands in this one's place; what a live name newly means is for :meth:`refresh`."""
        return live.followed(self.address) == self.target and card_at(self.target).created != self.store.card.created

    def close(self) -> None:
        """Let go of files, connections and memory."""
        if self._builder is not None:
            self._builder.join()
        if self._built is not None:
            self._built[1].close()
        self._index = self._before = self._built = self._builder = None
        self.store.close()

    def _followed(self) -> str:
        """The gallery that the name means now; the old one where the new one is of another embedder."""
        target = live.followed(self.address)
        if target != self.target:
            other = store_class(target).open(target)
            other.close()
            if other.card.embedder != self.store.card.embedder:
                logger.warning("%s now means a gallery of another embedder; load that bundle to follow", self.address)
                return self.target
            if self._server is not None and not searches(target):
                logger.warning("%s now means a gallery whose store does not search; the old one goes on", self.address)
                return self.target
        return target

    def _move(self, target: str, store: VectorStore, index: PhotoIndex | None) -> None:
        old, self.target, self.store, self._index = self.store, target, store, index
        self._before = None
        if self._server is not None:
            self._server = on_server(target, store, self.config)
        old.close()

    def refresh_beside(self) -> bool:
        """As :meth:`refresh`, but the next index is built in a thread; True when searches have moved on to it."""
        if self._server is not None:
            return self.refresh()  # nothing to build
        building = self._builder is not None and self._builder.is_alive()  # asked first: done then means built
        if self._built is not None:
            built, self._built, self._builder = self._built, None, None
            self._move(*built)
            return True
        target = self._followed()
        current = target == self.target and self._index is not None and self._index.version == self.store.version
        if not current and not building:
            self._builder = threading.Thread(target=self._build, args=(target,), name="gallery index", daemon=True)
            self._builder.start()
        return False

    def _build(self, target: str) -> None:
        """In a thread: the next index, over a store of its own."""
        try:
            store = opened(target, self.store.card.embedder)
            before = self._index if target == self.target else None
            self._built = (target, store, indexed(store, self.config, before))
        except DprnetError as error:  # the old index goes on; the next refresh tries again
            logger.warning("the new index of %s could not be built: %s", shown(self.address), error)


def indexed(store: VectorStore, config: IndexConfig, before: PhotoIndex | None = None) -> PhotoIndex:
    """The newest version of a store, ready to be searched; made from an earlier one's index where that is less work."""
    version, rows = store.read([*TEXTS, "vector"])
    return PhotoIndex(version, rows, store.card.size, config, before)
