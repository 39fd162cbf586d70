"""The verbs about galleries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dprnet.cli import run
from dprnet.gallery import Gallery, Item


@pytest.fixture
def gallery(tmp_path: Path) -> str:
    with Gallery.create(tmp_path / "shop", embedder="tiny@1", size=3) as made:
        items = [Item("a", (Path("a.jpg"),), "dress", "A", price="10"), Item("b", (Path("b.jpg"),), "top", price="20")]
        made.upsert(items, np.eye(3)[:2])
    return str(tmp_path / "shop")


def test_looking_and_removing(gallery: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gallery", "show", gallery]) == 0
    told = capsys.readouterr().out
    assert told.startswith("exact, 2 items, 2 photos, version ")
    assert "embedder tiny@1, 3 numbers" in told
    assert run(["gallery", "items", gallery, "--where", "price < 15"]) == 0
    assert capsys.readouterr().out == "a\tdress\t10\tA\n"
    assert run(["gallery", "items", gallery, "--where", "prize < 15"]) == 2
    assert "did you mean 'price'?" in capsys.readouterr().err
    assert run(["gallery", "compact", gallery]) == 0
    assert run(["gallery", "remove", gallery, "a", "nobody"]) == 3
    printed = capsys.readouterr()
    assert printed.out.startswith("1 removed, version ")
    assert printed.err == "nobody: not in the gallery\n"


def test_keeping_and_switching(gallery: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, name, new = str(tmp_path / "kept"), str(tmp_path / "shop.live"), str(tmp_path / "new")
    assert run(["gallery", "snapshot", gallery, kept]) == 0
    assert run(["gallery", "restore", kept, new]) == 0
    assert "(2 photos), 2 items" in capsys.readouterr().out
    assert run(["gallery", "switch", name, gallery]) == 0
    assert run(["gallery", "switch", name, new]) == 0
    assert capsys.readouterr().out.endswith(f"{name}: {new}, before {gallery}\n")
    assert run(["gallery", "show", name]) == 0
    assert run(["gallery", "switch", name, str(tmp_path / "absent")]) == 2
    assert run(["gallery", "restore", str(tmp_path / "absent"), str(tmp_path / "x")]) == 2
