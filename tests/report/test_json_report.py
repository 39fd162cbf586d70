import errno
import json
from pathlib import Path

import numpy as np
import pytest

from dprnet.core.errors import BadReport, MissingFile, NoSpace
from dprnet.core.records import Embeddings, Report
from dprnet.report import jsonl_line, read_json, report_json, write_json


def test_schema_is_the_first_key(make_report, tmp_path):
    write_json(make_report(), tmp_path / "r.json")
    assert (tmp_path / "r.json").read_text(encoding="ascii").lstrip("{\n ").startswith('"schema": 1')


def test_what_a_page_needs(make_report):
    values = report_json(make_report())
    assert values["status"] == "partial"
    assert values["limits"] == {"viewpoint": 0.5, "occlusion": 0.5, "crop": 0.5}
    first, _, last = values["garments"]
    assert (first["label"], first["status"], first["decision"]) == ("top", "picked", None)
    assert (first["first_seen_s"], first["last_seen_s"]) == (0.5, 10.0)
    assert first["best_view"]["frame"] == 12
    assert first["best_view"]["box_xyxy"] == [10.5, 20.25, 110.125, 220.0]
    assert first["best_view"]["quality"] == {"viewpoint": 0.95, "occlusion": 0.9, "crop": 0.8}
    assert first["best_view"]["overall"] == pytest.approx(0.95 * 0.9 * 0.8, abs=1e-6)
    assert [view["reason"] for view in first["views"]] == [
        "best view of garment 1", "viewpoint 0.40 not above 0.50", "duplicate of garment 1",
    ]  # fmt: skip
    assert first["matches"][0]["url"] == "https://shop.example/shirt-1"
    assert first["matches"][0]["metadata"] == {"season": "spring"}
    assert (last["status"], last["best_view"]["failing"]) == ("seen", ["occlusion", "crop"])


def test_round_trip(make_report, tmp_path):
    report = make_report()
    write_json(report, tmp_path / "r.json")
    again = read_json(tmp_path / "r.json")
    assert jsonl_line(again) == jsonl_line(report)
    assert again.sources == report.sources
    assert again.matches.items == report.matches.items
    for name in ("boxes_xyxy", "labels", "scores", "viewpoint", "occlusion", "crop", "frame_index", "time_s", "source"):
        old, new = getattr(report.picks.detections, name), getattr(again.picks.detections, name)
        assert old.dtype == new.dtype
        assert np.array_equal(old, new), name
    assert again.picks.detections.embeddings.shape == (5, 0)


def test_an_empty_report_goes_there_and_back(make_report, tmp_path):
    from dprnet.core.records import Detections, Matches, Picks

    none = np.zeros(0, np.int64)
    picks = Picks(Detections.empty(), none, np.zeros((0, 3), bool), none, np.zeros(0, bool))
    full = make_report()
    report = Report(full.sources, picks, Matches(()), {}, "b", "")
    write_json(report, tmp_path / "r.json")
    assert len(read_json(tmp_path / "r.json").picks) == 0


def test_no_pixels_and_no_vectors_unless_asked(make_report):
    report = make_report(crop=True)
    assert "picture" not in jsonl_line(report)
    assert report_json(report, pixels=True)["garments"][0]["picture"].startswith("data:image/jpeg;base64,/9j/")
    vectors = Embeddings(np.array([[0.6, 0.8]], np.float32), ("1",))
    embedded = Report(
        report.sources, report.picks, report.matches, report.seconds, report.bundle, report.gallery, {}, vectors
    )
    assert "embedding" not in jsonl_line(embedded)
    garments = report_json(embedded, vectors=True)["garments"]
    assert garments[1]["embedding"] == [0.6, 0.8]
    assert "embedding" not in garments[0]


def test_a_line_is_one_line_of_plain_ascii(make_report):
    line = jsonl_line(make_report(title="a\nb\u2028c\x1b[31m\udcff\u202e", path="\ud800.mp4"))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["garments"][0]["matches"][0]["title"] == "a\nb\u2028c\x1b[31m\udcff\u202e"


def test_newer_schema_is_refused(make_report, tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps({**report_json(make_report()), "schema": 2}), encoding="utf-8")
    with pytest.raises(BadReport, match="written in schema 2, this version reads up to 1; upgrade dprnet"):
        read_json(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "nul", "{}", '{"schema": "1"}', '{"schema": 1}', '{"schema": 1, "garments": 3}', "[" * 100_000]
)
def test_damaged_reports_are_one_typed_error(text, tmp_path):
    path = tmp_path / "r.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadReport):
        read_json(path)


def test_every_cut_of_a_report_is_one_typed_error(make_report, tmp_path):
    path = tmp_path / "r.json"
    write_json(make_report(), path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 97):
        path.write_bytes(whole[:length])
        with pytest.raises(BadReport):
            read_json(path)


def test_any_missing_key_is_one_typed_error(make_report, tmp_path):
    path = tmp_path / "r.json"
    values = report_json(make_report())
    for key in set(values) - {"schema", "status", "min_span_s"}:  # the last is younger than the first reports
        path.write_text(json.dumps({k: v for k, v in values.items() if k != key}), encoding="utf-8")
        with pytest.raises(BadReport, match="damaged"):
            read_json(path)


def test_no_such_report(tmp_path):
    with pytest.raises(MissingFile, match="no such report"):
        read_json(tmp_path / "r.json")


def test_a_full_disk_leaves_the_old_report(make_report, tmp_path, monkeypatch):
    path = tmp_path / "r.json"
    write_json(make_report(), path)
    old = path.read_bytes()

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(NoSpace):
        write_json(make_report(title="other"), path)
    monkeypatch.undo()
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["r.json"]
