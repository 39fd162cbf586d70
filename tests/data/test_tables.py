"""CSV files of data sets: every row with its line, whatever its fields hold; every fault with file and line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data import tables
from dprnet.data.tables import read_table

field = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0"), max_size=8)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(field, field), max_size=4))
def test_fields_come_back_whatever_they_hold(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    path = tmp_path / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(("image", "item_id"))
        writer.writerows(rows)
    read = read_table(path, ("image", "item_id"))
    assert [line for line, _ in read] == list(range(2, len(rows) + 2))
    assert [tuple(row.values()) for _, row in read] == [(a.strip(), b.strip()) for a, b in rows]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image\na.jpg\n", "line 1: column 'item_id' is missing; wanted image, item_id"),
        ("", "line 1: column 'image' is missing"),
        ("image,item_id\na.jpg,1\nb.jpg\n", "line 3: a row must have 2 fields"),
        ("image,item_id\na.jpg,1,2\n", "line 2: a row must have 2 fields"),
        (b"image,item_id\n\xff\xfe,1\n", r"cannot be read as UTF-8 text \(UnicodeDecodeError\)"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadDataset, match=sentence) as caught:
        read_table(path, ("image", "item_id"))
    assert caught.value.thing.endswith("table.csv")


def test_marks_of_the_byte_order_and_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b'\xef\xbb\xbfimage,item_id\r\n"two\r\nlines.jpg", 7 \r\nb.jpg,8\r\n')
    assert [(line, row["item_id"]) for line, row in read_table(path, ("image",))] == [(3, "7"), (4, "8")]
    monkeypatch.setattr(tables, "MAX_BYTES", 10)
    with pytest.raises(BadDataset, match="larger than 10 bytes"):
        read_table(path, ())
    with pytest.raises(MissingFile, match="no such table"):
        read_table(tmp_path / "none.csv", ())
