"""Catalogues whose table and photos lie on a web server or in an object store, against real servers."""

from __future__ import annotations

import http.server
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from dprnet.cli import run
from dprnet.core.errors import BadCatalogue, MissingFile
from dprnet.core.fetching import FetchLimits
from dprnet.gallery import Gallery
from dprnet.gallery.remote import read_anywhere
from dprnet.pipeline import index_catalogue

HERE = FetchLimits(private=True)


@pytest.fixture(scope="module")
def shop(web_server: Callable[..., AbstractContextManager[str]], small_catalogue: Path) -> Iterator[str]:
    """The small catalogue on a web server."""
    with web_server(http.server.SimpleHTTPRequestHandler, directory=str(small_catalogue.parent)) as address:
        yield address


def test_photos_at_addresses(shop: str, random_bundle: Path, tmp_path: Path) -> None:
    table = tmp_path / "shop.csv"
    table.write_text(f"item_id,image\nred,{shop}/red.png\nblue,{shop}/blue.png\ngone,{shop}/gone.png\n", "utf-8")
    with pytest.raises(BadCatalogue, match="only files are read"):
        index_catalogue(table, tmp_path / "gallery", bundle=random_bundle)
    done = index_catalogue(table, tmp_path / "gallery", bundle=random_bundle, fetch=HERE)
    assert (done.items, done.photos) == (2, 2)
    assert "answered 404" in " ".join(problem.sentence for problem in done.problems)
    with Gallery.open(tmp_path / "gallery") as opened:
        assert [item.images for item in opened.items()] == [(f"{shop}/blue.png",), (f"{shop}/red.png",)]
        assert next(opened.items()).files == ()
    again = index_catalogue(table, tmp_path / "gallery", bundle=random_bundle, fetch=HERE)
    assert (again.photos, again.unchanged) == (0, 2)


def test_the_same_photo_gives_the_same_content_wherever_it_lies(
    shop: str, random_bundle: Path, small_catalogue: Path, tmp_path: Path
) -> None:
    """Moving photos to a server embeds nothing again."""
    index_catalogue(small_catalogue, tmp_path / "gallery", bundle=random_bundle)
    moved = index_catalogue(f"{shop}/catalogue.csv", tmp_path / "gallery", bundle=random_bundle, fetch=HERE)
    assert (moved.items, moved.photos, moved.unchanged) == (6, 0, 0)


def test_nobody_inside_is_asked_by_a_catalogue(shop: str, random_bundle: Path, tmp_path: Path, capsys) -> None:
    table = tmp_path / "shop.csv"
    table.write_text(f"item_id,image\nred,{shop}/red.png\n", "utf-8")
    words = ["index", str(table), "--gallery", str(tmp_path / "gallery"), "--bundle", str(random_bundle)]
    assert run(words) == 3
    assert "not on the public internet" in (tmp_path / "gallery" / "problems.csv").read_text("utf-8")
    assert run([*words, "--no-addresses"]) == 2
    assert "only files are read" in capsys.readouterr().err
    assert run([*words, "--private-addresses"]) == 0
    assert "1 items, 1 photos" in capsys.readouterr().out


def test_addresses_of_other_kinds(tmp_path: Path) -> None:
    table = tmp_path / "shop.csv"
    table.write_text("item_id,image\na,file:///etc/passwd\nb,gopher://a.example/b\n", "utf-8")
    with pytest.raises(BadCatalogue, match="only http://, https://, s3:// are fetched"):
        read_anywhere(table, HERE)
    with pytest.raises(MissingFile, match="none is fetched here"):
        read_anywhere("https://shop.example/catalogue.csv")


def test_a_table_at_an_address(shop: str) -> None:
    read = read_anywhere(f"{shop}/catalogue.csv?v=/2", HERE)
    assert len(read) == 6
    assert read.items[0].images == (f"{shop}/red.png", f"{shop}/red_back.png")
    with pytest.raises(MissingFile, match="answered 404"):
        read_anywhere(f"{shop}/none.csv", HERE)
    with pytest.raises(BadCatalogue, match="a binary file") as error:
        read_anywhere(f"{shop}/red.png", HERE)
    assert error.value.thing == f"{shop}/red.png"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_catalogue_in_an_object_store(
    bucket: str, random_bundle: Path, small_catalogue: Path, tmp_path: Path, capsys
) -> None:
    import fsspec

    store = fsspec.filesystem("s3")
    store.put(str(small_catalogue.parent) + "/", f"{bucket}/spring/", recursive=True)
    store.pipe(f"{bucket}/spring/notes.txt", b"no photo")
    done = index_catalogue(f"{bucket}/spring/catalogue.csv", tmp_path / "table", bundle=random_bundle, fetch=HERE)
    assert (done.items, done.photos, done.problems) == (6, 7, ())
    words = ["index", f"{bucket}/spring/", "--gallery", str(tmp_path / "folder"), "--bundle", str(random_bundle)]
    assert run(words) == 0
    assert "7 items, 7 photos" in capsys.readouterr().out
    with Gallery.open(tmp_path / "folder") as opened:
        assert [item.item_id for item in opened.items()][:2] == ["blue", "green"]
    for missing, sentence in (("autumn/", "no object"), ("autumn/catalogue.csv", "no such object")):
        assert run(["index", f"{bucket}/{missing}", *words[2:]]) == 2
        assert sentence in capsys.readouterr().err
    with pytest.raises(BadCatalogue, match="cannot be listed"):
        read_anywhere("s3://no-such-bucket-anywhere/x/", HERE)
