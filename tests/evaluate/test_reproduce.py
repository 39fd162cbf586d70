"""Figures and tables on a small real set: everything runs, is kept, and says what it cannot tell."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from dprnet.cli import run
from dprnet.core.bundle import Bundle
from dprnet.core.errors import BadDataset, BadRecipe
from dprnet.data.shopset import ShopSet, ShopSetWriter
from dprnet.evaluate.bootstrap import Interval
from dprnet.evaluate.reproduce import run as reproducing
from dprnet.evaluate.reproduce.artefact import Artefact, Claim, Table, above, load, save
from dprnet.evaluate.reproduce.curves import bars, new_figure
from dprnet.evaluate.reproduce.figure10 import BRANCHES, with_branches
from dprnet.evaluate.reproduce.page import write_page
from dprnet.evaluate.reproduce.run import reproduce, wanted_names
from dprnet.evaluate.reproduce.settings import ReproduceSettings
from dprnet.evaluate.reproduce.study import Study
from dprnet.evaluate.reproduce.teaching import check_apart
from dprnet.evaluate.timing import TimingSettings

FAST = ReproduceSettings(
    finest="0.5s", intervals=("0.5s", "1s"), every="0.5s", ks=(1, 2), seeds=1, epochs=3,
    timing=TimingSettings(seconds=0.01, items=(20, 60), image_size=32, size=16, hidden=8, asymnet_batches=(1,),
                          ours_batches=(1,)),
)  # fmt: skip


NAMES = [*(f"figure{number}" for number in range(5, 11)), "table1", "table3"]


def shop_set(folder: Path, name: str, colours: list[tuple[int, int, int]]) -> Path:
    """Videos of 2 s in each of which one square is worn; a shop with photos of all of them."""
    import av

    writer = ShopSetWriter(folder, {"name": name, "split": "test"})
    for number, colour in enumerate(colours):
        video = f"{name[:1]}{number}"
        with av.open(str(writer.add_video(video)), "w") as file:
            stream: Any = file.add_stream("libx264", rate=Fraction(4))
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
            for frame in range(8):
                image = np.full((96, 128, 3), 235, np.uint8)
                image[16:80, 32 + frame : 96 + frame] = colour
                file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            file.mux(stream.encode())
        writer.add_instance(video, instance=number, label=number % 2, item_id=f"A{number}" if number else None)
        for frame in range(8):
            box = (32 + frame, 16, 96 + frame, 80)
            writer.add_view(video, frame, number, box, time_s=frame / 4, viewpoint=0, occluded=0.0, cut_off=0.0)
        writer.add_item(f"A{number}", [np.full((40, 40, 3), colour, np.uint8)], category="top")
    return writer.finish().folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.mktemp("sets")
    colours = [(200, 30, 30), (30, 160, 60), (40, 40, 200)]
    return shop_set(base / "test", "test", colours), shop_set(
        base / "train", "for training", [c[::-1] for c in colours]
    )


@pytest.fixture(scope="module")
def true_boxes(sets: tuple[Path, Path], random_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study whose detections are known beforehand: laid into its cache as a run would have left them."""
    from dprnet.core.records import Detections
    from dprnet.evaluate.seen import detector_identity, see

    cache, bundle = tmp_path_factory.mktemp("cache"), Bundle.from_pretrained(random_bundle)
    for folder in sets:

        def detect(path: Path) -> Detections:
            number, frames = int(path.stem[1:]), np.arange(0, 8, 2)
            n = len(frames)
            box = np.stack([32 + frames, 16 + 0 * frames, 96 + frames, 80 + 0 * frames], axis=1)
            good = np.linspace(0.6, 0.9, n, dtype=np.float32)
            two = np.stack([good, 1 - good], axis=1)
            three = np.concatenate([two, np.zeros((n, 1), np.float32)], axis=1)
            looks = np.tile(np.eye(8, dtype=np.float32)[number], (n, 1))
            return Detections(box.astype(np.float32), np.full(n, number % 2), good[::-1].copy(), three, three, two,
                              looks, frames, (frames / 4).astype(np.float32), np.zeros(n, np.int64))  # fmt: skip

        see(ShopSet.open(folder), detect, detector=detector_identity(bundle), every="0.5s", cache=cache)
    return Study(sets[0], bundle, cache, FAST, train=(sets[1],))


def test_everything_is_made_kept_and_shown(true_boxes: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    made, page = reproduce(true_boxes, ["all"], out)
    assert [one.name for one in made] == NAMES
    by_name = {one.name: one for one in made}
    picking = by_name["figure6"].figures["as calibrated"]
    assert picking["0.5s"]["Pick"]["value"] == picking["1s"]["Pick"]["value"] == 1
    assert picking["0.5s"]["Duplication"]["value"] == 0
    methods = by_name["figure9"].figures["picked"]["methods"]
    assert set(methods) == {
        *("DPRNet", "Avg", "Avg-desc", "Max", "Last", "Max-detector-score", "Largest box", "Medoid view"),
        *("Whole-frame mean", "Oracle best view", "SEAM", "AsymNet", "IoU tracker, best view"),
    }
    assert len(methods["DPRNet"]["ranks"][0]) == 2  # two of the three garments are sold
    for name in ("DPRNet", "Last", "Max-detector-score"):
        assert methods[name]["recall"]["1"]["value"] <= methods["Oracle best view"]["recall"]["1"]["value"]
    rows = by_name["figure7"].figures["rows"]
    assert len(rows) == len(by_name["figure8"].figures["features"]) == 2
    assert all(row["query"].endswith(".mp4") and len(row["found"]) == 3 for row in rows)
    assert by_name["table1"].figures["garments"] == 3
    assert by_name["table1"].figures["sold"] == 2
    for one in made:
        assert load(out / f"{one.name}.json") == one
        assert one.wall_s > 0
        for picture in one.pictures:
            assert (out / picture).read_bytes().startswith(b"\x89PNG")
            assert (out / picture).with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    assert by_name["figure9"].processor_s > 0  # the clock of the processor counts hundredths
    text = page.read_text(encoding="utf-8")
    Balanced().feed(text)
    assert text.count("data:image/png") == 5  # clips this short have no score sheet
    assert "Table 2</b> has not been run" in text
    assert "http:" not in text
    assert "https:" not in text

    def never(study: Study, out: Path) -> Artefact:
        raise AssertionError("made again")

    kinds = {name: replace(kind, make=never) for name, kind in reproducing.KINDS.items()}
    monkeypatch.setattr(reproducing, "KINDS", kinds)
    assert reproduce(true_boxes, ["all"], out)[0] == made  # nothing is made twice
    with pytest.raises(AssertionError, match="made again"):
        reproduce(replace(true_boxes, settings=FAST.model_copy(update={"ks": (1,)})), ["figure10"], out)
    (out / "figure6.png").unlink()
    with pytest.raises(AssertionError, match="made again"):
        reproduce(true_boxes, ["figure6"], out)


def test_a_run_that_was_stopped_goes_on_where_it_stopped(
    true_boxes: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, known = ["figure5", "figure6", "table1"], dict(reproducing.KINDS)
    made: list[str] = []

    def kinds(stopped_at: str) -> dict[str, reproducing.Kind]:
        def make(name: str, study: Study, out: Path) -> Artefact:
            if name == stopped_at:
                raise KeyboardInterrupt
            made.append(name)
            return known[name].make(study, out)

        return {name: replace(kind, make=partial(make, name)) for name, kind in known.items()}

    stopped, whole = kinds("figure6"), kinds("none")
    with monkeypatch.context() as patched:
        patched.setattr(reproducing, "KINDS", stopped)
        with pytest.raises(KeyboardInterrupt):
            reproduce(true_boxes, names, tmp_path)
    assert made == ["figure5"]
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Figure 6</b> has not been made" in page  # a page of what there is
    with monkeypatch.context() as patched:
        patched.setattr(reproducing, "KINDS", whole)
        found, _ = reproduce(true_boxes, names, tmp_path)
    assert made == ["figure5", "figure6", "table1"]
    assert [one.name for one in found] == names
    assert not list(tmp_path.glob("*.partial"))


def test_the_set_that_is_measured_teaches_nobody(true_boxes: Study, tmp_path: Path) -> None:
    wrong = replace(true_boxes, train=(true_boxes.folder,))
    with pytest.raises(BadDataset, match="train on another"):
        reproduce(wrong, ["figure9"], tmp_path)


def test_a_set_that_shows_the_same_garments_teaches_nobody(sets: tuple[Path, Path], tmp_path: Path) -> None:
    measured = ShopSet.open(sets[0])
    check_apart(measured, ShopSet.open(sets[1]))
    leaks = shop_set(tmp_path / "leaks", "another name", [(9, 9, 9), (30, 160, 60)])  # worn and sold in both
    with pytest.raises(BadDataset, match=r"item 'A1' \(1 shared photos\)"):
        check_apart(measured, ShopSet.open(leaks))
    check_apart(measured, ShopSet.open(shop_set(tmp_path / "same-shop", "b", [(30, 160, 60), (7, 7, 7)])))  # not worn


def test_a_figure_is_made_again_where_files_have_changed(
    sets: tuple[Path, Path], random_bundle: Path, tmp_path: Path
) -> None:
    folder, more = tmp_path / "set", tmp_path / "more"
    shutil.copytree(sets[0], folder)
    more.mkdir()
    photo = more / "extra.png"
    keys = []
    for colour in ("red", "blue"):
        PillowImage.new("RGB", (8, 8), colour).save(photo)
        keys.append(Study(folder, Bundle.from_pretrained(random_bundle), tmp_path, FAST, distractors=(more,)).key("a"))
    assert keys[0] != keys[1]
    study = Study(folder, Bundle.from_pretrained(random_bundle), tmp_path, FAST)
    keys = [study.key("a")]
    moved = Study(shutil.copytree(folder, tmp_path / "elsewhere"), study.bundle, tmp_path, FAST)
    assert moved.key("a") == keys[0]
    (folder / "videos" / "t0.mp4").write_bytes((folder / "videos" / "t1.mp4").read_bytes())
    assert study.key("a") != keys[0]


def test_of_equal_methods_ours_stands_first() -> None:
    figure = new_figure(3, 3)
    axis = figure.subplots()
    one = Interval(0.5, 0.4, 0.6)
    bars(axis, {"ours": one, "a": one, "best": Interval(0.6, 0.5, 0.7), "none": Interval(*[float("nan")] * 3)}, "x",
         "ours", "best")  # fmt: skip
    assert [text.get_text() for text in axis.get_yticklabels()] == ["none", "a", "ours", "best"]


def test_methods_learn_from_the_first_videos_only(true_boxes: Study, tmp_path: Path) -> None:
    few = replace(true_boxes, settings=FAST.model_copy(update={"train_videos": 2}))  # of which one is sold
    assert few.key("figure9", "train_videos") != true_boxes.key("figure9", "train_videos")
    with pytest.raises(BadDataset, match="hold 1 garments"):
        reproduce(few, ["figure9"], tmp_path)


def test_first_videos_only(true_boxes: Study) -> None:
    few = replace(true_boxes, settings=FAST.model_copy(update={"videos": 2}))
    assert few.shopset.videos == ("t0", "t1")
    assert few.key("figure6") != true_boxes.key("figure6")


def test_a_figure_is_made_again_for_what_it_reads_alone(true_boxes: Study) -> None:
    alone = replace(true_boxes, train=())
    for name, kind in reproducing.KINDS.items():
        same = alone.key(name, *kind.reads) == true_boxes.key(name, *kind.reads)
        assert same is (name != "figure9"), name  # the only one that trains
    longer = replace(true_boxes, settings=FAST.model_copy(update={"timing": TimingSettings(seconds=2)}))
    changed = [name for name, kind in reproducing.KINDS.items()
               if longer.key(name, *kind.reads) != true_boxes.key(name, *kind.reads)]  # fmt: skip
    assert changed == ["table3"]


def test_names() -> None:
    assert wanted_names(["all"]) == NAMES
    assert wanted_names(["table2", "figure7", "table2"]) == ["figure7", "table2"]
    with pytest.raises(BadRecipe, match="known are figure5"):
        wanted_names(["figure77"])


def test_table_2_is_read_from_its_run_and_trained_only_when_named(
    true_boxes: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Artefact(name="table2", title="Ten methods", published="an order", key="of its own")
    (tmp_path / "run").mkdir()
    save(left, tmp_path / "run")
    study = replace(true_boxes, table2=tmp_path / "run")
    monkeypatch.setattr(reproducing, "run_table2", lambda study: pytest.fail("trained"))
    page = reproduce(study, ["table1"], tmp_path / "out")[1]
    assert "Table 2. Ten methods" in page.read_text(encoding="utf-8")
    assert "all" not in reproducing.NAMES
    monkeypatch.setattr(reproducing, "run_table2", lambda study: left)
    assert reproduce(study, ["table2"], tmp_path / "out")[0] == [left]


def test_the_command_line(sets: tuple[Path, Path], random_bundle: Path, tmp_path: Path, capsys: Any) -> None:
    arguments = ["--set", str(sets[0]), "--bundle", str(random_bundle), "--out", str(tmp_path / "out")]
    arguments += ["--cache", str(tmp_path / "cache"), "--quick"]
    docs = ["--markdown", str(tmp_path / "docs"), "--machine", "two cores", "--date", "2026-11-24"]
    assert run(["reproduce", "table1", *arguments, *docs]) == 0
    made, effort, page, text = capsys.readouterr().out.splitlines()
    assert (made, page) == ("table1: made", str(tmp_path / "out" / "index.html"))
    assert effort.startswith("made in ")
    written = Path(text).read_text(encoding="utf-8")
    assert f"dprnet reproduce table1 --set {sets[0]} --bundle {random_bundle} --quick" in written
    assert "2,000 resamples, seed 20261123" in written
    assert "Measured on two cores, 2026-11-24." in written
    assert "Figure 6 has not been made." in written
    assert "Ours is smaller" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "out" / "table1.json").read_text(encoding="utf-8"))["figures"]["videos"] == 3
    assert run(["reproduce", "figure12", *arguments]) == 2
    assert "figure12" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("low", "high", "holds"), [(0.01, 0.2, True), (-0.2, -0.01, False), (-0.1, 0.2, None), (0.0, 0.2, None)]
)
def test_a_claim_holds_only_beyond_chance(low: float, high: float, holds: bool | None) -> None:
    claim = above("A", "B", Interval((low + high) / 2, low, high), "A above B", 6)
    assert claim.holds is holds
    assert bool(claim.difference) is (holds is not True)


def test_branches_switched_off_say_one(seen: Any) -> None:
    found = seen(seed=0).detections
    assert len(BRANCHES) == 8
    blind = with_branches(found, ("crop",))
    np.testing.assert_array_equal(blind.quality[:, :2], 1)
    np.testing.assert_array_equal(blind.quality[:, 2], found.quality[:, 2])
    np.testing.assert_array_equal(with_branches(found, ()).overall, 1)
    np.testing.assert_array_equal(with_branches(found, BRANCHES[-1]).quality, found.quality)


class Balanced(HTMLParser):
    """Every tag that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_escapes_and_survives_a_missing_picture(tmp_path: Path) -> None:
    hostile = Artefact(
        name="figure5", title="<script>alert(1)</script>", published="<b>", pictures=("gone.png",),
        claims=(Claim(published="x<y", ours="&", holds=False, difference="<i>"),),
        tables=(Table(title="<t>", columns=("<c>",), rows=(("<img src=x>",),)),),
    )  # fmt: skip
    save(hostile, tmp_path)
    text = write_page([hostile], tmp_path, title="<title>", about="a").read_text(encoding="utf-8")
    for raw in ("<script", "<img", "<i>", "<t>", "<c>"):
        assert raw not in text
    assert "gone.png is missing" in text
    assert load(tmp_path / "figure5.json") == hostile
    (tmp_path / "figure5.json").write_text("{", encoding="utf-8")
    assert load(tmp_path / "figure5.json") is None
