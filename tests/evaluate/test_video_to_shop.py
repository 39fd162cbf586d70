"""Recall over all garments that the shop sells, by hand, and through real frames and a real gallery."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dprnet.core.records import Detections, Match
from dprnet.data.shopset import ShopSet
from dprnet.evaluate.figures import write_figures
from dprnet.evaluate.picking import shown_instances
from dprnet.evaluate.seen import Seen, match
from dprnet.evaluate.video_to_shop import evaluate_video_to_shop, gallery_search
from dprnet.pick import PickConfig

GOOD = PickConfig(cut_distance=0.3, min_views=2)


class Folder(ShopSet):
    """A set of which only the paths of the videos are asked."""

    def video_path(self, name: str) -> Path:
        return Path(name)


@pytest.fixture
def shopset() -> ShopSet:
    return Folder(Path(), {"id": "made-1"})


def looks_up(videos: Sequence[Seen], answers: Callable[[int], list[str]]) -> Callable[..., list[list[Match]]]:
    """A search that knows what each view shows and answers as it is told."""
    by_name = {video.truth.name: video for video in videos}

    def search(path: Path, views: Detections, k: int) -> list[list[Match]]:
        video = by_name[str(path)]
        shown = shown_instances(video)
        places = {(f, *b): n for f, b, n in zip(_frames(video), _boxes(video), shown.tolist(), strict=True)}
        return [
            [Match(item, 1 / place) for place, item in enumerate(answers(places[(f, *b)])[:k], start=1)]
            for f, b in zip(views.frame_index.tolist(), views.boxes_xyxy.tolist(), strict=True)
        ]

    return search


def _frames(video: Seen) -> list[int]:
    frames: list[int] = video.detections.frame_index.tolist()
    return frames


def _boxes(video: Seen) -> list[list[float]]:
    boxes: list[list[float]] = video.detections.boxes_xyxy.tolist()
    return boxes


def test_recall_by_hand(shopset: ShopSet, seen: Callable[..., Seen]) -> None:
    videos = [seen(seed=0, false=0), seen(seed=1, false=0)]  # garments 0 to 2 of each have items, 3 has none
    found = {0: ["item0-0", "x"], 1: ["x", "item0-1"], 2: ["x", "y"], 3: ["item0-0"]}
    found |= {100: ["item1-0"], 101: ["item1-1"], 102: ["x", "y", "item1-2"], 103: ["x"]}
    figures = evaluate_video_to_shop(shopset, videos, GOOD, looks_up(videos, found.__getitem__), ks=(1, 2, 5))
    assert figures.garments == 6
    assert figures.picked == 6
    assert {k: interval.value for k, interval in figures.recall.items()} == {1: 3 / 6, 2: 4 / 6, 5: 5 / 6}
    assert figures.right_answers.value == 3 / 8  # all eight picks, the two without an item too
    assert figures.precision.value == 1
    assert [answer.item for answer in figures.answers[:3]] == ["item0-0", "item0-1", "item0-2"]
    assert figures.set_id == "made-1"


def test_a_missed_garment_is_a_miss(shopset: ShopSet, seen: Callable[..., Seen]) -> None:
    video = seen(seed=0, false=0)
    shown = shown_instances(video)
    blind = match(video.detections[shown != 1], video.truth)
    figures = evaluate_video_to_shop(shopset, [blind], GOOD, looks_up([blind], lambda n: [f"item0-{n}"]), ks=(1,))
    assert figures.recall[1].value == pytest.approx(2 / 3)
    assert figures.recall_of_picked[1].value == 1
    missed = [answer for answer in figures.answers if answer.missed]
    assert [(answer.instance, answer.missed, answer.found) for answer in missed] == [(1, "not detected", ())]


def test_several_right_answers_and_classes(shopset: ShopSet, seen: Callable[..., Seen]) -> None:
    video = seen(seed=0, false=0)  # labels 0, 1, 2, 0
    video = replace(video, truth=replace(video.truth, also={0: ("twin",), 1: ("other",)}))
    found = {0: ["twin", "item0-0"], 1: ["x", "other"], 2: ["item0-2"], 3: ["x"]}
    figures = evaluate_video_to_shop(shopset, [video], GOOD, looks_up([video], found.__getitem__), ks=(1, 2))
    assert {k: interval.value for k, interval in figures.recall.items()} == {1: pytest.approx(2 / 3), 2: 1}
    assert figures.right_answers.value == 2 / 4
    assert {name: one[1].value for name, one in figures.by_class.items()} == {"top": 1, "outerwear": 0, "trousers": 1}


def test_garments_that_the_shop_does_not_have(shopset: ShopSet, seen: Callable[..., Seen]) -> None:
    videos = [seen(seed=seed, false=2) for seed in range(3)]  # garment 3 of each has no item
    likeness = {0: 0.9, 1: 0.8, 2: 0.35, 3: 0.3, 100: 0.9, 101: 0.7, 102: 0.6, 103: 0.5}
    likeness |= {200: 0.9, 201: 0.95, 202: 0.45, 203: 0.2}
    names = looks_up(videos, lambda number: [str(number)])

    def search(path: Path, views: Detections, k: int) -> list[list[Match]]:
        return [[Match("x", likeness.get(int(one.item_id), 0.0)) for one in row] for row in names(path, views, k)]

    figures = evaluate_video_to_shop(shopset, videos, GOOD, search, ks=(1,), no_match_below=0.4)
    assert figures.no_match.picked == 3
    assert figures.no_match.precision.value == pytest.approx(2 / 3)  # garments 2, 3 and 203 are said to have none
    assert figures.no_match.recall.value == pytest.approx(2 / 3)  # 103 is not
    assert figures.no_match.separation == pytest.approx((9 + 7 + 9) / 27)
    never = evaluate_video_to_shop(shopset, videos, GOOD, search, ks=(1,))
    assert never.no_match.recall.value == 0
    assert np.isnan(never.no_match.precision.value)


def test_nothing_picked_asks_nothing(shopset: ShopSet, seen: Callable[..., Seen], tmp_path: Path) -> None:
    def never(path: Path, views: Detections, k: int) -> list[list[Match]]:
        raise AssertionError("no view to search")

    strict = PickConfig(crop=1.0)
    figures = evaluate_video_to_shop(shopset, [seen(seed=0)], strict, never, ks=(1,))
    assert figures.recall[1].value == 0
    assert np.isnan(figures.recall_of_picked[1].value)
    write_figures(figures, tmp_path / "v2s.json")
    values = json.loads((tmp_path / "v2s.json").read_text(encoding="utf-8"))
    assert values["recall"]["1"]["value"] == 0
    assert values["recall_of_picked"]["1"]["value"] is None
    assert values["answers"][0]["missed"] == "no good view"


def _video(path: Path, colours: Sequence[tuple[int, int, int]]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for colour in colours:
            image = np.full((96, 128, 3), 255, np.uint8)
            image[16:80, 32:96] = colour
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def test_gallery_search_cuts_each_view_from_its_own_frame(tmp_path: Path, seen: Callable[..., Seen]) -> None:
    _video(tmp_path / "look.mp4", [(200, 30, 30)] * 3 + [(30, 30, 200)] * 3)
    views = seen().detections[[0, 1, 2]]
    inside = np.tile(np.array([40, 24, 88, 72], np.float32), (3, 1))
    views = replace(views, boxes_xyxy=inside, frame_index=np.array([5, 1, 4]))

    def embedder(images: Iterable[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        return np.stack([image.reshape(-1, 3).mean(axis=0) for image in images]).astype(np.float32)

    def matches(vectors: np.ndarray[Any, Any], k: int) -> list[list[SimpleNamespace]]:
        return [[SimpleNamespace(item_id="red" if v[0] > v[2] else "blue")] * k for v in vectors]

    search = gallery_search(embedder, SimpleNamespace(search=matches))  # type: ignore[arg-type]
    found = [[match.item_id for match in matches] for matches in search(tmp_path / "look.mp4", views, 2)]
    assert found == [["blue"] * 2, ["red"] * 2, ["blue"] * 2]
