from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pil

from dprnet.core.errors import BadCatalogue, DprnetError, MissingFile
from dprnet.gallery import CatalogueLimits, Item, read_catalogue, tables

ROWS = [
    {"item_id": "A1", "image": "a.jpg", "category": "top", "title": "Tee, red", "price": "9.90", "colour": "red"},
    {"item_id": "A1", "image": "b.jpg", "category": "top", "title": "Tee, red", "price": "9.90", "colour": "red"},
    {"item_id": "B2", "image": "sub/c.jpg", "category": "", "title": 'Say "hi"\nthere', "price": "", "colour": ""},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in ("a.jpg", "b.jpg", "sub/c.jpg"):
        Pil.new("RGB", (4, 4)).save(tmp_path / name)
    return tmp_path


def wanted(folder: Path) -> tuple[Item, ...]:
    red = {"colour": "red"}
    return (
        Item("A1", (folder / "a.jpg", folder / "b.jpg"), "top", "Tee, red", "", "9.90", red),
        Item("B2", (folder / "sub/c.jpg",), title='Say "hi"\nthere'),
    )


def csv_text(mark: str = ",", end: str = "\n") -> str:
    def cell(value: str) -> str:
        return '"' + value.replace('"', '""') + '"' if any(ch in value for ch in mark + '"\n') else value

    lines = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]
    return "".join(mark.join(map(cell, line)) + end for line in lines)


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_csv_with_any_mark_end_and_byte_order_mark(folder: Path, mark: str, end: str, bom: str) -> None:
    path = folder / "shop.csv"
    path.write_bytes((bom + csv_text(mark, end)).encode())
    catalogue = read_catalogue(path)
    assert catalogue.items == wanted(folder)
    assert catalogue.problems == ()
    assert len(catalogue) == 2


def test_json_lines_and_parquet_say_the_same(folder: Path) -> None:
    lines = folder / "shop.jsonl"
    lines.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n", encoding="utf-8")
    assert read_catalogue(lines).items == wanted(folder)
    table = folder / "shop.anything"
    pq.write_table(pa.Table.from_pylist(ROWS), table)
    assert read_catalogue(table).items == wanted(folder)


def test_cells_of_every_type_become_text(folder: Path) -> None:
    row = {
        "item_id": 7,
        "image": "a.jpg",
        "price": 19.5,
        "sale": True,
        "none": None,
        "sizes": ["S", "M"],
        "of": {"a": 1},
    }
    path = folder / "shop.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")
    (item,) = read_catalogue(path).items
    assert (item.item_id, item.price) == ("7", "19.5")
    assert item.metadata == {"sale": "true", "sizes": '["S", "M"]', "of": '{"a": 1}'}


def test_a_folder_is_one_item_a_photo(folder: Path) -> None:
    (folder / "no photo.txt").write_text("hello", encoding="utf-8")
    (folder / ".hidden.jpg").write_bytes((folder / "a.jpg").read_bytes())
    (folder / "broken.jpg").write_text("hello", encoding="utf-8")
    (folder / "png without a suffix").write_bytes((folder / "a.jpg").read_bytes())
    Pil.new("RGB", (4, 4)).save(folder / "a.png")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "round").symlink_to(folder)
    (folder / "nowhere.jpg").symlink_to(folder / "gone")
    catalogue = read_catalogue(folder)
    assert {item.item_id: [path.name for path in item.images] for item in catalogue.items} == {
        "a": ["a.jpg", "a.png"],
        "b": ["b.jpg"],
        "png without a suffix": ["png without a suffix"],
        "sub/c": ["c.jpg"],
    }
    assert [str(problem) for problem in catalogue.problems] == [
        "broken.jpg: named like a photo, but its content is none that is read"
    ]


def test_a_sub_folder_that_cannot_be_read_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    catalogue = read_catalogue(folder)
    assert [item.item_id for item in catalogue.items] == ["a", "b"]
    assert str(catalogue.problems[0]).endswith("sub: cannot be looked into (Permission denied)")


def test_a_folder_with_a_catalogue_in_it_is_that_table(folder: Path) -> None:
    (folder / "catalogue.csv").write_text(csv_text(), encoding="utf-8")
    assert read_catalogue(folder).items == wanted(folder)


def problems_of(folder: Path, body: str, head: str = "item_id,image,title") -> list[str]:
    path = folder / "shop.csv"
    path.write_text(f"{head}\ngood,a.jpg,\n{body}", encoding="utf-8", newline="")
    catalogue = read_catalogue(path)
    assert catalogue.items[0].item_id == "good"
    return [str(problem) for problem in catalogue.problems]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",a.jpg,", "line 3: column 'item_id' is empty"),
        ("x,,", "line 3: column 'image' is empty"),
        ("x,  ,", "line 3: column 'image' is empty"),
        ("x,none.jpg,", "line 3: image 'none.jpg': no such file"),
        ("x,sub,", "line 3: image 'sub': no such file"),
        ("x,a.jpg", "line 3: 2 cells where the header has 3"),
        ("x,a.jpg,b,c", "line 3: 4 cells where the header has 3"),
        ("good,a.jpg,", "line 3: item 'good' already has this photo"),
        ("x,http://10.0.0.1/a.jpg,", "line 3: image 'http://10.0.0.1/a.jpg' is an address; only files are read"),
        ("x,file:///etc/passwd,", "line 3: image 'file:///etc/passwd' is an address; only files are read"),
        (f"x,{'a' * 9000},", "is no usable path"),
        (f"{'i' * 501},a.jpg,", "line 3: column 'item_id' has 501 characters, at most 500"),
        ("x,a.jpg," + "t" * 100_001, "line 3: column 'title' has 100001 characters, at most 100000"),
    ],
)
def test_a_bad_row_is_told_and_the_rest_goes_on(folder: Path, row: str, problem: str) -> None:
    (told,) = problems_of(folder, row + "\nlast,b.jpg,\n")
    assert problem in told


def test_places_count_lines_not_rows(folder: Path) -> None:
    assert problems_of(folder, '\nx,a.jpg,"two\nlines"\ny,none.jpg,\n') == ["line 6: image 'none.jpg': no such file"]


def test_two_rows_of_one_item_that_disagree(folder: Path) -> None:
    told = problems_of(folder, "x,a.jpg,Red\nx,b.jpg,Blue\n")
    assert told == ["line 4: item 'x': title 'Blue' differs, the first is kept"]
    assert read_catalogue(folder / "shop.csv").items[1].images == (folder / "a.jpg", folder / "b.jpg")


def test_unnamed_columns_are_left_out(folder: Path) -> None:
    path = folder / "shop.csv"
    path.write_text(",item_id,image\n0,x,a.jpg\n", encoding="utf-8")
    assert read_catalogue(path).items == (Item("x", (folder / "a.jpg",)),)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \n\n", "the file is empty"),
        (b"item_id,image\n", "holds no usable item"),
        (b"item_id,image\nx,none.jpg\n", "first problem: line 2: image 'none.jpg': no such file"),
        (b"id,image\n", "line 1: column 'item_id' is missing; found 'id', 'image'"),
        (b"item_id,Imgae\n", "line 1: column 'image' is missing; did you mean 'imgae'?"),
        (b"item_id|image\nx|a.jpg\n", "column 'item_id' is missing"),
        (b"item_id,image,a,a\n", "line 1: column 'a' appears twice"),
        (b"item_id,image\nx,caf\xe9.jpg\n", "line 2: byte 0xe9 at position 6 is not UTF-8"),
        ("item_id,image\n".encode("utf-16"), "UTF-16 text; save it as UTF-8"),
        (b'item_id,image\nx,"a.jpg\n', "line 2: not CSV"),
        (b'item_id,image\nx,"a"b.jpg\n', "line 2: not CSV"),
        (b"item_id,image\nx,a\rb.jpg\n", "line 2: not CSV"),
        (b'[{"item_id": "x"}]', "a JSON array; write JSON Lines"),
        (b'{"item_id": ', "line 1: not JSON Lines"),
        (b'{"a":' * 100_000, "line 1: not JSON Lines"),
        (b"PAR1 and no more", "not a readable Parquet file"),
        (b"\x7fELF\0\0\0\0", "a binary file"),
        (b'item_id,image\nx,"' + b"y" * 200_000, "line 2: not CSV (field larger than field limit"),
        (b"item_id," * 2000 + b"image\n", "columns, at most 500"),
    ],
)
def test_a_catalogue_bad_as_a_whole_is_refused(folder: Path, content: bytes, sentence: str) -> None:
    path = folder / "shop.csv"
    path.write_bytes(content)
    with pytest.raises(BadCatalogue) as caught:
        read_catalogue(path)
    assert sentence in str(caught.value)
    assert "shop.csv" in str(caught.value)


def test_bad_lines_among_good_ones_in_json_lines(folder: Path) -> None:
    good = '{"item_id": "x", "image": "a.jpg"}'
    lines = [good, "{oops", "[1]", '{"image": "b.jpg"}', '{"item_id": "\\ud800", "image": "b.jpg"}', "1" * 5000]
    lines.append('{"item_id": "y", "image": "a\\u0000.jpg"}')
    path = folder / "shop.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    catalogue = read_catalogue(path)
    assert [item.item_id for item in catalogue.items] == ["x"]
    told = [str(problem) for problem in catalogue.problems]
    assert [text.split(":")[0] for text in told] == ["line 2", "line 3", "line 4", "line 5", "line 6", "line 7"]
    assert told[5] == "line 7: column 'image' holds a NUL character"
    assert "half a surrogate pair" in told[3]


def test_no_such_catalogue(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path / "a\0b", tmp_path / ("x" * 5000)):
        with pytest.raises(MissingFile):
            read_catalogue(path)
    with pytest.raises(BadCatalogue, match="no usable item"):
        read_catalogue(tmp_path)


def test_limits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "shop.csv"
    path.write_text(csv_text(), encoding="utf-8")
    for limit, value in {"max_rows": 2, "max_columns": 5, "max_bytes": 50}.items():
        with pytest.raises(BadCatalogue) as caught:
            read_catalogue(path, limits=CatalogueLimits(**{limit: value}))
        assert caught.value.reason == f"limit:{limit}"
    pq.write_table(pa.Table.from_pylist(ROWS * 5000), path)
    with pytest.raises(BadCatalogue, match="unpacked"):
        read_catalogue(path, limits=CatalogueLimits(max_bytes=path.stat().st_size + 1))
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 100)
    path.write_text("item_id,image," + "x" * 100, encoding="utf-8")
    with pytest.raises(BadCatalogue, match="longer than 100 bytes"):
        read_catalogue(path)


def test_a_parquet_file_with_damaged_pages_is_refused(folder: Path) -> None:
    path = folder / "shop.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS * 500), path)
    whole = path.read_bytes()
    told = 0
    for at in range(4, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :])
        try:
            read_catalogue(path)
        except DprnetError:
            told += 1
    assert told > 10


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"item_id,image\n", b'{"item_id": "x", "image": "a.jpg"}\n', b"PAR1"]),
)
def test_any_bytes_give_a_catalogue_or_one_error(folder: Path, body: bytes, head: bytes) -> None:
    path = folder / "any"
    path.write_bytes(head + body)
    try:
        assert read_catalogue(path).items
    except DprnetError as error:
        assert "any" in str(error)  # noqa: PT017


@pytest.mark.data
def test_every_bad_file_gives_a_catalogue_or_one_typed_error(data_root: Path) -> None:
    for path in sorted((data_root / "badinput").rglob("*")):
        try:
            read_catalogue(path)
        except (BadCatalogue, MissingFile):
            continue  # any other type fails the test


@pytest.mark.data
def test_hostile_strings_pass_through_as_data(data_root: Path, folder: Path) -> None:
    strings = [text for text in json.loads((data_root / "badinput/blns/blns.json").read_text("utf-8")) if text.strip()]
    path = folder / "shop.jsonl"
    rows = [{"item_id": str(n), "image": "a.jpg", "title": text, text: text} for n, text in enumerate(strings)]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    catalogue = read_catalogue(path)
    assert [item.title for item in catalogue.items] == strings
    assert not catalogue.problems
    known = {"item_id", "image", "title", "category", "url", "price"}
    assert all(item.metadata == {item.title: item.title} for item in catalogue.items if item.title not in known)


@pytest.mark.data
def test_the_real_catalogue_as_a_folder(data_root: Path) -> None:
    catalogue = read_catalogue(data_root / "luma")
    assert len(catalogue) == 487
    assert not catalogue.problems
