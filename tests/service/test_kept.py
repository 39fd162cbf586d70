"""A worker's gallery stays open from job to job, and is never an old one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dprnet.core.errors import BadGallery, MissingFile
from dprnet.gallery import Gallery, Item, switch
from dprnet.service.config import ServiceConfig
from dprnet.service.kept import KeptGallery

EMBEDDER = "tiny@1"


def made(folder: Path, *ids: str) -> Path:
    with Gallery.create(folder, embedder=EMBEDDER, size=2) as gallery:
        put(gallery, *ids)
    return folder


def put(gallery: Gallery, *ids: str) -> None:
    vectors = np.random.default_rng(0).standard_normal((len(ids), 2)).astype(np.float32)
    gallery.upsert([Item(one, (Path(f"{one}.jpg"),)) for one in ids], vectors)


def held(gallery: Gallery) -> set[str]:
    return {match.item_id for match in gallery.search(np.ones((1, 2), np.float32), 100)[0]}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[KeptGallery]:
    galleries: dict[str, Path | str] = {"shop": made(tmp_path / "shop", "a"), "other": made(tmp_path / "other", "x")}
    switch(tmp_path / "live", tmp_path / "shop")
    opened = KeptGallery(ServiceConfig(folder=tmp_path, galleries=galleries | {"live": tmp_path / "live"}), EMBEDDER)
    yield opened
    opened.close()


def test_it_stays_open_while_nothing_changes(kept: KeptGallery) -> None:
    first = kept("shop")
    assert held(first) == {"a"}
    index = first._served.index
    again = kept("shop")
    assert again is first
    assert again._served.index is index, "the vectors were not read again"


def test_the_next_job_sees_what_was_written_meanwhile(kept: KeptGallery, tmp_path: Path) -> None:
    first = kept("shop")
    assert held(first) == {"a"}
    with Gallery.open(tmp_path / "shop") as writer:
        put(writer, "b")
    assert held(kept("shop")) == {"a", "b"}
    assert kept("shop") is first


def test_only_the_latest_is_kept(kept: KeptGallery) -> None:
    first = kept("shop")
    assert held(kept("other")) == {"x"}
    assert kept("shop") is not first
    assert held(kept("shop")) == {"a"}


def test_a_gallery_that_was_deleted_and_made_again_is_another(kept: KeptGallery, tmp_path: Path) -> None:
    """Its version may be that of the old one."""
    old = kept("shop")
    version = old.version
    assert held(old) == {"a"}
    shutil.rmtree(tmp_path / "shop")
    with pytest.raises(MissingFile):
        kept("shop")
    made(tmp_path / "shop", "new")
    new = kept("shop")
    assert (held(new), new.version) == ({"new"}, version)


def test_a_live_name_is_followed(kept: KeptGallery, tmp_path: Path) -> None:
    assert held(kept("live")) == {"a"}
    switch(tmp_path / "live", tmp_path / "other")
    shutil.rmtree(tmp_path / "shop")
    assert held(kept("live")) == {"x"}


def test_what_cannot_be_had_is_told_and_the_next_one_works(kept: KeptGallery, tmp_path: Path) -> None:
    assert held(kept("shop")) == {"a"}
    card = (tmp_path / "shop" / "gallery.json").read_text()
    (tmp_path / "shop" / "gallery.json").write_text("{")
    with pytest.raises(BadGallery, match="damaged"):
        kept("shop")
    with pytest.raises(MissingFile, match="gallery gone: is no longer there; send the video again"):
        kept("gone")
    (tmp_path / "shop" / "gallery.json").write_text(card)
    assert held(kept("shop")) == {"a"}
