"""The truth of the real clips: tables that agree with themselves, and with the files where these are at hand."""

from __future__ import annotations

from collections import defaultdict

import pytest

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.clips import clip_views, clips, write_clips
from dprnet.decode.sampling import Every, Wanted


def test_a_garment_is_of_one_clip_and_class_and_once_in_a_frame():
    known, seen = {}, set()
    for view in clip_views():
        if view.instance < 0:
            continue
        assert known.setdefault(view.instance, (view.video, view.label)) == (view.video, view.label)
        assert (view.frame_index, view.instance) not in seen
        seen.add((view.frame_index, view.instance))
    assert len(known) == 32
    assert len(seen) == 199


def test_boxes_have_an_area_and_every_label_is_said():
    for view in (*clip_views(), *clip_views(second_pass=True)):
        x1, y1, x2, y2 = view.box_xyxy
        assert 0 <= x1 < x2 - 8
        assert 0 <= y1 < y2 - 8
        if view.instance >= 0:
            assert view.viewpoint in (0, 1)
            assert 0 <= view.occlusion <= 2
            assert view.crop in (0, 1)


def test_annotated_frames_are_those_that_the_interval_looks_at():
    frames = defaultdict(set)
    for view in clip_views():
        frames[view.video].add(view.frame_index)
    assert frames.keys() == {clip.name for clip in clips()}
    for clip in clips():
        targets = Wanted(Every.parse(clip.every)).targets()
        looked_at = {number for number in range(1400) if targets.take(number, number / clip.rate)}
        assert frames[clip.name] <= looked_at


def test_the_second_pass_is_a_sample_of_the_first():
    first = {(view.video, view.frame_index, view.instance) for view in clip_views()}
    second = {(view.video, view.frame_index, view.instance) for view in clip_views(second_pass=True)}
    assert second < first
    assert len({(video, frame) for video, frame, _ in second}) >= 10


def test_a_folder_without_clips_and_another_file_are_refused(tmp_path):
    with pytest.raises(MissingFile, match="none of the 10 annotated clips"):
        write_clips(tmp_path, tmp_path / "set")
    (tmp_path / "asl_milk.mkv").write_bytes(b"something else")
    with pytest.raises(BadDataset, match="not the clip that was annotated"):
        write_clips(tmp_path, tmp_path / "set")


@pytest.mark.data
def test_the_clips_become_a_set_whose_boxes_lie_in_its_frames(data_root, tmp_path):
    from dprnet.data.shopset import check
    from dprnet.decode import open_video

    made = write_clips(data_root / "videos", tmp_path / "set")
    assert len(made.videos) == 10
    assert len(made.frames) == 199
    assert len(made.ignored) == 5
    assert not [problem for problem in map(str, check(made.folder)) if "catalogue" not in problem]
    for clip in (clip for clip in clips() if clip.every == "0.5s"):  # the long one takes its time
        with open_video(made.video_path(clip.name), Every.parse(clip.every)) as video:
            shapes = {frame.index: (frame.image.shape, frame.time_s) for frame in video}
        for view in clip_views():
            if view.video == clip.name:
                (height, width, _), time_s = shapes[view.frame_index]
                assert view.box_xyxy[2] <= width
                assert view.box_xyxy[3] <= height
                assert abs(time_s - view.frame_index / clip.rate) < 0.05
