"""DeepFashion2: the reader against labels by hand, and every trap named with file and value."""

from __future__ import annotations

import gc
import json
import os
import pickle
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.deepfashion2 import DeepFashion2
from dprnet.data.deepfashion2_check import MOST_OF_A_KIND, check_deepfashion2
from dprnet.data.deepfashion2_files import CATEGORIES, COARSE, LANDMARKS, crop_of, read_annotation


@pytest.fixture
def copy(deepfashion2: Path, tmp_path: Path) -> Path:
    shutil.copytree(deepfashion2, tmp_path / "set")
    return tmp_path / "set"


def change(root: Path, stem: str, item: str = "item1", **columns: object) -> None:
    path = root / "train" / "annos" / f"{stem}.json"
    values = json.loads(path.read_text())
    (values if item == "" else values[item]).update(columns)
    path.write_text(json.dumps(values))


def test_the_table_of_the_data_set():
    assert sum(LANDMARKS) == 294  # published: 294 landmarks of 13 categories
    assert len(CATEGORIES) == len(LANDMARKS) == len(COARSE) == 13
    assert COARSE == (0, 0, 1, 1, 0, 0, 3, 2, 4, 5, 5, 5, 5)


def test_labels_by_hand(deepfashion2: Path):
    images = DeepFashion2(deepfashion2, "train")
    assert (len(images), images.garments, images.instances) == (8, 12, 4)
    user, shop = images[0].truth, images[4].truth
    assert user.boxes_xyxy.tolist() == [[8, 10, 56, 50], [16, 50, 48, 90]]
    assert user.labels.tolist() == [0, 2]
    assert user.viewpoint.tolist() == [0, 1]  # frontal, side or back
    assert user.occlusion.tolist() == [0, 2]
    assert user.crop.tolist() == [0, 0]
    assert user.instance.tolist() == [0, -1]  # style 0 has no identity
    assert (shop.viewpoint.tolist(), shop.crop.tolist(), shop.instance.tolist()) == ([2], [1], [0])
    assert images[0].load().shape == (96, 64, 3)
    assert images.from_shop.tolist() == [False] * 4 + [True] * 4


def test_own_classes_stay_thirteen(deepfashion2: Path):
    images = DeepFashion2(deepfashion2, "train", classes="own")
    assert [image.truth.labels.tolist() for image in images[2:5]] == [[2, 7], [3, 7], [0]]


def test_it_is_a_sequence(deepfashion2: Path):
    images = DeepFashion2(deepfashion2 / "train")
    assert images[-1].path.name == "000008.jpg"
    assert len(list(images)) == 8
    with pytest.raises(IndexError):
        images[8]
    again = pickle.loads(pickle.dumps(images))  # as a loading process gets it
    np.testing.assert_array_equal(again[3].truth.boxes_xyxy, images[3].truth.boxes_xyxy)


def test_photos_share_an_identity_over_both_sources(deepfashion2: Path):
    photos = list(DeepFashion2(deepfashion2, "train").photos())
    assert len(photos) == 8
    assert [photo.domain for photo in photos] == ["video"] * 4 + ["shop"] * 4
    assert photos[1].instance == photos[5].instance == "deepfashion2/2-1-2"


def test_little_is_held(copy: Path):
    text = (copy / "train" / "annos" / "000001.json").read_text()
    for number in range(9, 1009):
        (copy / "train" / "annos" / f"{number:06d}.json").write_text(text)
        (copy / "train" / "image" / f"{number:06d}.jpg").touch()
    list(DeepFashion2(copy, "train")[:1])  # what is imported or kept at first use is no part of it
    gc.collect()
    tracemalloc.start()
    images = DeepFashion2(copy, "train")
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    every = list(images)
    listed, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(every) == 1008
    assert 5 * held < listed


# In a process of its own: what a thread of another test takes meanwhile is counted too.
HELD_IN_TRAINING = """
import gc, json, sys, tracemalloc
from dprnet.data.transforms import DetectionAugment
from dprnet.train.examples import DataSource, Examples, gather

few, many = sys.argv[1:]
gather((DataSource(kind="deepfashion2", path=few),))  # what is kept at first use is no part of it
tracemalloc.start()
images, chances, _ = gather((DataSource(kind="deepfashion2", path=many),))
_, peak = tracemalloc.get_traced_memory()  # what is drawn costs some photos' pixels, however many there are
examples = Examples(images, chances, DetectionAugment(), short_sides=(64,), elongation=2.0, seed=0)
drawn = [examples[step, 0][1] for step in range(50)]
gc.collect()
held, _ = tracemalloc.get_traced_memory()
print(json.dumps({"images": len(images), "truths": sum(map(len, drawn)), "held": held, "peak": peak}))
"""


@pytest.mark.slow
def test_memory_is_bounded_by_a_few_bytes_an_image(deepfashion2: Path, tmp_path: Path):
    """Ten thousand images, read and made ready for training; of the published 191,961 that is less than 60 MB."""
    count = 10_000
    source = deepfashion2 / "train"
    for part, ending in (("annos", "json"), ("image", "jpg")):
        (tmp_path / "train" / part).mkdir(parents=True)
        for number in range(count):
            os.link(
                source / part / f"{number % 8 + 1:06d}.{ending}", tmp_path / "train" / part / f"{number:06d}.{ending}"
            )
    command = [sys.executable, "-c", HELD_IN_TRAINING, str(deepfashion2), str(tmp_path)]
    counted = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    assert counted["images"] == count
    assert counted["truths"] > 0
    assert counted["held"] < 300 * count
    assert counted["peak"] < 1000 * count


def test_crop_rule():
    assert crop_of([2] * 10) == 0
    assert crop_of([1] * 10) == 0  # occluded, but labelled
    assert crop_of([2] * 9 + [0]) == 1
    assert crop_of([2] * 9 + [0], missing=0.1) == 0
    assert crop_of([0] * 10) == -1


@pytest.mark.parametrize(
    ("item", "columns", "message"),
    [
        ("", {"source": "web"}, "source 'web'; wanted 'user' or 'shop'"),
        ("", {"pair_id": "7"}, "pair_id '7'; wanted a whole number"),
        (
            "item1",
            {"bounding_box": [50, 10, 20, 40]},
            r"item1.bounding_box \[50, 10, 20, 40\] is empty; wanted corners",
        ),
        ("item1", {"bounding_box": [1, 2, 3]}, r"item1.bounding_box \[1, 2, 3\]; wanted four numbers"),
        ("item2", {"category_id": 14}, "item2.category_id 14; wanted 1 to 13"),
        ("item1", {"viewpoint": 0}, "item1.viewpoint 0; wanted 1 to 3"),
        ("item1", {"occlusion": None}, "item1.occlusion None; wanted 1 to 3"),
        ("item1", {"style": True}, "item1.style True"),
        ("item1", {"landmarks": [1, 2, 3]}, "item1.landmarks must be triplets"),
        ("item1", {"landmarks": ["1", 2, 2]}, "item1.landmarks must be triplets"),
    ],
)
def test_what_cannot_be_used_is_refused_with_file_and_value(copy: Path, item, columns, message):
    change(copy, "000002", item, **columns)
    with pytest.raises(BadDataset, match=message) as caught:
        DeepFashion2(copy, "train")
    assert caught.value.thing.endswith("annos/000002.json")
    assert any(line.startswith("annos/000002.json: ") for line in check_deepfashion2(copy, "train").problems)


@pytest.mark.parametrize("content", ["", "[1]", "{", "[" * 100_000])
def test_files_that_are_no_annotation(copy: Path, content: str):
    path = copy / "train" / "annos" / "000003.json"
    path.write_text(content)
    with pytest.raises(BadDataset, match=r"000003\.json"):
        read_annotation(path)


def test_missing_files(copy: Path, tmp_path: Path):
    with pytest.raises(MissingFile, match="holds no folders"):
        DeepFashion2(tmp_path / "nowhere", "train")
    (copy / "train" / "image" / "000004.jpg").unlink()
    with pytest.raises(MissingFile, match=r"000004\.jpg: is annotated"):
        DeepFashion2(copy, "train")
    assert check_deepfashion2(copy, "train").problems == ["image/000004.jpg: is annotated, but there is no such image"]


def test_a_sound_set_has_no_problems_and_the_crop_rule_is_checked(deepfashion2: Path):
    found = check_deepfashion2(deepfashion2, "train")
    assert found.problems == []
    assert found.told() == "8 images, 12 garments, cropped by zoom_in: none 0%, large 100%"


def test_a_crop_rule_that_contradicts_zoom_in_is_reported(copy: Path):
    change(copy, "000005", zoom_in=1)
    change(copy, "000006", zoom_in=3)
    problems = check_deepfashion2(copy, "train").problems
    assert problems == [
        "the landmarks call 0% of zoom_in 3 against 9% of zoom_in 1 cropped; wanted more of the first: "
        "do they mean the same?"
    ]


@pytest.mark.parametrize(
    ("stem", "columns", "sentence"),
    [
        ("000001", {"category_name": "tee"}, "item1.category_name 'tee' is not 'short sleeve top'"),
        ("000002", {"landmarks": []}, "item1.landmarks: none is labelled"),
        ("000003", {"landmarks": [9, 12, 2] * 25}, "item1.landmarks: 25 of them; category 3 has 31"),
        (
            "000001",  # left 8, top 10, width 48, height 40: corners as far as anybody can see
            {"bounding_box": [8, 10, 48, 40], "landmarks": [8, 10, 2, 56, 50, 2] * 12 + [56, 50, 2]},
            "item1.bounding_box [8.0, 10.0, 48.0, 40.0] does not hold 52% of its landmarks; wanted corners",
        ),
        ("000001", {"bounding_box": [8, 10, 56, 250]}, "leaves the image of 64 x 96 pixels"),
        ("000007", {"category_id": 4, "category_name": "long sleeve outwear"}, "is given to categories 3, 4"),
        ("000008", {"style": 2}, "pair_id 4, style 2 has no partner in any other image"),
        ("000008", {"style": 2}, "annos/000004.json: pair_id 4, style 1 has no partner"),
    ],
)
def test_known_traps_are_named(copy: Path, stem, columns, sentence):
    change(copy, stem, **columns)
    problems = check_deepfashion2(copy, "train").problems
    assert any(sentence in problem for problem in problems), problems
    DeepFashion2(copy, "train")  # a trap is no reason to refuse


def test_two_garments_of_one_identity_in_one_image(copy: Path):
    change(copy, "000001", "item2", style=1, category_id=1, category_name=CATEGORIES[0], landmarks=[20, 60, 2] * 25)
    problems = check_deepfashion2(copy, "train").problems
    assert problems == ["annos/000001.json: item2 is style 1 of pair 1, as another item of this file"]


def test_two_categories_of_one_style_are_two_garments(copy: Path):
    change(copy, "000007", category_id=4, category_name="long sleeve outwear", landmarks=[9, 9, 2] * 39)
    images = DeepFashion2(copy, "train")
    assert images.instances == 5
    assert images[2].truth.instance[0] != images[6].truth.instance[0]


def test_much_of_a_kind_is_counted(copy: Path):
    for number in range(1, 9):
        change(copy, f"{number:06d}", category_name="x")
    problems = check_deepfashion2(copy, "train").problems
    assert len(problems) == MOST_OF_A_KIND + 1
    assert problems[-1] == "and 3 more: category names that differ (category_id counts)"
