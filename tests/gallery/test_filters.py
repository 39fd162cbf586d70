from __future__ import annotations

import contextlib
import json
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dprnet.core.errors import BadFilter
from dprnet.gallery.cells import number_of
from dprnet.gallery.columns import ItemColumns
from dprnet.gallery.filters import MAX_DEPTH, parse_filter

SHOP = [  # item_id, category, title, url, price, other columns
    ("a", "Dress", "Summer dress", "", "19.99", {"in_stock": "true", "colour": "red", "since": "2026-03-01"}),
    ("b", "dress", "Wool dress", "", "1.299,00 EUR", {"in_stock": "no", "colour": "Dark Red", "since": "2025-12-31"}),
    ("c", "top", "T-shirt", "", "", {"in_stock": "1", "colour": "blue", "size": "38"}),
    ("d", "", "Cap", "", "5", {"Colour family": "blue"}),
]


@pytest.fixture(scope="module")
def shop() -> ItemColumns:
    names = ("item_id", "category", "title", "url", "price", "metadata")
    rows = [dict(zip(names, (*row[:5], json.dumps(row[5])), strict=True)) for row in SHOP]
    return ItemColumns(pa.Table.from_pylist(rows))


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("category = dress", "ab"),
        ("category == 'DRESS'", "ab"),
        ("category != dress", "cd"),
        ("price < 20", "ad"),
        ("price >= 19.99", "ab"),
        ("price between 5 and 19.99", "ad"),
        ("price = 5.00", "d"),
        ("in_stock = true", "ac"),
        ("in_stock = false", "b"),
        ("not in_stock = true", "bd"),
        ("colour in (red, blue)", "ac"),
        ("colour not in (red, 'dark red')", "cd"),
        ("colour ~ red", "ab"),
        ("title ~ 'DRESS'", "ab"),
        ("since < 2026-01-01", "b"),
        ("since >= '2026-01-01'", "a"),
        ("since between 2025-01-01 and 2026-12-31", "ab"),
        ("price is missing", "c"),
        ("price is not missing", "abd"),
        ("'Colour family' = blue", "d"),
        ('"Colour family" = "blue"', "d"),
        ("category = dress and price < 50 or item_id = c", "ac"),
        ("category = dress and (price < 50 or item_id = c)", "a"),
        ("NOT (category = dress OR category = top)", "d"),
        ("size = 38.0", "c"),
        ("size < abc", "c"),
        ("title=Cap", "d"),
    ],
)
def test_filters(shop: ItemColumns, text: str, ids: str) -> None:
    passed = "".join(row[0] for row, passes in zip(SHOP, shop.passing(text), strict=True) if passes)
    assert passed == ids
    assert shop.passing(text) is shop.passing(text)  # kept for the next time


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it ends where a column is wanted"),
        ("category", "it ends where one of ="),
        ("category =", "it ends where a value is wanted"),
        ("category = dress price < 5", "found 'price' where 'and', 'or' or the end is wanted"),
        ("(category = dress", "it ends where ')' is wanted"),
        ("colour in red", "found 'red' where '(' is wanted"),
        ("price between 1", "it ends where 'and' is wanted"),
        ("price is 5", "found '5' where 'missing' is wanted"),
        ("title = 'open", "cannot be read from"),
        ("and = 5", "found 'and' where a column is wanted"),
        ("not " * (MAX_DEPTH + 1) + "a = b", "inside one another"),
        ("(" * 5000 + "a = b", "inside one another"),
        ("x = " + "y" * 10_000, "at most 10000"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, sentence: str) -> None:
    with pytest.raises(BadFilter, match=re.escape(sentence)):
        parse_filter(text)


def test_a_column_that_no_item_has_is_told_with_the_nearest(shop: ItemColumns) -> None:
    with pytest.raises(BadFilter, match=r"column 'color': no item of the gallery has it; did you mean 'colour'\?"):
        shop.passing("color = red")
    with pytest.raises(BadFilter, match=r"its columns: Colour family, category, colour"):
        shop.passing("xyzzy = 1")


@given(st.text(max_size=60))
def test_any_text_is_read_or_told(text: str) -> None:
    with contextlib.suppress(BadFilter):
        parse_filter(text)


@given(st.text(min_size=1, max_size=30).filter(lambda text: "\0" not in text))
def test_any_value_in_quotes_finds_its_item_alone(value: str) -> None:
    rows = [
        {"item_id": name, "metadata": json.dumps({"brand": brand})} for name, brand in (("x", value), ("y", "other"))
    ]
    quoted = "'" + value.replace("'", "''") + "'"
    passed = ItemColumns(pa.Table.from_pylist(rows)).passing(f"brand = {quoted}").tolist()
    assert passed == [True, value.casefold() == "other"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e3", 1000), ("1 299,50", 1), ("1\u00a0299,50 kr", 1299.5), ("1'299.50", 1299.5), ("1.299.000", 1299000),
     ("-5", -5), ("EUR 12,5", 12.5), ("0.999", 0.999), ("12,999", 12999), ("1_000", 1)],
)  # fmt: skip
def test_numbers_in_prices(text: str, number: float) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize("text", ["", "nan", "inf", "free", "-", "."])
def test_what_is_no_number(text: str) -> None:
    assert number_of(text) != number_of(text)
