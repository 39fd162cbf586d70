"""Calibration of exact, similar and none: on cases whose truth is known, by hand, and through the command."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dprnet.cli import run
from dprnet.core.bundle import Bundle
from dprnet.core.errors import BadDataset
from dprnet.core.records import Detections, Match
from dprnet.data.shopset import ShopSet
from dprnet.evaluate.match_cases import EXACT, NONE, NOTHING, SIMILAR, MatchCase, match_cases, shown_in_any_class
from dprnet.evaluate.match_figures import match_figures, speakers
from dprnet.evaluate.match_fit import MatchFitConfig, case_table, fit_curves, unseen_probabilities, worthy_classes
from dprnet.evaluate.matching import calibrate_matching, remembered
from dprnet.evaluate.picking import shown_instances
from dprnet.evaluate.seen import Seen
from dprnet.gallery.decision import Curve, MatchingConfig
from dprnet.pick import PickConfig

GOOD = PickConfig(cut_distance=0.3, min_views=2)


class Folder(ShopSet):
    """A set of which only the paths of the videos and the looks of its garments are asked."""

    looks: dict[int, tuple[int, dict[str, str]]]

    def video_path(self, name: str) -> Path:
        return Path(name)

    @property
    def instances(self):  # type: ignore[override, no-untyped-def]
        import pyarrow as pa

        rows = [{"instance": n, "label": label, "attributes": json.dumps(told)} for n, (label, told) in LOOKS.items()]
        return pa.Table.from_pylist(rows)


LOOKS = {
    0: (0, {"class": "vest", "print": "dots", "sleeve": "none", "length": "hip", "neckline": "v"}),
    1: (1, {"class": "long sleeve outwear", "print": "plain", "sleeve": "long", "length": "hip", "neckline": "v"}),
    2: (2, {"class": "trousers", "print": "plain", "sleeve": "", "length": "ankle", "neckline": ""}),
    3: (0, {"class": "vest", "print": "plain", "sleeve": "none", "length": "hip", "neckline": "v"}),
}
DOTTED = Match("dotted", 0.7, category="long sleeve top", metadata={"print": "dots"})
SKIRT = Match("skirt", 0.6, category="skirt", metadata={"print": "plain"})


@pytest.fixture
def shopset() -> ShopSet:
    return Folder(Path(), {"id": "made-1"})


def answers(video: Seen, told: dict[int, list[Match]]) -> Callable[..., Sequence[Sequence[Match]]]:
    """A search that knows what each view shows."""

    def search(path: Path, views: Detections, k: int) -> Sequence[Sequence[Match]]:
        places = {
            (int(f), *box): int(n)
            for f, box, n in zip(
                video.detections.frame_index, video.detections.boxes_xyxy.tolist(), shown_instances(video), strict=True
            )
        }
        shown = [places[(int(f), *box)] for f, box in zip(views.frame_index, views.boxes_xyxy.tolist(), strict=True)]
        return [told[number][:k] for number in shown]

    return search


def test_relations_of_first_items(shopset: ShopSet, seen: Callable[..., Seen]) -> None:
    video = seen(seed=0, false=0)  # garments 0 to 2 have items, 3 has none
    told = {
        0: [Match("item0-0", 0.9), DOTTED, SKIRT],
        1: [SKIRT, Match("item0-1", 0.5)],
        2: [Match("item0-2", 0.8), Match("twin", 0.8)],
        3: [replace(SKIRT, category="vest")],
    }
    cases = match_cases(shopset, [video], GOOD, answers(video, told), hide=True)
    found = {(case.instance, case.hidden): case for case in cases}
    assert {key: case.relation for key, case in found.items()} == {
        (0, False): EXACT, (0, True): SIMILAR,  # behind its item one of its print
        (1, False): NONE, (1, True): NONE,
        (2, False): EXACT, (2, True): NONE,
        (3, False): SIMILAR,
    }  # fmt: skip
    assert found[0, False].margin == pytest.approx(0.2)
    assert found[0, True].margin == pytest.approx(0.1)
    assert np.isnan(found[3, False].margin)
    assert [found[key].sold for key in ((0, False), (0, True), (3, False))] == [True, False, False]


def test_a_pick_of_another_class_still_shows_its_garment(seen: Callable[..., Seen]) -> None:
    video = seen(seed=0, false=2)
    strict = shown_instances(video)
    other = replace(video.detections, labels=np.where(strict == 1, 4, video.detections.labels))
    from dprnet.evaluate.seen import match

    wrong = match(other, video.truth)
    assert not (shown_instances(wrong) == 1).any()
    assert (shown_in_any_class(wrong) == strict).all()
    assert (strict == NOTHING).sum() == 2


def made_cases(count: int = 400, seed: int = 0, labels: int = 6) -> list[MatchCase]:
    """Cases of which P(exact) = 1 / (1 + exp(-(20 s - 14))), and the rest is none."""
    rng = np.random.default_rng(seed)
    cases = []
    for number in range(count):
        similarity = float(rng.uniform(0.4, 1.0))
        exact = rng.random() < 1 / (1 + np.exp(-(20 * similarity - 14)))
        relation = EXACT if exact else NONE
        margin = float(rng.uniform(0, 0.2))
        cases.append(
            MatchCase(f"v{number % 20}", number % labels, similarity, margin, relation, number, True, overall=0.5)
        )
    return cases


def test_the_fit_finds_the_curve() -> None:
    config = MatchFitConfig(slope=100.0)
    table = case_table(made_cases(4000), config.without_item)
    curves = fit_curves(table, config)
    probability = curves(table)
    truth = 1 / (1 + np.exp(-(20 * table.features[:, 0] - 14)))
    assert np.abs(probability[:, 2] - truth).max() < 0.06
    assert probability[:, 1].max() < 0.05  # nothing was similar
    assert (curves.pooled[:, 1:] >= 0).all()


def test_garments_without_an_item_share_the_wanted_weight() -> None:
    cases = made_cases(30)
    cases += [replace(case, sold=False, hidden=True, relation=NONE) for case in cases[:15]]
    cases.append(replace(cases[0], instance=NOTHING, sold=False, relation=NONE))
    table = case_table(cases, 0.2)
    assert table.weight[:30].sum() == 30
    assert table.weight[30:45].sum() / (30 + table.weight[30:45].sum()) == pytest.approx(0.2)
    assert table.weight[45] == 1  # a false pick counts as it is


def test_no_case_is_judged_by_a_fit_that_has_seen_its_video() -> None:
    cases = made_cases(60)
    config = MatchFitConfig()
    before = unseen_probabilities(case_table(cases, 0.1), config)
    turned = [replace(case, relation=EXACT - case.relation) if case.video == "v3" else case for case in cases]
    after = unseen_probabilities(case_table(turned, 0.1), config)
    mine = np.array([case.video == "v3" for case in cases])
    assert np.allclose(before[mine], after[mine])
    assert not np.allclose(before[~mine], after[~mine])


def test_a_class_gets_its_own_curve_where_it_differs() -> None:
    config = MatchFitConfig()
    cases = made_cases(360, labels=2)
    assert worthy_classes(case_table(cases[:60], 0.1), config) == ()  # 30 of each: too few
    strange = [replace(case, similarity=case.similarity - 0.3) if case.label == 1 else case for case in cases]
    assert 1 in worthy_classes(case_table(strange, 0.1), config)


def test_the_threshold_keeps_its_word(tmp_path: Path) -> None:
    done = calibrate_matching(made_cases(1500), "e@1", fit=MatchFitConfig(precision=0.9))
    figures = done.figures()
    assert figures["precision_of_exact"] >= 0.9
    assert 0.2 < figures["exact_of_sold_picked"] < 1
    assert done.log_loss < done.log_loss_floor
    assert figures["calibration_error"]["exact"] < 0.06
    done.write_table(tmp_path / "cases.csv")
    rows = list(csv.DictReader((tmp_path / "cases.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 1500
    assert {row["relation"] for row in rows} == {"none", "exact"}
    done.plot(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000


@pytest.mark.parametrize("cases", [[], made_cases(10), [replace(case, relation=NONE) for case in made_cases(50)]])
def test_too_little_to_calibrate_on(cases: list[MatchCase]) -> None:
    with pytest.raises(BadDataset, match="too few to calibrate on"):
        calibrate_matching(cases, "e@1")


def test_figures_by_hand() -> None:
    flat = Curve(similar=(0.0, 0.0, 0.0), exact=(-8.0, 10.0, 0.0))
    config = MatchingConfig(embedder="e@1", pooled=flat, exact_above=0.6, usual_margin=0.0, similar_above=0.6)
    base = MatchCase("a", 0, 0.95, 0.0, EXACT, 1, True, overall=0.9)
    cases = [
        base,
        replace(base, instance=1, overall=0.2, relation=NONE),  # the same garment, worse: does not speak for it
        replace(base, instance=2, same_class=False),
        replace(base, instance=3, relation=SIMILAR),  # called exact, is only similar
        replace(base, instance=4, similarity=0.1),
        replace(base, video="b", instance=5, sold=False, relation=NONE),  # has no item, called exact
        replace(base, video="b", instance=6, sold=False, relation=NONE, similarity=0.1),
        replace(base, video="b", instance=NOTHING, sold=False, relation=NONE, similarity=0.1),
    ]
    assert speakers(cases) == [0, 2, 3, 4, 5, 6]
    figures = match_figures(cases, config, {"b": 2}, ["a", "b"])
    assert figures.precision_of_exact.value == pytest.approx(2 / 5)
    assert figures.precision_of_exact_same_class.value == pytest.approx(1 / 5)
    assert figures.exact_of_sold_picked.value == pytest.approx(2 / 4)
    assert figures.exact_of_sold.value == pytest.approx(2 / 6)
    assert figures.absent_not_exact.value == pytest.approx(1 / 2)
    assert figures.said["exact"] == {"none": 2, "similar": 1, "exact": 2}
    assert figures.said["none"] == {"none": 2, "similar": 0, "exact": 1}


def test_a_remembered_search_is_asked_once(seen: Callable[..., Seen]) -> None:
    asked = []

    def search(path: Path, views: Detections, k: int) -> list[list[Match]]:
        asked.append((path, len(views), k))
        return [[DOTTED]] * len(views)

    views = seen().detections
    once = remembered(search)
    assert once(Path("a"), views[:2], 5) == once(Path("a"), views[:2], 5)
    once(Path("a"), views[1:3], 5)
    once(Path("b"), views[:2], 5)
    assert asked == [(Path("a"), 2, 5), (Path("a"), 2, 5), (Path("b"), 2, 5)]


def test_the_command_refuses_a_set_without_garments(random_bundle: Path, tmp_path: Path, capsys) -> None:
    assert run(["calibrate", "matching", str(tmp_path), "--bundle", str(random_bundle)]) == 2
    assert "no video-to-shop set here" in capsys.readouterr().err
    assert Bundle.from_pretrained(random_bundle).settings("matching") == {}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_from_a_drawn_world_to_a_decision(tmp_path: Path, capsys) -> None:
    import shutil

    from dprnet.core.bundle import SHIPPED
    from dprnet.data.world.make import WorldSettings, make_world
    from dprnet.pipeline import VideoToShop, index_catalogue

    world, bundle = tmp_path / "world", tmp_path / "bundle"
    make_world(world, WorldSettings(split="validation", videos=8, items=30, seconds=6.0))
    shutil.copytree(SHIPPED / "tiny", bundle)
    words = ["calibrate", "matching", str(world), "--bundle", str(bundle), "--cache", str(tmp_path / "cache")]
    assert run([*words, "--table", str(tmp_path / "m.csv"), "--plot", str(tmp_path / "m.png")]) == 0
    told = json.loads(capsys.readouterr().out)
    loaded = Bundle.from_pretrained(bundle)
    assert loaded.settings("matching") == told["settings"]
    assert loaded.manifest["origin"]["matching"]["figures"]["cases"] == told["figures"]["cases"] >= 20
    index_catalogue(world / "catalogue.csv", tmp_path / "gallery", bundle=bundle)
    shop = VideoToShop.from_pretrained(bundle, gallery=tmp_path / "gallery")
    report = shop.search(sorted((world / "videos").glob("*.mp4"))[0])
    said = [one for one, items in zip(report.matches.decisions, report.matches.items, strict=True) if items]
    assert said
    assert set(said) <= {"exact", "similar", "none"}
