"""Publishing under faults (rows R3, G3, G6): at whichever step it fails, what was there stands, or what is new."""

from __future__ import annotations

import builtins
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dprnet.core.errors import DprnetError
from dprnet.gallery import Gallery, Item, switch
from dprnet.gallery.card import GalleryCard, read_card, write_card
from dprnet.gallery.live import followed

WATCHED = {
    os: ("fsync",),
    Path: ("open", "write_text", "replace", "rename", "mkdir"),
    builtins: ("open",),
}


@contextmanager
def failing(at: int, number: int) -> Iterator[list[int]]:
    """The ``at``-th call of the file system fails; how many there were comes back."""
    calls = [0]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **more: Any) -> Any:
            calls[0] += 1
            if calls[0] == at:
                raise OSError(number, os.strerror(number))
            return real(*words, **more)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, names in WATCHED.items():
            for name in names:
                patch.setattr(owner, name, counted(getattr(owner, name)))
        yield calls


def every_step(act: Callable[[], object], whole: Callable[[bool], None], number: int) -> int:
    """Fail step 1, 2, 3 ... until none fails; after each, ``whole(done)`` looks at what stands there."""
    for at in range(1, 200):
        with failing(at, number) as calls:
            try:
                act()
                failed = False
            except (DprnetError, OSError):
                failed = True
        assert failed or calls[0] < at, f"step {at} failed, and nobody was told"
        whole(not failed)
        if not failed:
            return at - 1
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_live_name_is_the_old_one_or_the_new_one(number: int, tmp_path: Path) -> None:
    name = tmp_path / "shop.live"
    switch(name, tmp_path / "old")

    def whole(done: bool) -> None:
        assert Path(followed(name)).name in ({"new"} if done else {"old", "new"})
        assert [path.name for path in tmp_path.iterdir()] == ["shop.live"]
        if not done:
            switch(name, tmp_path / "old")

    assert every_step(lambda: switch(name, tmp_path / "new"), whole, number) >= 4


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_card_is_the_old_one_or_the_new_one(number: int, tmp_path: Path) -> None:
    old, new = (GalleryCard(2, f"tiny@{n}", 3, "cosine", "2026-01-01T00:00:00+00:00", "whole") for n in (1, 2))
    write_card(tmp_path, old)

    def whole(done: bool) -> None:
        assert read_card(tmp_path) in ((new,) if done else (old, new))

    assert every_step(lambda: write_card(tmp_path, new), whole, number) >= 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_snapshot_is_whole_or_absent(number: int, tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "shop", embedder="tiny@1", size=3) as made:
        made.upsert([Item("a", (Path("a.jpg"),))], np.eye(3)[:1])

        def whole(done: bool) -> None:
            names = {path.name for path in tmp_path.iterdir()}
            assert names <= {"shop", "kept"}, "nothing half-written stays"
            if "kept" in names:
                address = tmp_path / "again"
                with Gallery.restore(tmp_path / "kept", address) as restored:
                    assert len(restored) == 1
                shutil.rmtree(address)
                if not done:
                    shutil.rmtree(tmp_path / "kept")
            assert not done or "kept" in names

        assert every_step(lambda: made.snapshot(tmp_path / "kept"), whole, number) >= 6


FULL = """
import os, sys
from pathlib import Path
import numpy as np
from dprnet.core.errors import NoSpace
from dprnet.gallery import Gallery, Item, switch

place = Path(sys.argv[1])
rng = np.random.default_rng(0)

def some(prefix, n):
    return [Item(f"{prefix} {m}", (Path(f"{m}.jpg"),)) for m in range(n)], rng.standard_normal((n, 64))

with Gallery.create(place / "shop", embedder="tiny@1", size=64) as gallery:
    gallery.upsert(*some("first", 200))
    switch(place / "shop.live", place / "shop")
    (place / "ballast").write_bytes(bytes(1_500_000))
    told = []
    for what, act in (
        ("upsert", lambda: gallery.upsert(*some("more", 20_000))),
        ("snapshot", lambda: [gallery.snapshot(place / f"kept {n}") for n in range(200)]),
    ):
        try:
            act()
        except NoSpace as error:
            told.append(what)
            assert "no space" in str(error).lower() or "cannot be written" in str(error), error
    assert told == ["upsert", "snapshot"], told
    assert not list(place.glob("*.partial")), list(place.iterdir())
    assert gallery.refresh() in (True, False)
    assert len(gallery) == 200, len(gallery)
    (place / "ballast").unlink()
    for kept in place.glob("kept*"):
        for file in kept.iterdir():
            file.unlink()
    gallery.upsert(*some("later", 100))
    assert len(gallery) == 300
with Gallery.open(place / "shop.live") as again:
    assert len(again) == 300
print("held")
"""


@pytest.mark.slow
def test_a_disk_that_is_really_full(on_a_full_disk: Callable[[str], None]) -> None:
    """A file system of 4 MB: writing ends in NoSpace, what was there stays, and it goes on when there is room."""
    on_a_full_disk(FULL)
