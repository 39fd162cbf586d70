"""A report made by hand: three garments, two videos, two matches, one hostile title."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dprnet.core.records import Detections, Match, Matches, Picks, Report, Source

# garment, source, frame, time, viewpoint, occlusion, crop
VIEWS = (
    (0, 0, 12, 0.5, 0.95, 0.90, 0.80),
    (0, 0, 24, 1.0, 0.40, 0.90, 0.90),
    (0, 0, 240, 10.0, 0.60, 0.70, 0.90),
    (1, 0, 24, 1.0, 0.70, 0.80, 0.90),
    (2, 1, 0, 0.0, 0.90, 0.20, 0.31),
)
LIMITS = (0.5, 0.5, 0.5)


def detections() -> Detections:
    n = len(VIEWS)
    good = np.array([view[4:] for view in VIEWS], np.float32)
    return Detections(
        boxes_xyxy=np.array([[10.5, 20.25, 110.125, 220.0]] * n, np.float32),
        labels=np.array([(0, 2, 5)[view[0]] for view in VIEWS], np.int64),
        scores=np.full(n, 0.875, np.float32),
        viewpoint=np.stack([good[:, 0], 1 - good[:, 0], np.zeros(n)], axis=1).astype(np.float32),
        occlusion=np.stack([good[:, 1], 1 - good[:, 1], np.zeros(n)], axis=1).astype(np.float32),
        crop=np.stack([good[:, 2], 1 - good[:, 2]], axis=1).astype(np.float32),
        embeddings=np.ones((n, 4), np.float32),
        frame_index=np.array([view[2] for view in VIEWS], np.int64),
        time_s=np.array([view[3] for view in VIEWS], np.float32),
        source=np.array([view[1] for view in VIEWS], np.int64),
    )


def match(**changes: object) -> Match:
    values = {
        "item_id": "shirt-1",
        "similarity": 0.75,
        "photo": "photos/shirt.jpg",
        "category": "top",
        "title": "Blue shirt",
        "url": "https://shop.example/shirt-1",
        "price": "29.90",
        "metadata": {"season": "spring"},
    }
    return Match(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def make_report() -> Callable[..., Report]:
    """A report; ``title`` and the other words of a match, and the path of the first video, as wished."""

    def make(path: str = "clips/look.mp4", crop: bool = False, **changes: object) -> Report:
        found = detections()
        crops = (np.full((30, 20, 3), 99, np.uint8), None, None) if crop else ()
        picks = Picks(
            detections=found,
            instance=np.array([view[0] for view in VIEWS], np.int64),
            failing=~(found.quality > np.array(LIMITS, np.float32)),
            best=np.array([0, 3, 4], np.int64),
            picked=np.array([True, True, False]),
            limits=LIMITS,
            crops=crops,
        )
        return Report(
            sources=(
                Source(path, "ab" * 32, 640, 480, 12.0, decoded_until_s=12.0, frames=24),
                Source("clips/b.mp4", "cd" * 32, 480, 640, 4.0, "partial", "b.mp4: damaged after 2.0 s", 2.0, 8),
            ),
            picks=picks,
            matches=Matches(items=((match(**changes), match(item_id="shirt-2", similarity=-0.25)), (), ())),
            seconds={"decode": 0.25, "detect": 1.5},
            bundle="random@0123",
            gallery="gallery@3 (7 photos), 6 items",
            settings={"every": "0.5s"},
        )

    return make
