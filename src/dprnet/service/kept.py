"""The gallery of a worker's latest job, kept open for the next one."""

from __future__ import annotations

import contextlib
from pathlib import Path

from dprnet.core.errors import DprnetError, MissingFile
from dprnet.gallery import Gallery
from dprnet.service.config import ServiceConfig


class KeptGallery:
    """Hands out galleries by their names; the latest one stays open.

    Opening one reads every vector and makes an index of them. One is kept, not all: each holds its vectors in memory.
    """

    def __init__(self, config: ServiceConfig, embedder: str) -> None:
        self._config, self._embedder = config, embedder
        self._gallery: Gallery | None = None
        self._name = ""

    def __call__(self, name: str) -> Gallery:
        """The gallery of a name at its newest version; the one handed out before is let go where it is another.

        Raises:
            MissingFile: no gallery of this name any more.
            BadGallery: damaged, out of reach, or of another embedder.
        """
        path = self._config.gallery_paths().get(name)
        if path is None:
            raise MissingFile(f"gallery {name}", "is no longer there; send the video again")
        with contextlib.suppress(DprnetError):  # its server hung up, say: opened anew, it answers or tells why not
            if self._gallery is not None and self._is(name, path) and not self._gallery.replaced():
                self._gallery.refresh()
                return self._gallery
        self.close()
        self._gallery, self._name = Gallery.open(path, embedder=self._embedder, config=self._config.index(name)), name
        return self._gallery

    def close(self) -> None:
        """Let go of it."""
        if self._gallery is not None:
            self._gallery.close()
            self._gallery = None

    def _is(self, name: str, path: Path | str) -> bool:
        return self._gallery is not None and (self._name, self._gallery.address) == (name, str(path))
