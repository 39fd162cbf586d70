"""Which commits of a gallery in Milvus count, from the rows that stand for them."""

from __future__ import annotations

import json

import pytest

from dprnet.core.errors import BadGallery
from dprnet.gallery.milvus_commits import HORIZON, HORIZON_AT, Commits, parsed
from dprnet.gallery.milvus_rows import latest


def commit(batch: str, at: int) -> dict[str, object]:
    return {"key": batch, "at": at, "note": ""}


def horizon(batch: str, commits: int) -> dict[str, object]:
    told = json.dumps({"horizon": batch, "commits": commits})
    return {"key": f"{HORIZON}{batch}", "at": HORIZON_AT, "note": told}


def row(key: str, item: str, batch: str) -> dict[str, object]:
    return {"key": key, "item_key": item, "batch": batch, "gone": False}


def test_every_commit_is_listed_at_first() -> None:
    commits = parsed([commit("1-a", 10), commit("2-b", 20)])
    assert (commits.at, commits.version, commits.horizon, commits.left) == ({"1-a": 10, "2-b": 20}, 3, "", ())
    assert [commits.order(batch) for batch in ("1-a", "2-b", "3-c")] == [10, 20, None]
    assert parsed([]) == Commits()


def test_what_is_behind_the_horizon_counts_once_whether_it_is_listed_or_not() -> None:
    """A kill may leave rows of commits that the horizon counts already, and older horizons."""
    whole = parsed([horizon("3", 2), commit("3-c", 30)])
    torn = parsed([horizon("2", 1), commit("2-b", 20), horizon("3", 2), commit("1-a", 10), commit("3-c", 30)])
    assert (torn.at, torn.version, torn.horizon) == (whole.at, whole.version, whole.horizon) == ({"3-c": 30}, 4, "3")
    assert (torn.left, whole.left) == (("1-a", "2-b", f"{HORIZON}2"), ())
    assert [torn.order(batch) for batch in ("1-a", "2-z", "3-c", "4-d")] == [0, 0, 30, None]


def test_a_listed_commit_is_later_than_all_behind_the_horizon() -> None:
    commits = Commits({"5-new": 1}, horizon="5", before=9)
    rows = [
        row("k1", "shirt", "4-old"),
        row("k2", "shirt", "5-new"),
        row("k3", "skirt", "4-old"),
        row("k4", "hat", "6"),
    ]
    assert sorted(latest(rows, commits)) == ["k2", "k3"]
    assert sorted(latest(rows, commits.until(1))) == ["k1", "k3"]


@pytest.mark.parametrize("note", ["", "[]", '{"horizon": "1"}', '{"horizon": "1", "commits": "many"}'])
def test_a_damaged_list_is_told(note: str) -> None:
    with pytest.raises(BadGallery, match="the list of its commits is damaged"):
        parsed([{"key": "horizon-1", "at": HORIZON_AT, "note": note}])
