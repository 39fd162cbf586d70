"""Real people: what is counted, how far two passes agree, and a sheet of scores."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dprnet.cli import run
from dprnet.core.images import read_image
from dprnet.data.clips import ClipView, clip_views
from dprnet.evaluate.clips import agreement, well_seen
from dprnet.evaluate.score_sheet import balanced, evenly, good_and_said, of_one_garment


def test_two_passes_by_hand():
    one = ClipView("v", 0, 1, 0, (0, 0, 10, 10), 0, 0, 0)
    first = [
        one,
        replace(one, instance=2),
        replace(one, instance=3),
        replace(one, instance=-1),
        replace(one, frame_index=5),
    ]
    second = [replace(one, box_xyxy=(0, 0, 10, 8), crop=1), replace(one, instance=2), replace(one, instance=9)]
    found = agreement(first, second)
    assert (found.views, found.only_first, found.only_second) == (2, 1, 1)
    assert (found.iou, found.least_iou) == (pytest.approx(0.9), pytest.approx(0.8))
    assert (found.same_class, found.same_viewpoint, found.same_occlusion, found.same_crop) == (1, 1, 1, 0.5)


def test_the_two_passes_over_the_clips_agree():
    found = agreement(clip_views(), clip_views(second_pass=True))
    assert found.views >= 25
    assert (found.only_first, found.only_second) == (0, 0)
    assert found.iou > 0.9
    assert found.least_iou > 0.75
    assert found.same_class == found.same_viewpoint == 1.0
    assert 0.9 < found.same_occlusion < 1.0  # hands before a pullover, a head before a coat


def test_garments_with_a_good_view(seen):
    video = seen(seed=0, garments=2)
    assert well_seen(video) == {0, 1}
    truth = video.truth
    turned = replace(truth, frontal=np.where(truth.instance == 0, False, truth.frontal))
    cut = replace(turned, cut_off=np.where(truth.instance == 1, 0.3, 0.0).astype(np.float32))
    assert well_seen(replace(video, truth=turned)) == {1}
    assert well_seen(replace(video, truth=cut)) == set()


def test_what_nobody_labelled_is_not_judged(seen):
    video = seen(seed=1)
    unlabelled = replace(video.truth, occluded=np.full(len(video.truth.instance), np.nan, np.float32))
    found = good_and_said([replace(video, truth=unlabelled)])
    assert len(found["occlusion"][0]) == 0
    assert len(found["crop"][0]) == len(found["viewpoint"][0]) == (video.views >= 0).sum()
    assert np.isnan(balanced([replace(video, truth=unlabelled)])["occlusion"])
    nobody = replace(video.truth, frontal=video.truth.frontal & False, turned=video.truth.frontal & False)
    assert len(good_and_said([replace(video, truth=nobody)])["viewpoint"][0]) == 0


def test_a_row_of_the_sheet_holds_the_best_view_of_one_garment(seen):
    from dprnet.evaluate.groups import groups_of
    from dprnet.pick import PickConfig

    video = seen(seed=0)
    config = PickConfig(viewpoint=0.5, occlusion=0.5, crop=0.5)
    groups = groups_of(video, config, "true", np.unique(video.detections.frame_index))
    parts = [part for group in groups if (part := of_one_garment(video, group)) is not None]
    assert len(parts) == 4
    for part in parts:
        shown = evenly(video, part)
        assert 2 <= len(shown) <= 6
        assert part.rows[part.best] in shown
        assert (np.diff(video.detections.time_s[shown]) > 0).all()


@pytest.mark.slow
@pytest.mark.data
def test_real_people_from_the_command_line(data_root, random_bundle, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    arguments = ["evaluate", "clips", str(data_root / "videos"), "--bundle", str(random_bundle), "--sheet", str(sheet)]
    assert run([*arguments, "--cache", str(tmp_path / "cache")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["garments"], found["annotated_views"], found["with_good_view"]) == (31, 199, 9)
    assert 0 <= found["r_pick"] <= 1
    assert set(found["missed"]) == {"not detected", "no good view", "seen too briefly", "merged with another"}
    assert sum(found["missed"].values()) + round(found["r_pick"] * 31) == 31
    if sheet.exists():  # random weights may find no garment three times
        assert read_image(sheet).image.std() > 10
