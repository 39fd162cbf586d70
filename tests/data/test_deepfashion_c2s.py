"""DeepFashion consumer-to-shop, on a small set written in its format: both protocols, both countings, every trap."""

from __future__ import annotations

import shutil

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
    for number, name in enumerate(images):
        # On disk the folder is called otherwise than in the list.
        path = root / "Img" / name.replace("Summer_Suit", "Summer_Wear")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg_bytes(np.full((30, 20, 3), 20 * number, np.uint8)))
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
    other = "lies in 'Summer_Wear'; the one is read for the other"
    assert told.problems == (
        f"{deepfashion_c2s.PARTITION} line 7: {SUIT}/comsumer_01.jpg {other}",
        f"{deepfashion_c2s.PARTITION} line 7: {SUIT}/shop_01.jpg {other}",
    )
    for name in ("comsumer_01.jpg", "shop_01.jpg"):
        place = root / "Img" / SUIT / name
        place.parent.mkdir(parents=True, exist_ok=True)
        (root / "Img" / SUIT.replace("Summer_Suit", "Summer_Wear") / name).rename(place)
    assert check(root).problems == ()


def test_a_garment_under_two_ids_is_found_by_its_photo(root):
    shutil.copy(root / "Img" / SHIRT / "shop_01.jpg", root / "Img" / DRESS / "shop_01.jpg")
    shutil.copy(root / "Img" / SHIRT / "shop_01.jpg", root / "Img" / SHIRT / "shop_02.jpg")  # of one item: no trap
    twins = [line for line in check_deepfashion_c2s(root)[1] if "same file" in line]
    assert twins == [
        f"{DRESS}/shop_01.jpg of item id_02 is the same file as {SHIRT}/shop_01.jpg of item id_01: "
        "one garment under two ids"
    ]


ATTRIBUTES = (("a-line", 3), ("crew neck", 4))


def put_items(root, items=("id_01", "id_02", "id_03"), rows=(("id_01", 1, -1), ("id_02", 0, 0))):
    (root / deepfashion_c2s.ITEMS).write_text("\n".join([str(len(items)), *items]) + "\n")
    put(root / deepfashion_c2s.ATTRIBUTES, ("attribute_name", "attribute_type"), ATTRIBUTES)
    put(root / deepfashion_c2s.ITEM_ATTRIBUTES, ("item_id", "attribute_labels"), rows)


def test_items_and_their_attributes(root):
    assert (ConsumerToShop(root).attributes, ConsumerToShop(root).item_attributes) == ((), {})
    put_items(root)
    made = ConsumerToShop(root)
    assert made.attributes == ("a-line", "crew neck")
    assert made.item_attributes == {"id_01": (1, -1), "id_02": (0, 0)}
    assert all("Summer_Wear" in line for line in check_deepfashion_c2s(root)[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": ("id_01", "id_03")}, "line 6: item id_02 is not in Anno/list_item_consumer2shop.txt"),
        ({"items": ("id_01", "id_02", "id_03", "id_02")}, "line 5: id_02 again, first in line 3"),
        ({"rows": [("id_01", 1, 2)]}, "line 3: attribute value '2' of id_01; wanted 1, -1 or 0"),
        ({"rows": [("id_01", 1)]}, "line 3: 1 values for id_01; there are 2 attributes"),
    ],
)
def test_wrong_items_and_attributes_are_listed(root, changes, message):
    put_items(root, **changes)
    problems = check_deepfashion_c2s(root)[1]
    assert any(message in line for line in problems), problems


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": [*PAIRS, (PAIRS[0][0], PAIRS[0][1], "id_01", "exam")]}, "line 8: wanted consumer"),
        ({"pairs": [*PAIRS, (PAIRS[4][0], PAIRS[4][1], "id_03", "test")]}, "item id_03 is in 'test', in line 7"),
        ({"pairs": [*PAIRS, (PAIRS[0][0], PAIRS[3][1], "id_01", "test")]}, "does not lie in the folder of its item"),
        ({"boxes": [(PAIRS[0][0], 1, 2, 9, 9, 3, 20)]}, "line 3: the box 9 9 3 20 is no pair of corners"),
        ({"boxes": [(PAIRS[0][0], 7, 2, 1, 1, 3, 20)]}, "line 3: wanted image, types"),
        ({"boxes": [(PAIRS[0][0], 1, 2, 2, 3, 18, 40)]}, "the box 2 3 18 40 leaves img/TOPS/T_Shirt/id_01/comsumer_01"),
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
