"""A detector measured on the annotated frames of a set's videos."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from dprnet.core.bundle import Bundle
from dprnet.core.errors import BadDataset
from dprnet.data.shopset import FRAMES, ShopSetWriter
from dprnet.detect import Detector
from dprnet.evaluate.detection.videos import evaluate_videos


def test_annotated_frames_count_and_others_do_not(moving_square, random_bundle, tmp_path):
    writer = ShopSetWriter(tmp_path / "set", {"name": "square", "split": "test"})
    shutil.copy(moving_square, writer.add_video("square"))
    writer.add_instance("square", 0, 0)
    for frame in (0, 3, 10):  # of frames 0, 10 and 20 that a second looks at; nobody annotated 20
        box = (4 * frame, 30, 4 * frame + 40, 90)
        writer.add_view("square", frame, 0, box, time_s=frame / 10, viewpoint=frame // 10, occlusion=0, crop=0)
    shopset = writer.finish()
    detector = Detector.from_bundle(Bundle.from_pretrained(random_bundle))
    found = evaluate_videos(detector, shopset)
    assert (found.images, found.boxes["top"], sum(found.boxes.values())) == (2, 2, 2)
    assert 0 <= found.ap50 <= 1
    assert set(found.branches) == {"viewpoint", "occlusion", "crop"}
    unannotated = replace(shopset)
    pq.write_table(FRAMES.empty_table(), shopset.folder / "frames.parquet")
    with pytest.raises(BadDataset, match="none of the frames at every 1s"):
        evaluate_videos(detector, unannotated)
