from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dprnet.core.records import Detections, Embeddings, Frame, Matches, Picks, Report, Source, Truth


def detections(n: int = 4, size: int = 3) -> Detections:
    """n detections whose every field tells its row."""
    row = np.arange(n, dtype=np.float32)
    return Detections(
        boxes_xyxy=np.stack([row, row, row + 10, row + 20], axis=1),
        labels=np.arange(n) % 6,
        scores=row / 10,
        viewpoint=np.tile(np.float32([0.5, 0.25, 0.25]), (n, 1)),
        occlusion=np.tile(np.float32([0.8, 0.1, 0.1]), (n, 1)),
        crop=np.tile(np.float32([0.25, 0.75]), (n, 1)),
        embeddings=np.tile(row[:, None], (1, size)),
        frame_index=np.arange(n) * 15,
        time_s=row / 2,
        source=np.zeros(n, np.int64),
    )


def truth(n: int = 2) -> Truth:
    labels = {name: np.full(n, -1) for name in ("labels", "viewpoint", "occlusion", "crop", "instance")}
    return Truth(boxes_xyxy=np.zeros((n, 4), np.float32), ignore_xyxy=np.zeros((1, 4), np.float32), **labels)


class TestFrame:
    def test_only_rgb_of_eight_bits(self) -> None:
        with pytest.raises(ValueError, match=r"Frame\.image must have shape \(any, any, 3\), got \(4, 4\)"):
            Frame(np.zeros((4, 4), np.uint8), 0, 0.0)
        with pytest.raises(ValueError, match="must be uint8, got float32"):
            Frame(np.zeros((4, 4, 3), np.float32), 0, 0.0)

    def test_frozen(self) -> None:
        frame = Frame(np.zeros((4, 4, 3), np.uint8), 0, 0.0)
        with pytest.raises(FrozenInstanceError):
            frame.index = 1


class TestDetections:
    @pytest.mark.parametrize("name", [field.name for field in fields(Detections)])
    def test_a_field_of_another_length_is_refused(self, name: str) -> None:
        good = detections()
        with pytest.raises(ValueError, match=r"Detections\.\w+ must have shape"):
            replace(good, **{name: getattr(good, name)[:3]})

    @pytest.mark.parametrize(("name", "width"), [("boxes_xyxy", 5), ("viewpoint", 2), ("occlusion", 2), ("crop", 3)])
    def test_a_field_of_another_width_is_refused(self, name: str, width: int) -> None:
        with pytest.raises(ValueError, match=rf"Detections\.{name} must have shape \(4, \d\), got \(4, {width}\)"):
            replace(detections(), **{name: np.zeros((4, width), np.float32)})

    def test_quality_is_the_good_class_of_each(self) -> None:
        found = detections()
        assert found.quality.tolist() == [pytest.approx([0.5, 0.8, 0.25])] * 4
        assert found.overall == pytest.approx([0.1] * 4)

    @given(
        st.one_of(
            st.lists(st.integers(-4, 3), max_size=6),
            st.lists(st.booleans(), min_size=4, max_size=4).map(np.array),
            st.slices(4),
        )
    )
    def test_indexing_filters_every_field_alike(self, rows: list[int] | np.ndarray | slice) -> None:
        kept = detections()[rows]
        wanted = np.arange(4)[rows if isinstance(rows, slice | np.ndarray) else np.array(rows, np.int64)]
        assert len(kept) == len(wanted)
        assert (kept.frame_index == wanted * 15).all()
        assert (kept.boxes_xyxy[:, 0] == wanted).all()
        assert (kept.embeddings[:, 0] == wanted).all()

    def test_a_sentence_as_filter(self) -> None:
        found = detections()
        assert found[(found.quality > (0.4, 0.4, 0.3)).all(axis=1)].boxes_xyxy.shape == (0, 4)

    def test_concatenate_keeps_the_order(self) -> None:
        found = detections()
        joined = Detections.concatenate([found[2:], Detections.empty(), found[:2]])
        assert joined.frame_index.tolist() == [30, 45, 0, 15]

    def test_concatenate_of_nothing(self) -> None:
        assert Detections.concatenate([]).embeddings.shape == (0, 0)
        assert Detections.concatenate([Detections.empty(7), Detections.empty(7)]).embeddings.shape == (0, 7)

    def test_concatenate_of_other_embeddings_is_refused(self) -> None:
        with pytest.raises(ValueError, match="dimension"):
            Detections.concatenate([detections(size=3), detections(size=4)])


class TestPicks:
    def picks(self, **changes: object) -> Picks:
        values = {
            "detections": detections(),
            "instance": np.array([0, 1, 0, 1]),
            "failing": np.array([[0, 0, 0], [0, 0, 1], [0, 0, 0], [1, 0, 1]], bool),
            "best": np.array([2, 1]),
            "picked": np.array([True, False]),
            "limits": (0.4, 0.5, 0.3),
        }
        return Picks(**(values | changes))

    def test_every_detection_has_its_reason(self) -> None:
        picks = self.picks()
        assert [picks.reason(row) for row in range(4)] == [
            "duplicate of garment 0",
            "best view of garment 1, but crop 0.25 not above 0.30",
            "best view of garment 0",
            "viewpoint 0.50 not above 0.40, crop 0.25 not above 0.30",
        ]

    def test_members_and_span_of_a_garment(self) -> None:
        picks = self.picks()
        assert len(picks) == 2
        assert picks.members(0).tolist() == [0, 2]
        assert picks.seen_s(1) == (0.5, 1.5)
        assert picks.views.frame_index.tolist() == [30, 15]

    def test_members_go_by_video_then_time(self) -> None:
        turned = replace(detections(), source=np.array([1, 0, 0, 0]), time_s=np.float32([0, 9, 5, 7]))
        picks = self.picks(
            detections=turned, instance=np.zeros(4, np.int64), best=np.array([0]), picked=np.ones(1, bool)
        )
        assert picks.members(0).tolist() == [2, 3, 1, 0]

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"instance": np.array([0, 1, 2, 0])}, r"Picks\.instance must lie in \[0, 2\), got 0 to 2"),
            ({"instance": np.array([0, 1, -1, 0])}, r"got -1 to 1"),
            ({"instance": np.array([0, 1, 0])}, r"Picks\.instance must have shape \(4\)"),
            ({"picked": np.ones(3, bool)}, r"Picks\.picked must have shape \(2\)"),
            ({"failing": np.zeros((4, 2), bool)}, r"Picks\.failing must have shape \(4, 3\)"),
            ({"crops": (None,)}, r"Picks\.crops must be empty or hold 2 images, got 1"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, changes: dict[str, object], sentence: str) -> None:
        with pytest.raises(ValueError, match=sentence):
            self.picks(**changes)

    def test_no_garments(self) -> None:
        none = self.picks(
            detections=Detections.empty(),
            instance=np.zeros(0, np.int64),
            failing=np.zeros((0, 3), bool),
            best=np.zeros(0, np.int64),
            picked=np.zeros(0, bool),
        )
        assert len(none) == len(none.views) == 0


def test_embeddings_need_one_id_a_vector() -> None:
    with pytest.raises(ValueError, match=r"Embeddings\.vectors must have shape \(1, any\), got \(2, 3\)"):
        Embeddings(np.zeros((2, 3), np.float32), ("a",))


def test_truth_is_checked_like_detections() -> None:
    assert len(truth()) == 2
    with pytest.raises(ValueError, match=r"Truth\.crop"):
        replace(truth(), crop=np.zeros(3, np.int64))
    with pytest.raises(ValueError, match=r"Truth\.ignore_xyxy"):
        replace(truth(), ignore_xyxy=np.zeros((0, 5), np.float32))


def test_a_garment_that_the_detector_is_sure_of_in_no_view_is_doubtful() -> None:
    seen = detections(4)  # scores 0, 0.1, 0.2, 0.3
    picks = Picks(
        detections=seen,
        instance=np.array([0, 0, 1, 2]),
        failing=np.zeros((4, 3), bool),
        best=np.array([1, 2, 3]),
        picked=np.array([False, False, True]),
        min_score=0.2,
    )
    assert picks.doubtful.tolist() == [True, True, False]
    assert replace(picks, min_score=0.15).doubtful.tolist() == [True, False, False]


def test_a_report_is_partial_where_any_video_is() -> None:
    whole = Source("a.mp4", "", 8, 8, 1.0)
    picks = TestPicks().picks()
    for sources, status in [((whole,), "complete"), ((whole, replace(whole, status="partial")), "partial")]:
        assert Report(sources, picks, Matches(()), {}, "", "").status == status
