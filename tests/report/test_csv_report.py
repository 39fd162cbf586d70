import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dprnet.report import report_json, write_csv
from dprnet.report.csv_report import COLUMNS, safe_cell

DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def read(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_a_match_and_one_for_a_garment_without(make_report, tmp_path):
    write_csv(make_report(), tmp_path / "r.csv")
    rows = read(tmp_path / "r.csv")
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["garment"], row["rank"], row["item_id"]) for row in rows] == [
        ("1", "1", "shirt-1"), ("1", "2", "shirt-2"), ("2", "", ""), ("3", "", ""),
    ]  # fmt: skip
    assert rows[3]["reason"] == "best view of garment 3, but occlusion 0.20 not above 0.50, crop 0.31 not above 0.50"
    assert rows[1]["similarity"] == "-0.25"  # a number, not a text: stays a number


def test_a_row_says_what_the_json_says(make_report, tmp_path):
    report = make_report()
    write_csv(report, tmp_path / "r.csv")
    garments = {garment["garment"]: garment for garment in report_json(report)["garments"]}
    for row in read(tmp_path / "r.csv"):
        garment = garments[int(row["garment"])]
        best = garment["best_view"]
        told = {**garment, **best["quality"], "best_time_s": best["time_s"], "overall": best["overall"]}
        for name in ("label", "status", "first_seen_s", "last_seen_s", "best_time_s", "viewpoint", "crop", "overall"):
            assert row[name] == str(told[name]), name
        assert row["reason"] == best["reason"]


@pytest.mark.parametrize("start", DANGEROUS)
def test_formulas_are_disarmed_in_every_text_column(make_report, tmp_path, start):
    evil = start + "cmd|' /C calc'!A0"
    words = dict.fromkeys(("item_id", "title", "price", "category", "url", "photo"), evil)
    write_csv(make_report(path=evil, **words), tmp_path / "r.csv")
    row = read(tmp_path / "r.csv")[0]
    for column in (*words, "video"):
        assert row[column] == "'" + evil


@given(st.text(max_size=30))
def test_no_text_starts_a_formula(text):
    cell = safe_cell(text)
    assert not cell.startswith(DANGEROUS)
    assert not cell.strip().startswith(DANGEROUS)
    assert cell.endswith(text)


def test_quotes_newlines_and_half_surrogates(make_report, tmp_path):
    write_csv(make_report(title='a "b", c\nd', price="\ud800"), tmp_path / "r.csv")
    row = read(tmp_path / "r.csv")[0]
    assert row["title"] == 'a "b", c\nd'
    assert row["price"] == "?"
