"""What is kept, what is one garment, which view is best, and why the others were dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dprnet.core.config import parse_settings
from dprnet.core.errors import BadRecipe, BadVector
from dprnet.core.records import Detections, Picks
from dprnet.pick import PickConfig, pick

RED, BLUE, NEAR_RED = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.1, 0.0)


def seen(*rows: dict[str, Any]) -> Detections:
    """Detections from rows of time, look, quality, and what else differs from the usual."""
    n = len(rows)
    quality = np.array([row.get("quality", (0.9, 0.9, 0.9)) for row in rows], np.float32)

    def column(name: str, usual: Any, kind: type = np.float32) -> Any:
        return np.array([row.get(name, usual) for row in rows], kind)

    time_s = column("time_s", 0.0)
    return Detections(
        boxes_xyxy=column("box", (0, 0, 100, 100)).reshape(n, 4),
        labels=column("label", 0, np.int64),
        scores=column("score", 0.9),
        viewpoint=np.stack([quality[:, 0], 1 - quality[:, 0], np.zeros(n)], axis=1).astype(np.float32),
        occlusion=np.stack([quality[:, 1], 1 - quality[:, 1], np.zeros(n)], axis=1).astype(np.float32),
        crop=np.stack([quality[:, 2], 1 - quality[:, 2]], axis=1).astype(np.float32),
        embeddings=column("look", RED).reshape(n, 3),
        frame_index=(time_s * 10).astype(np.int64),
        time_s=time_s,
        source=column("source", 0, np.int64),
    )


def random_detections(seed: int, n: int) -> Detections:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(5, 8))
    looks = centres[rng.integers(5, size=n)] + 0.3 * rng.normal(size=(n, 8))
    corner, frame = rng.uniform(0, 300, (n, 2)), np.sort(rng.integers(0, 1 + n // 2, n))
    return Detections(
        boxes_xyxy=np.hstack([corner, corner + rng.uniform(10, 200, (n, 2))]).astype(np.float32),
        labels=rng.integers(2, size=n),
        scores=rng.uniform(size=n).astype(np.float32),
        viewpoint=rng.dirichlet([3, 1, 1], n).astype(np.float32),
        occlusion=rng.dirichlet([3, 1, 1], n).astype(np.float32),
        crop=rng.dirichlet([3, 1], n).astype(np.float32),
        embeddings=looks.astype(np.float32),
        frame_index=frame,
        time_s=(frame / 2).astype(np.float32),
        source=np.zeros(n, np.int64),
    )


def content(picks: Picks) -> set[tuple[Any, ...]]:
    """What picks say, whatever the order of the detections."""
    d = picks.detections
    key = [(int(d.frame_index[r]), *d.boxes_xyxy[r].tolist()) for r in range(len(d))]
    return {
        (g, key[picks.best[g]], bool(picks.picked[g]), frozenset(key[r] for r in picks.members(g)))
        for g in range(len(picks))
    }


configs = st.builds(
    PickConfig,
    viewpoint=st.floats(0, 0.9),
    occlusion=st.floats(0, 0.9),
    crop=st.floats(0, 0.9),
    min_score=st.floats(0, 0.9),
    cut_distance=st.floats(0.01, 1.0),
    min_views=st.integers(1, 4),
    min_span_s=st.none() | st.floats(0.1, 3),
    same_frame_apart=st.booleans(),
)
anything = st.builds(random_detections, st.integers(0, 10**6), st.integers(0, 40))


def test_the_papers_flow_by_hand() -> None:
    detections = seen(
        {"time_s": 0.0, "quality": (0.4, 0.9, 0.9)},  # red, viewpoint too low
        {"time_s": 1.0, "quality": (0.7, 0.8, 0.9), "look": NEAR_RED},
        {"time_s": 2.0, "quality": (0.9, 0.9, 0.9)},  # the best of the red ones
        {"time_s": 2.0, "quality": (0.6, 0.6, 0.6), "look": BLUE},
        {"time_s": 3.0, "quality": (0.9, 0.9, 0.9), "label": 2},  # red too, but trousers: another pool
        {"time_s": 4.0, "quality": (0.9, 0.2, 0.1), "look": (0.0, 0.0, 1.0)},  # seen, but never well
    )
    picks = pick(detections, PickConfig())
    assert picks.instance.tolist() == [0, 0, 0, 1, 2, 3]
    assert picks.best.tolist() == [2, 3, 4, 5]
    assert picks.picked.tolist() == [True, True, True, False]
    assert picks.folded == 0
    assert [picks.reason(row) for row in range(6)] == [
        "viewpoint 0.40 not above 0.50",
        "duplicate of garment 0",
        "best view of garment 0",
        "best view of garment 1",
        "best view of garment 2",
        "best view of garment 3, but occlusion 0.20 not above 0.50, crop 0.10 not above 0.50",
    ]


def test_limits_are_strict() -> None:
    half = seen({"quality": (0.5, 0.9, 0.9)})
    assert not pick(half, PickConfig()).picked[0]
    assert pick(half, PickConfig(viewpoint=0.49)).picked[0]


def test_a_good_view_goes_before_a_higher_product_that_fails() -> None:
    picks = pick(seen({"quality": (0.45, 1.0, 1.0)}, {"time_s": 1.0, "quality": (0.6, 0.6, 0.6)}), PickConfig())
    assert picks.best.tolist() == [1]


def test_ties_go_to_the_score_and_then_to_the_earlier() -> None:
    equal = seen({"time_s": 2.0}, {"time_s": 1.0}, {"time_s": 3.0})
    assert pick(equal, PickConfig()).best.tolist() == [1]
    surer = seen({"time_s": 1.0}, {"time_s": 3.0, "score": 0.95}, {"time_s": 2.0})
    assert pick(surer, PickConfig()).best.tolist() == [1]


def test_a_dropped_view_joins_by_its_mean_distance_to_the_kept_views() -> None:
    # Kept at 0 and 60 degrees (one garment at cut 0.6); dropped at -40: (0.234 + 1.174) / 2 = 0.704 from them.
    def at(degrees: float, **more: Any) -> dict[str, Any]:
        return {"look": (np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 0.0), **more}

    rows = seen(at(0), at(60, time_s=1.0), at(-40, time_s=2.0, quality=(0.1, 0.9, 0.9)))
    assert pick(rows, PickConfig(cut_distance=0.6)).instance.tolist() == [0, 0, 1]
    assert pick(rows, PickConfig(cut_distance=0.71)).instance.tolist() == [0, 0, 0]


def test_garments_that_are_never_seen_well_are_still_told_apart() -> None:
    bad = (0.1, 0.1, 0.1)
    picks = pick(seen({"quality": bad}, {"quality": bad, "look": BLUE}, {"quality": bad, "time_s": 1.0}), PickConfig())
    assert picks.instance.tolist() in ([0, 1, 0], [1, 0, 1])
    assert not picks.picked.any()


def test_a_weak_detection_is_no_good_view() -> None:
    picks = pick(seen({"score": 0.3}, {"time_s": 1.0, "quality": (0.6, 0.6, 0.6)}), PickConfig(min_score=0.3))
    assert picks.best.tolist() == [1]
    assert picks.reason(0) == "score 0.30 not above 0.30"
    assert not picks.failing[0].any()


def test_a_garment_needs_enough_frames() -> None:
    rows = seen({}, {"box": (200, 0, 300, 100)}, {"look": BLUE}, {"look": BLUE, "time_s": 1.0})
    picks = pick(rows, PickConfig(min_views=2))
    red, blue = picks.instance[0], picks.instance[2]
    assert picks.instance.tolist() == [red, red, blue, blue]
    assert not picks.picked[red]  # two boxes, but of one frame
    assert picks.picked[blue]
    assert picks.reason(int(picks.best[red])) == f"best view of garment {red}, but seen in 1 frame, fewer than 2"


def test_views_far_enough_apart_do_as_well_as_many() -> None:
    """Three frames, fitted at T = 0.5 s, take a second; at T = 1 s two of them do."""
    config = PickConfig(min_views=3, min_span_s=0.9)
    elsewhere = {"look": BLUE, "time_s": 3.0, "source": 1}
    rows = seen(
        {"time_s": 2.0}, {"time_s": 3.0}, {"look": BLUE, "time_s": 2.0}, {"look": BLUE, "time_s": 2.5}, elsewhere
    )
    picks = pick(rows, config)
    red, blue = picks.instance[0], picks.instance[2]
    assert picks.picked[red]
    assert picks.picked[blue]  # three frames, half a second of one video and one frame of another
    assert not pick(rows[np.arange(4)], config).picked[blue]
    assert (
        pick(rows[np.arange(2)], config.model_copy(update={"min_span_s": 1.1}))
        .reason(0)
        .endswith("but seen in 2 frames, fewer than 3 and over less than 1.1 s")
    )
    apart = pick(rows[np.array([2, 4])], config)
    assert not apart.picked.any(), "time between two videos is no time"


def test_one_frame_cannot_show_one_garment_twice_when_asked() -> None:
    side = (200, 0, 300, 100)
    rows = seen({}, {"box": side, "look": NEAR_RED}, {"time_s": 1.0}, {"box": (5, 5, 90, 50), "time_s": 1.0})
    together, apart = pick(rows, PickConfig()), pick(rows, PickConfig(same_frame_apart=True))
    assert len(together) == 1
    assert apart.instance.tolist() in ([0, 1, 0, 0], [1, 0, 1, 1])  # a box inside the other is no other garment
    sources = seen({}, {"box": side, "source": 1})
    assert len(pick(sources, PickConfig(same_frame_apart=True))) == 1  # frame 0 of another video is another frame


def test_apart_holds_for_dropped_views_too() -> None:
    rows = seen({}, {"box": (200, 0, 300, 100), "quality": (0.1, 0.9, 0.9)})
    assert len(pick(rows, PickConfig())) == 1
    assert pick(rows, PickConfig(same_frame_apart=True)).picked.tolist() in ([True, False], [False, True])


def test_garments_come_in_order_of_time_over_several_videos() -> None:
    rows = seen({"source": 1, "look": BLUE}, {"source": 0, "time_s": 9.0}, {"source": 1, "time_s": 5.0})
    assert pick(rows, PickConfig()).instance.tolist() == [1, 0, 0]


def test_nothing_seen() -> None:
    picks = pick(Detections.empty(8), PickConfig())
    assert len(picks) == 0
    assert picks.instance.shape == (0,)


def test_damaged_detections_are_refused() -> None:
    with pytest.raises(BadVector, match="detection 1: its instance embedding has length 0"):
        pick(seen({}, {"look": (0.0, 0.0, 0.0)}), PickConfig())
    with pytest.raises(BadVector, match="detection 0: a score is NaN"):
        pick(seen({"quality": (np.nan, 0.9, 0.9)}), PickConfig())
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 6\), got 9"):
        pick(seen({"label": 9}), PickConfig())


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(BadRecipe, match="did you mean 'occlusion'"):
        parse_settings({"occlussion": 0.5}, PickConfig, "picking")
    with pytest.raises(BadRecipe, match="cut_distance"):
        parse_settings({"cut_distance": 2.5}, PickConfig, "picking")


@given(detections=anything, config=configs)
def test_a_partition_whose_picks_are_good_and_best(detections: Detections, config: PickConfig) -> None:
    picks = pick(detections, config)
    assert sorted(set(picks.instance.tolist())) == list(range(len(picks)))
    good = (detections.quality > np.array(config.limits, np.float32)).all(axis=1)
    good &= detections.scores > np.float32(config.min_score)
    first = []
    for garment in range(len(picks)):
        members, best = picks.members(garment), picks.best[garment]
        assert best in members
        assert len(set(detections.labels[members].tolist())) == 1
        rivals = members[good[members]] if good[members].any() else members
        assert detections.overall[best] == detections.overall[rivals].max()
        frames = len(set(detections.frame_index[members].tolist()))
        span_s = np.ptp(detections.time_s[members])
        enough = frames >= config.min_views or (config.min_span_s is not None and span_s >= config.min_span_s)
        assert picks.picked[garment] == (good[members].any() and enough)
        first.append(detections.time_s[members].min())
    assert first == sorted(first)


@given(detections=anything, config=configs, seed=st.integers(0, 1000))
def test_the_order_of_detections_has_no_effect(detections: Detections, config: PickConfig, seed: int) -> None:
    shuffled = detections[np.random.default_rng(seed).permutation(len(detections))]
    assert content(pick(shuffled, config)) == content(pick(detections, config))


@given(detections=anything, config=configs, name=st.sampled_from(["viewpoint", "occlusion", "crop"]))
def test_raising_a_limit_never_gives_more_good_views(detections: Detections, config: PickConfig, name: str) -> None:
    higher = config.model_copy(update={name: getattr(config, name) + 0.1})
    before, after = pick(detections, config), pick(detections, higher)
    assert (after.failing >= before.failing).all()
    assert set(after.best[after.picked].tolist()) <= set(np.flatnonzero(~after.failing.any(axis=1)).tolist())


@given(detections=anything, config=configs)
def test_no_garment_is_in_two_places_of_one_frame_when_asked(detections: Detections, config: PickConfig) -> None:
    picks = pick(detections, config.model_copy(update={"same_frame_apart": True, "apart_overlap": 0.0}))
    for garment in range(len(picks)):
        rows = picks.members(garment)
        for a in rows:
            for b in rows[rows > a]:
                if detections.frame_index[a] == detections.frame_index[b]:
                    x, y = detections.boxes_xyxy[a], detections.boxes_xyxy[b]
                    assert (np.minimum(x[2:], y[2:]) > np.maximum(x[:2], y[:2])).all()
