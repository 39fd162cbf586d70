"""Landmarks and attributes out of a set on disk, and its task of best views."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pytorch_metric_learning", reason="training needs the extra 'train'")

from dprnet.core.classes import COARSE_CLASSES
from dprnet.data.shopset import ShopSet, ShopSetWriter
from dprnet.evaluate.photo_sets import best_views, load_sets, shopset_task
from dprnet.train.methods.marks import LANDMARKS, read_marks
from dprnet.train.photos import load_photos
from dprnet.train.shots import PhotoSource, read_sources

SKIRT = COARSE_CLASSES.index("skirt")
CORNERS = [20, 20, 2, 60, 20, 2, 20, 100, 1, 60, 100, 0]  # waist, then hem; of a box of 40 x 80


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two skirts; the first has landmarks and attributes, three views of which the second is best."""
    writer = ShopSetWriter(tmp_path_factory.mktemp("marks") / "set", {"name": "marks", "split": "train"})
    grey = np.full((120, 90, 3), 120, np.uint8)
    for number in (0, 1):
        writer.add_item(f"A{number}", [grey[:50, :40]], category="skirt")
    told = {"print": "stripes", "colours": ["red", "white"], "sleeve": "", "front": "closed"}
    writer.add_instance("street", instance=0, label=SKIRT, item_id="A0", attributes=told)
    writer.add_instance("street", instance=1, label=SKIRT, item_id="A1", attributes={"print": "dots"})
    writer.add_instance("street", instance=2, label=SKIRT)  # nobody sells it
    for frame in range(3):
        writer.add_still("street", frame, grey)
        seen = {"viewpoint": 1 if frame == 2 else 0, "occluded": (0.5, 0.1, 0.0)[frame], "cut_off": 0.0}
        writer.add_view("street", frame, instance=0, box_xyxy=(20, 20, 60, 100), landmarks=CORNERS, **seen)
        writer.add_view("street", frame, instance=1, box_xyxy=(20 - frame, 20, 60, 100), viewpoint=1)
        writer.add_view("street", frame, instance=2, box_xyxy=(20, 20, 60, 100), viewpoint=0)
    return writer.finish().folder


def test_marks_are_those_of_each_photo(folder):
    sources = (PhotoSource(kind="shopset", path=str(folder)),)
    cache = load_photos(read_sources(sources), 40)
    marks = read_marks(sources, cache)
    assert marks.names == ("colours=red", "colours=white", "front=closed", "print=dots", "print=stripes")
    for row, shot in enumerate(cache.shots):
        first = shot.photo.instance.endswith("/A0")
        if shot.photo.instance.endswith("/2"):
            assert (marks.attributes[row] == -1).all()
        else:
            assert marks.attributes[row].tolist() == ([1, 1, 1, 0, 1] if first else [0, 0, 0, 1, 0])
        if first and shot.photo.domain == "video":
            # The square of a box of 40 x 80 is 80 wide: the waist lies half-way out, the hem at the lower edge.
            wanted = [[-0.5, -1, 2], [0.5, -1, 2], [-0.5, 1, 1], [0, 0, 0]]
            assert marks.landmarks[row, LANDMARKS.index("waist_left") :].tolist() == wanted
            assert not marks.landmarks[row, :4].any()
        else:
            assert not marks.landmarks[row].any()


def test_the_best_view_asks_and_the_shop_answers(folder):
    shopset = ShopSet.open(folder)
    found = {shot.photo.instance.partition("/")[2]: shot for shot in best_views(shopset)}
    assert set(found) == {"A0", "A1"}
    assert found["A0"].photo.path.name == "street_0001.jpg"  # less hidden than the first, frontal unlike the third
    assert found["A1"].photo.box_xyxy == (18, 20, 60, 100)  # never frontal, never labelled: the largest
    task = shopset_task(shopset)
    assert [shot.photo.instance for shot in task.gallery] == [shot.photo.instance for shot in task.queries]
    loaded = load_sets([task, task], 16)
    assert len(loaded.cache) == 4
    assert loaded.sets[0][1].tolist() == loaded.sets[1][1].tolist() == [0, 1]
