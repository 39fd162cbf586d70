import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data import ccp

NAMES = ("null", "sweater", "shirt", "jeans", "suit", "bag", "coat", "hat", "hair")


def mask_of(*parts: tuple[int, tuple[int, int, int, int]], shape: tuple[int, int] = (200, 100)) -> np.ndarray:
    """A mask of rectangles (label, (x1, y1, x2, y2)), the later over the earlier."""
    mask = np.zeros(shape, np.uint8)
    for label, (x1, y1, x2, y2) in parts:
        mask[y1:y2, x1:x2] = label
    return mask


def test_box_is_the_extent_of_the_label_with_an_open_end() -> None:
    mask = mask_of((1, (10, 20, 11, 21)), (1, (30, 40, 60, 90)))
    truth = ccp.truth_of_mask(mask, NAMES)
    assert truth.boxes_xyxy.tolist() == [[10, 20, 60, 90]]
    assert truth.labels.tolist() == [COARSE_CLASSES.index("top")]


def test_what_is_no_garment_gives_nothing() -> None:
    truth = ccp.truth_of_mask(mask_of((7, (10, 10, 60, 60)), (5, (10, 100, 60, 160))), NAMES)
    assert len(truth) == 0
    assert truth.ignore_xyxy.shape == (0, 4)


def test_suits_and_small_labels_are_ignore_regions() -> None:
    mask = mask_of((4, (10, 10, 60, 60)), (3, (20, 100, 29, 111)))  # 99 pixels of 20,000: just under 0.5 %
    truth = ccp.truth_of_mask(mask, NAMES)
    assert len(truth) == 0
    assert truth.ignore_xyxy.tolist() == [[20, 100, 29, 111], [10, 10, 60, 60]]


def test_a_label_of_half_a_percent_is_kept() -> None:
    assert len(ccp.truth_of_mask(mask_of((3, (20, 100, 30, 110))), NAMES)) == 1


def test_two_tops_stay_two_unless_they_are_nearly_the_same_box() -> None:
    apart = mask_of((1, (10, 10, 60, 100)), (2, (30, 20, 50, 60)))
    assert len(ccp.truth_of_mask(apart, NAMES)) == 2
    same = mask_of((1, (10, 10, 60, 100)), (2, (11, 12, 59, 99)), (1, (20, 30, 50, 80)))
    assert ccp.truth_of_mask(same, NAMES).boxes_xyxy.tolist() == [[11, 12, 59, 99]]  # the larger mask


@pytest.mark.parametrize(
    ("box", "crop"),
    [
        ((10, 20, 60, 90), 0),
        ((5, 20, 60, 90), 0),
        ((4, 20, 60, 90), -1),  # near the border, not at it
        ((0, 20, 60, 90), 1),
        ((40, 150, 70, 200), 1),
    ],
)
def test_crop_from_where_the_mask_meets_the_border(box: tuple[int, int, int, int], crop: int) -> None:
    assert ccp.truth_of_mask(mask_of((1, box)), NAMES).crop.tolist() == [crop]


def test_crop_is_unknown_where_only_a_tip_touches_the_border() -> None:
    mask = mask_of((1, (20, 20, 70, 120)), (1, (0, 50, 20, 53)))
    assert ccp.truth_of_mask(mask, NAMES).crop.tolist() == [-1]


@pytest.mark.parametrize(
    ("bag", "occlusion"),
    [
        ((20, 20, 24, 120), 0),  # at the edge, but so narrow that it hides 8 % at the very most
        ((35, 20, 55, 120), 1),  # 40 % within the hull and within the box
        ((22, 20, 68, 120), 2),  # 92 %
        ((20, 20, 40, 120), -1),  # at the edge: who knows how far the garment reaches behind it
    ],
)
def test_occlusion_only_where_both_bounds_agree(bag: tuple[int, int, int, int], occlusion: int) -> None:
    mask = mask_of((1, (20, 20, 70, 120)), (5, bag))
    assert ccp.truth_of_mask(mask, NAMES).occlusion[0] == occlusion


def test_a_top_under_a_coat_is_never_called_free() -> None:
    alone = ccp.truth_of_mask(mask_of((1, (30, 20, 60, 90))), NAMES)
    under = ccp.truth_of_mask(mask_of((6, (20, 20, 70, 120)), (1, (40, 20, 50, 60))), NAMES)
    assert alone.occlusion.tolist() == [0]
    assert dict(zip(under.labels.tolist(), under.occlusion.tolist(), strict=True))[0] != 0


def test_short_trousers_under_a_long_coat_are_in_doubt() -> None:
    mask = mask_of((8, (40, 0, 60, 20)), (6, (20, 20, 70, 150)), (3, (30, 150, 60, 190)))
    truth = ccp.truth_of_mask(mask, NAMES)
    assert dict(zip(truth.labels.tolist(), truth.occlusion.tolist(), strict=True))[2] == -1


def test_missing_and_damaged_files_name_themselves(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"labels\.txt: cannot be read"):
        ccp.labelled_images(tmp_path, "train")
    folder = tmp_path / "ccp"
    (folder / "masks").mkdir(parents=True)
    (folder / "labels.txt").write_text("shoes\nnull\n")
    with pytest.raises(BadDataset, match="line 1 must be 'null', got 'shoes'"):
        ccp.labelled_images(tmp_path, "train")
    (folder / "labels.txt").write_text("\n".join(NAMES))
    with pytest.raises(MissingFile, match=r"0001\.png"):
        ccp.labelled_images(tmp_path, "train")
    (folder / "masks" / "0001.png").write_bytes(b"no image")
    with pytest.raises(BadDataset, match=r"0001\.png: no PNG"):
        ccp.labelled_images(tmp_path, "train")
    Image.new("RGB", (3, 3)).save(folder / "masks" / "0001.png")
    with pytest.raises(BadDataset, match="got mode RGB"):
        ccp.labelled_images(tmp_path, "train")


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'dev'"):
        ccp.labelled_images(tmp_path, "dev")


def test_check_names_file_and_value(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(NAMES))
    (tmp_path / "masks").mkdir()
    (tmp_path / "photos").mkdir()
    Image.new("L", (4, 6), 9).save(tmp_path / "masks" / "0001.png")
    Image.new("RGB", (4, 5)).save(tmp_path / "photos" / "0001.jpg")
    problems = ccp.check_ccp(tmp_path)
    assert problems[:2] == [
        "masks/0001.png: 4 x 6 pixels, the photo has 4 x 5",
        "masks/0001.png: label 9, but labels.txt ends with 8",
    ]
    assert problems[2] == "photos/0002.jpg: no such file"
    assert len(problems) == 2 + 799


@pytest.mark.data
def test_counts_of_the_real_test_photos(data_root: Path) -> None:
    images = ccp.labelled_images(data_root, "test")
    counts = Counter(COARSE_CLASSES[label] for image in images for label in image.truth.labels)
    assert len(images) == 100
    # The counts of the data's own card.
    assert counts == {"top": 77, "trousers": 60, "outerwear": 42, "dress": 29, "skirt": 11, "shorts": 4}
    first = images[0]
    height, width = first.load().shape[:2]
    assert first.path.name == "0701.jpg"
    assert (first.truth.boxes_xyxy[:, 2:] <= [width, height]).all()


@pytest.mark.data
def test_the_real_data_is_in_order_and_a_missing_photo_is_found(data_root: Path, tmp_path: Path) -> None:
    shutil.copy(ccp.folder_of(data_root) / "labels.txt", tmp_path)
    (tmp_path / "masks").symlink_to(ccp.folder_of(data_root) / "masks")
    (tmp_path / "photos").mkdir()
    for key in range(2, 801):
        (tmp_path / "photos" / f"{key:04d}.jpg").symlink_to(ccp.folder_of(data_root) / "photos" / f"{key:04d}.jpg")
    assert ccp.check_ccp(tmp_path) == ["photos/0001.jpg: no such file"]
