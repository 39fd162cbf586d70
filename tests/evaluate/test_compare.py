"""Every method on the same views, by hand: vectors whose similarities are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil

from dprnet.core.errors import BadCatalogue, BadVideo
from dprnet.core.records import Detections
from dprnet.data.shopset import ShopSet
from dprnet.evaluate import baselines
from dprnet.evaluate.baselines import UNTRAINED, Views, rank
from dprnet.evaluate.compare import compare_methods
from dprnet.evaluate.groups import answering, groups_of
from dprnet.evaluate.looks import Looks, looks_of, seen_at
from dprnet.evaluate.seen import Seen, match
from dprnet.evaluate.shelf import Shelf, shelve
from dprnet.evaluate.tracker import TrackConfig, track
from dprnet.evaluate.views import WHOLE_FRAME, ViewVectors
from dprnet.gallery import Gallery
from dprnet.pick import PickConfig, pick

GOOD = PickConfig(cut_distance=0.3, min_views=2)
Array = np.ndarray[Any, Any]


def unit(*rows: Sequence[float]) -> Array:
    table = np.array(rows, np.float32)
    made: Array = table / np.linalg.norm(table, axis=1, keepdims=True)
    return made


class Colours:
    """An embedder that sees the mean colour, and counts what it was asked."""

    identity, size = "colours@1", 3

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, images: Iterable[Array]) -> Array:
        rows = [image.reshape(-1, 3).mean(axis=0) + 1 for image in images]
        self.asked += len(rows)
        return unit(*rows) if rows else np.zeros((0, 3), np.float32)


def views(**more: Any) -> Views:
    """Three views of one garment and three items along the axes; the second item has two photos."""
    shelf = Shelf(("a", "b", "c"), unit((1, 0, 0), (0, 1, 0), (0, 0.6, 0.8), (0, 0, 1)), np.array([0, 1, 3]))
    seen = {"vectors": unit((1, 0, 0), (0.6, 0.8, 0), (0, 0, 1)), "scores": np.array([0.5, 0.9, 0.7], np.float32)}
    seen["areas"] = np.array([40, 20, 50], np.float32)
    return Views(**{"best": 0, "frames": unit((0, 1, 0), (0, 0, 1)), "shelf": shelf, **seen, **more})


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("DPRNet", [1, 0, 0]),
        ("Avg", [1.6 / 3, (0 + 0.8 + 0.8) / 3, 1 / 3]),
        ("Max", [1, 0.8, 1]),
        ("Last", [0, 0.8, 1]),
        ("Max-detector-score", [0.6, 0.8, 0]),
        ("Largest box", [0, 0.8, 1]),
        ("Whole-frame mean", [0, 1.4 / np.sqrt(2), 1 / np.sqrt(2)]),
    ],
)
def test_untrained_methods_by_hand(name: str, wanted: list[float]) -> None:
    np.testing.assert_allclose(UNTRAINED[name](views()), [wanted], atol=1e-6)


def test_average_of_vectors_is_not_average_of_similarities() -> None:
    mean = np.array([1.6, 0.8, 1.0]) / np.linalg.norm([1.6, 0.8, 1.0])
    wanted = [mean[0], max(mean[1], 0.6 * mean[1] + 0.8 * mean[2]), mean[2]]
    np.testing.assert_allclose(baselines.average_vector(views())[0], wanted, atol=1e-6)


def test_the_medoid_lies_nearest_to_the_mean() -> None:
    between = views(vectors=unit((1, 0, 0), (0.8, 0.6, 0), (0, 1, 0)))  # with the mean: 1.8, 2.4 and 1.6, over 3
    np.testing.assert_allclose(baselines.medoid(between), [[0.8, 0.6, 0]], atol=1e-6)


def test_the_oracle_takes_the_best_rank() -> None:
    ranks = [rank(baselines.oracle(views()), [item]) for item in range(3)]
    assert ranks == [1, 1, 1]  # c of the last view, b of the second, a of the first
    assert rank(baselines.dprnet(views()), [2]) == 3  # equal to b, which stands before it


def test_no_single_view_beats_the_oracle() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        shelf = Shelf(tuple("abcdefgh"), unit(*rng.normal(size=(8, 4))), np.arange(8))
        some = views(vectors=unit(*rng.normal(size=(3, 4))), shelf=shelf, best=int(rng.integers(3)))
        for right in range(8):
            ceiling = rank(baselines.oracle(some), [right])
            singles = (baselines.dprnet, baselines.last, baselines.largest_box, baselines.medoid)
            assert all(ceiling <= rank(method(some), [right]) for method in singles)


def test_rank_by_brute_force() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        scores = rng.integers(0, 4, (rng.integers(1, 4), 9)).astype(np.float32)
        right = rng.choice(9, rng.integers(1, 3), replace=False).tolist()
        each = [[int(np.flatnonzero(np.argsort(-row, kind="stable") == r)[0]) + 1 for r in right] for row in scores]
        assert rank(scores, right) == min(min(row) for row in each)


def test_groups_by_hand(seen: Callable[..., Seen]) -> None:
    video = seen(seed=0, false=2)
    frames = np.unique(video.detections.frame_index)
    true = groups_of(video, GOOD, "true", frames)
    assert sorted(group.instance for group in true) == [0, 1, 2, 3]
    assert sum(len(group.rows) for group in true) == int((video.views >= 0).sum())
    picked = groups_of(video, GOOD, "picked", frames)
    picks = pick(video.detections, GOOD)
    assert sorted(int(group.rows[group.best]) for group in picked) == sorted(picks.best[picks.picked].tolist())
    every = groups_of(video, GOOD.model_copy(update={"crop": 0.95}), "seen", frames)
    assert len(every) >= 4
    assert groups_of(video, GOOD.model_copy(update={"crop": 0.95}), "picked", frames) == []
    for group in picked:
        assert (np.diff(video.detections.time_s[group.rows]) >= 0).all()


def test_of_two_groups_the_better_one_answers(seen: Callable[..., Seen]) -> None:
    video = seen(seed=0, false=0)
    apart = groups_of(video, GOOD.model_copy(update={"cut_distance": 0.0, "min_views": 1}), "picked", np.arange(60))
    answer = answering(apart, video.detections)[0]
    mine = [group for group in apart if group.instance == 0]
    assert len(mine) > 1
    best = max(float(video.detections.overall[group.rows].max()) for group in mine)
    assert video.detections.overall[answer.rows[answer.best]] == pytest.approx(best)


def walk(positions: Sequence[float | None], labels: Sequence[int] | None = None) -> Detections:
    """One box 10 wide per frame at each position (none where it is None)."""
    rows = [(frame, x) for frame, x in enumerate(positions) if x is not None]
    boxes = np.array([[x, 0, x + 10, 10] for _, x in rows], np.float32)
    n = len(rows)
    return replace(
        Detections.empty(2),
        boxes_xyxy=boxes,
        labels=np.array(labels or [0] * n),
        scores=np.ones(n, np.float32),
        viewpoint=np.tile(np.array([1, 0, 0], np.float32), (n, 1)),
        occlusion=np.tile(np.array([1, 0, 0], np.float32), (n, 1)),
        crop=np.tile(np.array([1, 0], np.float32), (n, 1)),
        embeddings=np.ones((n, 2), np.float32),
        frame_index=np.array([frame for frame, _ in rows]),
        time_s=np.array([frame / 10 for frame, _ in rows], np.float32),
        source=np.zeros(n, np.int64),
    )


def test_a_track_ends_at_a_jump_a_gap_or_another_class() -> None:
    frames = np.arange(5)
    assert track(walk([0, 2, 4, 6, 8]), frames).tolist() == [0, 0, 0, 0, 0]
    assert track(walk([0, 2, 50, 52, 54]), frames).tolist() == [0, 0, 1, 1, 1]
    assert track(walk([0, None, 0, 0, 0]), frames).tolist() == [0, 1, 1, 1]
    assert track(walk([0, None, 0, 0, 0]), frames, TrackConfig(gap=2)).tolist() == [0, 0, 0, 0]
    assert track(walk([0, 0, 0, 0, 0], labels=[0, 0, 3, 3, 0]), frames).tolist() == [0, 0, 1, 1, 2]
    assert track(Detections.empty(2), frames).tolist() == []
    with pytest.raises(ValueError, match="every frame"):
        track(walk([0, 0]), np.array([0]))


def test_tracks_take_the_largest_sum_of_overlaps() -> None:
    first = walk([0, 4])  # two boxes of one frame, overlapping
    both = Detections.concatenate([first, walk([3, 9])])
    both = replace(both, frame_index=np.array([0, 0, 1, 1]))
    assert track(both, np.array([0, 1])).tolist() == [0, 1, 0, 1]


class Known(ViewVectors):
    """Vectors by what each view shows, so that every rank can be said beforehand."""

    def __init__(self, videos: Sequence[Seen], looks: dict[int, Array]) -> None:
        self.by_name = {video.truth.name: video for video in videos}
        self.looks = looks

    def __call__(self, video: str, frame_index: Array, boxes_xyxy: Array) -> Array:
        if not len(frame_index):
            return np.zeros((0, 4), np.float32)
        if (boxes_xyxy == WHOLE_FRAME).all(axis=1).any():  # also where all of a video is asked for at once
            return unit(*np.tile([1, 1, 1, 1], (len(frame_index), 1)))
        truth = self.by_name[video].truth
        rows = truth.views(replace(self.by_name[video].detections, **_placed(self.by_name[video], boxes_xyxy)))
        return unit(*[self.looks[int(truth.instance[row])] for row in rows[: len(frame_index)]])


def _placed(video: Seen, boxes: Array) -> dict[str, Array]:
    """Detections whose boxes begin with those asked for; garments stand still, so any frame will do."""
    full = video.detections.boxes_xyxy.copy()
    full[: len(boxes)] = boxes
    labels = video.detections.labels.copy()
    labels[: len(boxes)] = (boxes[:, 0] // 100).astype(np.int64) % 3
    return {"boxes_xyxy": full, "labels": labels}


def test_recall_of_a_comparison_by_hand(seen: Callable[..., Seen]) -> None:
    videos = [seen(seed=0, false=0), seen(seed=1, false=0)]
    shelf = Shelf(("item0-0", "item0-1", "item0-2", "item1-0", "item1-1", "item1-2"), np.eye(6, dtype=np.float32),
                  np.arange(6))  # fmt: skip
    looks = {0: np.eye(6)[0], 1: np.eye(6)[2] + 0.5 * np.eye(6)[1], 2: np.eye(6)[2], 3: np.eye(6)[0]}
    looks |= {100: np.eye(6)[3], 101: np.eye(6)[4], 102: np.eye(6)[5], 103: np.eye(6)[5]}

    class Six(Known):
        def whole_frames(self, video: str, frame_index: Array) -> Array:
            one = unit([3.0, 2, 1, 0, 0, 0])
            return np.tile(one, (len(frame_index), 1))

    vectors = Six(videos, looks)
    frames = {video.truth.name: np.unique(video.detections.frame_index) for video in videos}
    methods = {name: [method] for name, method in UNTRAINED.items()}
    ranks = compare_methods(videos, frames, vectors, shelf, GOOD, methods)
    assert [garment.instance for garment in ranks.garments] == [0, 1, 2, 100, 101, 102]
    for name in ("DPRNet", "Avg", "Avg-desc", "Max", "Last", "Oracle best view"):
        assert ranks.ranks[name].tolist() == [[1, 2, 1, 1, 1, 1]], name
    assert ranks.ranks["Whole-frame mean"].tolist() == [[1, 2, 3, 4, 5, 6]]
    best = compare_methods(videos, frames, vectors, shelf, GOOD, {"DPRNet": [baselines.dprnet]}, best_only=True)
    assert best.ranks["DPRNet"].tolist() == ranks.ranks["DPRNet"].tolist()
    assert ranks.recall("DPRNet", 1).value == pytest.approx(5 / 6)
    assert ranks.recall("Whole-frame mean", 2).value == pytest.approx(2 / 6)
    assert ranks.difference("DPRNet", "Whole-frame mean", 1).value == pytest.approx(4 / 6)
    assert ranks.per_class("DPRNet", 1)["outerwear"].value == pytest.approx(1 / 2)

    blind = match(videos[0].detections[videos[0].truth.instance[videos[0].views] != 2], videos[0].truth)
    vectors = Six([blind, videos[1]], looks)
    less = compare_methods([blind, videos[1]], frames, vectors, shelf, GOOD, methods)
    assert less.ranks["DPRNet"].tolist() == [[1, 2, 0, 1, 1, 1]]
    assert less.recall("DPRNet", 5).value == pytest.approx(5 / 6)
    assert less.recall("DPRNet", 5, asked_only=True).value == 1
    assert less.ranks["Whole-frame mean"].tolist() == [[1, 2, 3, 4, 5, 6]]  # needs no detector

    also = replace(videos[0], truth=replace(videos[0].truth, also={1: ("item0-2",)}))
    more = compare_methods([also, videos[1]], frames, Six([also, videos[1]], looks), shelf, GOOD, methods)
    assert more.ranks["DPRNet"].tolist() == [[1, 1, 1, 1, 1, 1]]  # several right answers: the best of them


def test_seeds_are_averaged(seen: Callable[..., Seen]) -> None:
    videos = [seen(seed=0, false=0)]
    shelf = Shelf(("item0-0", "item0-1", "item0-2"), np.eye(3, dtype=np.float32), np.arange(3))
    vectors = Known(videos, {0: np.eye(3)[0], 1: np.eye(3)[1], 2: np.eye(3)[2], 3: np.eye(3)[0]})
    frames = {"video0": np.unique(videos[0].detections.frame_index)}
    wrong = lambda some: -baselines.dprnet(some)  # noqa: E731
    ranks = compare_methods(videos, frames, vectors, shelf, GOOD, {"two": [baselines.dprnet, wrong]})
    assert ranks.ranks["two"].shape == (2, 3)
    assert ranks.recall("two", 1).value == pytest.approx(0.5)


def test_a_longer_interval_is_part_of_the_finest(moving_square: Path, tmp_path: Path) -> None:
    from dprnet.decode import Every, open_video

    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "square.mp4").write_bytes(moving_square.read_bytes())
    shopset = ShopSet(tmp_path, {"id": "square"})
    finest = looks_of(shopset, "1f", cache=tmp_path / "cache")["square"]
    assert finest.frame_index.tolist() == list(range(30))
    for every in ("0.5s", "7f"):
        with open_video(moving_square, Every.parse(every)) as video:
            assert finest.at(every).frame_index.tolist() == [frame.index for frame in video]
    kept = next((tmp_path / "cache").rglob("square.npz"))
    written = kept.stat().st_mtime_ns
    again = looks_of(shopset, "1f", cache=tmp_path / "cache")["square"]
    np.testing.assert_array_equal(again.time_s, finest.time_s)
    assert kept.stat().st_mtime_ns == written
    (tmp_path / "videos" / "square.mp4").write_bytes(b"another file of the same name")
    with pytest.raises(BadVideo):
        looks_of(shopset, "1f", cache=tmp_path / "cache")


def test_seen_at_keeps_the_truth(seen: Callable[..., Seen]) -> None:
    video = seen(seed=0)
    looks = {"video0": Looks(np.arange(60), np.arange(60, dtype=np.float32) * np.float32(0.04))}
    (part,), frames = seen_at([video], looks, "10f")
    assert frames["video0"].tolist() == [0, 10, 20, 30, 40, 50]
    assert set(part.detections.frame_index.tolist()) <= {0, 10, 20, 30, 40, 50}
    assert part.truth is video.truth
    np.testing.assert_array_equal(part.views, match(part.detections, part.truth).views)


def test_every_view_is_embedded_once(moving_square: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "square.mp4").write_bytes(moving_square.read_bytes())
    shopset, embedder = ShopSet(tmp_path, {"id": "square"}), Colours()
    frames = np.array([20, 3, 3])
    boxes = np.array([[90, 40, 110, 80], [20, 40, 40, 80], [100, 0, 140, 20]], np.float32)
    vectors = ViewVectors(shopset, embedder, tmp_path / "cache")
    found = vectors("square", frames, boxes)
    assert embedder.asked == 3
    assert found[0, 0] > 0.9  # red
    assert found[1, 0] > 0.9
    assert found[2, 2] > 0.8  # blue field
    again = ViewVectors(shopset, embedder, tmp_path / "cache")
    np.testing.assert_array_equal(again("square", frames[::-1], boxes[::-1]), found[::-1])
    assert embedder.asked == 3
    whole = again.whole_frames("square", np.array([0]))
    assert embedder.asked == 4
    assert 0.3 < whole[0, 0] < 0.9
    assert again("square", frames[:0], boxes[:0]).shape == (0, 3)


def test_the_shelf_is_the_gallery(small_catalogue: Path, random_bundle: Path, tmp_path: Path) -> None:
    from dprnet.core.bundle import Bundle
    from dprnet.embed.embedder import Embedder
    from dprnet.pipeline import index

    embedder = Embedder.from_bundle(Bundle.from_pretrained(random_bundle))
    index(small_catalogue, tmp_path / "gallery", embedder)
    shelf = shelve([small_catalogue], embedder)
    asked = np.random.default_rng(0).normal(size=(5, embedder.size)).astype(np.float32)
    with Gallery.open(tmp_path / "gallery", embedder=embedder.identity) as gallery:
        answers = gallery.search(asked, 6)
    for row, found in zip(shelf.similarity(asked), answers, strict=True):
        assert sorted(one.item_id for one in found) == list(shelf.item_ids)
        for one in found:  # random weights put all photos close: the order of equals is not compared
            assert row[shelf.index(one.item_id)] == pytest.approx(one.similarity, abs=1e-5)


def test_photos_are_embedded_once_and_distractors_only_add(small_catalogue: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    Pil.fromarray(np.full((20, 20, 3), (200, 200, 0), np.uint8)).save(more / "red.png")
    (more / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    embedder = Colours()
    shelf = shelve([small_catalogue], embedder, cache=tmp_path / "cache")
    assert (len(shelf), shelf.photos, embedder.asked) == (6, 7, 6)  # two photos are the same, byte for byte
    larger = shelve([small_catalogue, more], embedder, cache=tmp_path / "cache")
    assert embedder.asked == 7
    assert larger.item_ids == tuple(sorted([*shelf.item_ids, "distractor/red"]))
    assert larger.photos == 8
    with pytest.raises(BadCatalogue, match="no item"):
        larger.index("magenta")
    assert larger.item_ids[larger.index("red")] == "red"
