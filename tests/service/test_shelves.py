"""Galleries as the service offers them: also those that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from dprnet.core.errors import BadGallery, MissingFile
from dprnet.gallery import Gallery
from dprnet.service.config import ServiceConfig
from dprnet.service.shelves import Shelves


def test_a_gallery_that_cannot_be_used_hides_no_other(tmp_path: Path) -> None:
    for name, embedder in (("ours", "tiny@1"), ("theirs", "other@2"), ("broken", "tiny@1")):
        Gallery.create(tmp_path / name, embedder=embedder, size=4).close()
    (tmp_path / "broken" / "gallery.json").write_text("{")
    named = {name: tmp_path / name for name in ("ours", "theirs", "broken")}
    shelves = Shelves(ServiceConfig(folder=tmp_path / "service", galleries=named), "tiny@1", 4)
    told = {shelf.name: (shelf.embedder, shelf.usable) for shelf in shelves.all()}
    assert told == {"ours": ("tiny@1", True), "theirs": ("other@2", False), "broken": ("", False)}
    with pytest.raises(BadGallery, match=r"^gallery theirs: built by the embedder other@2"):
        shelves.check("theirs")
    with pytest.raises(BadGallery, match=r"^gallery broken: damaged"):
        shelves.one("broken")
    with pytest.raises(MissingFile, match="there are: broken, ours, theirs"):
        shelves.check("nowhere")
    shelves.create("mine")
    assert shelves.items("mine") == []
    with pytest.raises(BadGallery, match="there is one of this name"):
        shelves.create("ours")
    shelves.delete("mine")
    assert "mine" not in shelves.names()
    shelves.close()
