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
    for verb in ("list", "items"):
        assert run(["gallery", verb, gallery, "--where", "price < 15"]) == 0
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


def test_adding_and_asking_by_a_photo(random_bundle: Path, small_catalogue: Path, tmp_path: Path, capsys) -> None:
    lines = small_catalogue.read_text("utf-8").splitlines()
    first, more = small_catalogue.parent / "first.csv", small_catalogue.parent / "more.csv"
    first.write_text("\n".join(lines[:3]) + "\n", "utf-8")
    more.write_text("\n".join([lines[0], *lines[3:], "gone,gone.png,,,,"]) + "\n", "utf-8")
    gallery, bundle = str(tmp_path / "gallery"), ["--bundle", str(random_bundle)]
    assert run(["gallery", "add", gallery, str(first), *bundle]) == 2  # add makes none: a misspelt name would pass
    assert "no gallery here" in capsys.readouterr().err
    assert run(["index", str(first), "--gallery", gallery, *bundle]) == 0
    assert run(["gallery", "add", gallery, str(more), *bundle]) == 3
    printed = capsys.readouterr()
    assert "6 items, 5 photos embedded" in printed.out
    assert "1 problems" in printed.err
    assert run(["gallery", "search", gallery, str(small_catalogue.parent / "blue.png"), "--items", "2", *bundle]) == 0
    assert capsys.readouterr().out.startswith("1.000\tblue\t")
    assert run(["gallery", "doctor", gallery]) == 0
    assert capsys.readouterr().out.startswith("6 items, 7 photos, version ")


def test_the_doctor_tells_what_is_wrong(gallery: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import lancedb

    table = lancedb.connect(gallery).open_table("photos")
    table.add(table.search().where("item_id = 'a'").limit(1).to_arrow())
    table.update(where="item_id = 'b'", values={"vector": [0.0, 3.0, 0.0]})
    assert run(["gallery", "doctor", gallery]) == 3
    told = capsys.readouterr().out.splitlines()
    assert told[1] == (
        "wrong: 1 photos (of b): vectors that are no direction of length 1; index the catalogue again with "
        "`dprnet index CATALOGUE --fresh`, or remove these items"
    )
    assert told[2].startswith("wrong: 1 photos (of a): one photo stands there twice")
    assert told[3].startswith("3 photos (of a, b): nobody knows what they were made of")
    assert told[4].startswith("3 photos (of a, b): the photo's file is gone")
    table.update(where="item_id = 'b'", values={"vector": [0.0, 1.0, 0.0]})
    assert run(["gallery", "remove", gallery, "a"]) == 0
    assert run(["gallery", "doctor", gallery]) == 0
