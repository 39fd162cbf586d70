"""What the limits of picking keep of photos, by hand, and that a fit listens to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dprnet.core.errors import BadDataset
from dprnet.core.records import Detections, Truth
from dprnet.evaluate.calibrate import calibrate_picking
from dprnet.evaluate.objective import Grid, Objective
from dprnet.evaluate.seen import Seen
from dprnet.evaluate.stills import StillCounts, Stills
from dprnet.pick import PickConfig

LEFT, RIGHT, FAR = (0, 0, 10, 20), (20, 0, 30, 20), (80, 0, 90, 20)
TOP, OUTERWEAR = 0, 1


def truth(*garments: tuple[tuple[int, ...], int, int], ignore: tuple[tuple[int, ...], ...] = ()) -> Truth:
    """Of (box, class, occlusion) each; nobody said anything of viewpoint and crop."""
    n = len(garments)
    unknown = np.full(n, -1)
    return Truth(
        np.array([box for box, _, _ in garments], np.float32).reshape(n, 4),
        np.array([label for _, label, _ in garments], np.int64),
        unknown, np.array([occlusion for _, _, occlusion in garments], np.int64), unknown, unknown,
        np.array(ignore, np.float32).reshape(-1, 4),
    )  # fmt: skip


def found(*rows: tuple[tuple[int, ...], int, float, float]) -> Detections:
    """Of (box, class, score, chance of frontal) each; slight and whole are certain."""
    n = len(rows)
    good = np.tile(np.array([0.9, 0.1, 0.0], np.float32), (n, 1))
    viewpoint = np.array([[view, 1 - view, 0.0] for *_, view in rows], np.float32).reshape(n, 3)
    return Detections(
        boxes_xyxy=np.array([row[0] for row in rows], np.float32).reshape(n, 4),
        labels=np.array([row[1] for row in rows], np.int64),
        scores=np.array([row[2] for row in rows], np.float32),
        viewpoint=viewpoint, occlusion=good, crop=good[:, :2] / good[:, :2].sum(axis=1, keepdims=True),
        embeddings=np.ones((n, 2), np.float32),
        frame_index=np.zeros(n, np.int64), time_s=np.zeros(n, np.float64), source=np.zeros(n, np.int64),
    )  # fmt: skip


def limits(**values: float) -> PickConfig:
    return PickConfig(viewpoint=0.5, occlusion=0.5, crop=0.5).model_copy(update=values)


def test_what_passes_by_hand() -> None:
    photo = truth((LEFT, TOP, 0), (RIGHT, TOP, 2), ignore=(FAR,))
    seen = found((LEFT, TOP, 0.6, 0.9), (RIGHT, TOP, 0.9, 0.9), (FAR, TOP, 0.9, 0.9), (LEFT, OUTERWEAR, 0.8, 0.9))
    stills = Stills.of_photos([seen], [photo])
    # The garment on the right is hidden: nothing need find it, and what does is right. What is far off is ignored.
    assert stills.counts(limits()) == StillCounts(garments=1, found=1, kept=3, right=2)
    assert stills.counts(limits(min_score=0.7)) == StillCounts(garments=1, found=0, kept=2, right=1)
    # Only of the garment on the left somebody said that it is not hidden, and of none that it is frontal.
    assert stills.counts(limits(occlusion=0.95)) == StillCounts(garments=1, found=0, kept=2, right=1)
    assert stills.counts(limits(viewpoint=0.95)) == stills.counts(limits())
    assert stills.counts(limits(min_score=0.95)) == StillCounts(garments=1)
    assert np.isnan(stills.counts(limits(min_score=0.95)).precision)


def test_a_garment_seen_as_either_class_is_found_as_the_other() -> None:
    photo, seen = truth((LEFT, TOP, -1)), found((LEFT, OUTERWEAR, 0.9, 0.9))
    assert Stills.of_photos([seen], [photo]).counts(limits()) == StillCounts(1, 0, 1, 0)
    assert Stills.of_photos([seen], [photo], [("top", "outerwear")]).counts(limits()) == StillCounts(1, 1, 1, 1)


def test_photos_without_detections_count_as_missed() -> None:
    nothing = found()
    stills = Stills.of_photos([nothing, found((RIGHT, TOP, 0.9, 0.9))], [truth((LEFT, TOP, 0)), truth((RIGHT, TOP, 0))])
    assert stills.counts(limits()) == StillCounts(garments=2, found=1, kept=1, right=1)


def test_a_garment_is_found_on_its_own_photo_only() -> None:
    photos = found((LEFT, TOP, 0.9, 0.9)), found((LEFT, TOP, 0.9, 0.9), (RIGHT, TOP, 0.4, 0.9))
    stills = Stills.of_photos(photos, [truth((LEFT, TOP, 0)), truth((RIGHT, TOP, 0))])
    assert stills.counts(limits(min_score=0.5)) == StillCounts(garments=2, found=1, kept=2, right=1)


def test_photos_that_show_nothing_to_pick_are_told() -> None:
    with pytest.raises(BadDataset, match="no garment in a good view in 1 photos"):
        Stills.of_photos([found()], [truth((LEFT, TOP, 1))])


def test_objective_of_photos_by_hand() -> None:
    counts = StillCounts(garments=10, found=8, kept=20, right=15)
    assert Objective().of_stills(counts) == pytest.approx(0.8 - 0.5 * 0.25)
    assert Objective(stills=0.5).of_stills(counts) == pytest.approx(0.5 * (0.8 - 0.5 * 0.25))
    assert Objective().of_stills(StillCounts(garments=10)) == pytest.approx(-0.5)


def test_limits_that_real_garments_do_not_reach_are_not_chosen(seen: Callable[..., Seen]) -> None:
    """Drawn garments reach any of these scores; the garment on a photo only the lower one."""
    videos = [seen(seed=seed) for seed in range(2)]
    least = float(min(video.detections.scores.min() for video in videos))
    grid = Grid(
        viewpoint=(0.3,), occlusion=(0.5,), crop=(0.5,), min_score=(0.9 * least, 0.95 * least),
        cut_distance=(0.3,), min_views=(1,), same_frame_apart=(False,),
    )  # fmt: skip
    photo = Stills.of_photos([found((LEFT, TOP, 0.92 * least, 0.9))], [truth((LEFT, TOP, 0))])
    fitted = calibrate_picking(videos, stills=photo, grid=grid)
    assert fitted.config.min_score == pytest.approx(0.9 * least)
    assert fitted.stills == StillCounts(1, 1, 1, 1)
    assert fitted.value == pytest.approx(Objective().of(fitted.figures.counts) + 1)
    assert fitted.tradeoff[0].row()["photos_recall"] == 1
