"""DeepFashion consumer-to-shop, on a small set written in its format: both protocols, both countings, every trap."""

from __future__ import annotations

import pytest

from dprnet.check import check
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.core.images import jpeg_bytes
from dprnet.data import deepfashion_c2s
from dprnet.data.deepfashion_c2s import ConsumerToShop, coarse
from dprnet.data.deepfashion_c2s_check import check_deepfashion_c2s
from dprnet.data.deepfashion_lists import Seen

SHIRT, DRESS, SUIT = "img/TOPS/T_Shirt/id_01", "img/DRESSES/Dress/id_02", "img/TOPS/Summer_Suit/id_03"
PAIRS = [  # one consumer photo with two shop photos, a shop photo asked for twice
    (f"{SHIRT}/comsumer_01.jpg", f"{SHIRT}/shop_01.jpg", "id_01", "test"),
    (f"{SHIRT}/comsumer_01.jpg", f"{SHIRT}/shop_02.jpg", "id_01", "test"),
    (f"{SHIRT}/comsumer_02.jpg", f"{SHIRT}/shop_01.jpg", "id_01", "test"),
    (f"{DRESS}/comsumer_01.jpg", f"{DRESS}/shop_01.jpg", "id_02", "val"),
    (f"{SUIT}/comsumer_01.jpg", f"{SUIT}/shop_01.jpg", "id_03", "train"),
]


def put(path, header, rows, count=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [str(len(rows) if count is None else count), " ".join(header), *(" ".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def write(root, pairs=PAIRS, boxes=None, landmarks=None):
    import numpy as np

    images = sorted({name for pair in pairs for name in pair[:2]})
    for name in images:
        # On disk the folder is called otherwise than in the list.
        path = root / "Img" / name.replace("Summer_Suit", "Summer_Wear")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg_bytes(np.zeros((30, 20, 3), np.uint8)))
    header = ("image_pair_name_1", "image_pair_name_2", "item_id", "evaluation_status")
    put(root / deepfashion_c2s.PARTITION, header, pairs)
    if boxes is None:
        boxes = [(name, 3 if "DRESS" in name else 1, 2 if "comsumer" in name else 1, 2, 3, 18, 27) for name in images]
    put(root / deepfashion_c2s.BOXES, ("image_name", "clothes_type", "source_type", "x_1", "y_1", "x_2", "y_2"), boxes)
    if landmarks is None:
        landmarks = [(images[0], 3, 3, *((1, 5, 5) * 5 + (0, 5, 5) * 3))]
        landmarks += [(f"{SHIRT}/shop_01.jpg", 1, 1, *((0, 5, 5) * 5 + (2, 0, 0)))]
    put(root / deepfashion_c2s.LANDMARKS, ("image_name", "clothes_type", "variation_type", "landmark_1"), landmarks)
    return root


@pytest.fixture
def root(tmp_path):
    return write(tmp_path)


def test_both_protocols_in_both_countings(root):
    made = ConsumerToShop(root)
    sizes = {
        (which, counting): (len(found.queries), len(found.gallery))
        for which in ("test", "val+test")
        for counting in ("pairs", "images")
        for found in [made.protocol(which, counting)]
    }
    assert sizes == {
        ("test", "pairs"): (3, 2),
        ("test", "images"): (2, 2),
        ("val+test", "pairs"): (4, 3),
        ("val+test", "images"): (3, 3),
    }
    test = made.protocol("test")
    assert {photo.domain for photo in test.queries} == {"video"}
    assert {photo.domain for photo in test.gallery} == {"shop"}
    assert {photo.instance for photo in (*test.queries, *test.gallery)} == {"deepfashion/id_01"}
    assert test.queries[0].box_xyxy == (2, 3, 18, 27)
    assert test.queries[0].load().shape == (24, 16, 3)


def test_training_photos_come_once_and_the_odd_folder_is_found(root):
    found = deepfashion_c2s.photos(root, "train")
    assert [photo.path.parts[-3:] for photo in found] == [
        ("Summer_Wear", "id_03", "comsumer_01.jpg"), ("Summer_Wear", "id_03", "shop_01.jpg"),
    ]  # fmt: skip
    assert len(deepfashion_c2s.photos(root, "test")) == 4


def test_landmarks_tell_quality(root):
    made = ConsumerToShop(root)
    assert made.seen[f"{DRESS}/comsumer_01.jpg"] == Seen(viewpoint=1, occlusion=2, crop=0)
    assert made.seen[f"{SHIRT}/shop_01.jpg"] == Seen(viewpoint=0, occlusion=0, crop=1)
    viewpoints = {photo.path.name: photo.viewpoint for photo in made.protocol("test").gallery}
    assert viewpoints == {"shop_01.jpg": 0, "shop_02.jpg": -1}


def test_classes_come_from_the_folders_else_from_the_type():
    assert coarse("img/TROUSERS/Pants/id_1/shop_01.jpg") == 2
    assert coarse("img/CLOTHING/Coat/id_1/shop_01.jpg") == 1
    assert [coarse("img/CLOTHING/Other/id_1/shop_01.jpg", kind) for kind in (1, 2, 3, 0)] == [0, -1, 5, -1]


def test_the_whole_set_must_have_the_published_counts(root, monkeypatch):
    monkeypatch.setattr(deepfashion_c2s, "PAIRS", 5)
    with pytest.raises(BadDataset, match=r"test: 3 queries and 2 gallery photos; published are \(47434, 11312\)"):
        ConsumerToShop(root).protocol("test")
    monkeypatch.setitem(deepfashion_c2s.PUBLISHED, "test", (3, 2))
    assert len(ConsumerToShop(root).protocol("test", "images").queries) == 2


def test_a_sound_copy_has_no_problems(root):
    told = check(root)
    assert told.told == "DeepFashion consumer-to-shop, 5 of 195540 pairs, 3 items, 8 photos"
    assert told.problems == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": [*PAIRS, (PAIRS[0][0], PAIRS[0][1], "id_01", "exam")]}, "line 8: wanted consumer"),
        ({"pairs": [*PAIRS, (PAIRS[4][0], PAIRS[4][1], "id_03", "test")]}, "item id_03 is in 'test', in line 7"),
        ({"pairs": [*PAIRS, (PAIRS[0][0], PAIRS[3][1], "id_01", "test")]}, "does not lie in the folder of its item"),
        ({"boxes": [(PAIRS[0][0], 1, 2, 9, 9, 3, 20)]}, "line 3: the box 9 9 3 20 is no pair of corners"),
        ({"boxes": [(PAIRS[0][0], 7, 2, 1, 1, 3, 20)]}, "line 3: wanted image, types"),
        ({"boxes": []}, "of the partition has no box"),
        ({"landmarks": [(PAIRS[0][0], 1, 1, 0, 5, 5)]}, "line 3: no landmarks of its clothes_type"),
        ({"landmarks": [(PAIRS[0][0], 2, 1, *((3, 5, 5) * 4))]}, "no landmarks of its clothes_type"),
    ],
)  # fmt: skip
def test_every_trap_is_listed(tmp_path, changes, message):
    if changes.get("boxes") == []:
        changes = {"boxes": [(PAIRS[0][0], 1, 2, 1, 1, 3, 20)]}
    _, problems = check_deepfashion_c2s(write(tmp_path, **changes))
    assert any(message in line for line in problems), problems


def test_a_list_cut_short_and_a_missing_photo_are_named(root):
    (root / "Img" / f"{SHIRT}/shop_02.jpg").unlink()
    put(root / deepfashion_c2s.BOXES, ("image_name", "clothes_type"), [(1, 2)], count=9)
    _, problems = check_deepfashion_c2s(root)
    assert "Eval/list_eval_partition.txt line 4: Img/img/TOPS/T_Shirt/id_01/shop_02.jpg does not exist" in problems
    assert any("line 1 says 9 rows, there are 1" in line for line in problems)
    with pytest.raises(BadDataset, match="column 'source_type' is missing"):
        ConsumerToShop(root).protocol("test")
    with pytest.raises(MissingFile, match="holds Eval, Anno and Img"):
        ConsumerToShop(root / "Img")
