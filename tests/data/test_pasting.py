"""Cut-outs and pasted scenes: exact truth on made things, whole sets on the real photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from PIL import Image as Pil
from scipy import ndimage

from dprnet.core.classes import crop_class, occlusion_class
from dprnet.data import ccp
from dprnet.data.cutouts import CutGarment, Cutout, before_white, clean, from_ccp, on_white
from dprnet.data.grounds import fitted, plain, room, street_beside
from dprnet.data.labelled import LabelledImage, world_photos
from dprnet.data.pasting import SIZES, PastingSettings, make_pasted
from dprnet.data.scenes import Pose, Scene
from dprnet.data.separate import centre_prior, probability, solid
from dprnet.data.shopset import check
from dprnet.data.splits import split_of


def block(width: int, height: int, *, label: int = 0, occlusion: int = 0, crop: int = 0, name: str = "a") -> Cutout:
    """A plain garment that fills its cut-out."""
    garment = CutGarment(1, label, 0, occlusion, crop, name)
    pixels = np.full((height, width, 3), 200, np.uint8)
    return Cutout(pixels, np.ones((height, width), np.uint8), (garment,), Path(), (0, 0, width, height))


def scene() -> Scene:
    return Scene(np.zeros((100, 200, 3), np.uint8))


def test_a_garment_in_the_middle_is_whole_and_free() -> None:
    made = scene()
    made.paste(block(40, 20), Pose(2.0, 0.0, False, (100.0, 50.0)))
    (view,), ignored = made.views()
    assert view.box_xyxy == (60, 30, 140, 70)
    assert (view.occluded, view.cut_off, view.occlusion, view.crop, ignored) == (0, 0, 0, 0, [])
    assert made.image[50, 100, 0] == 200
    assert made.image[10, 100, 0] == 0


def test_the_later_covers_the_earlier() -> None:
    made = scene()
    made.paste(block(40, 40), Pose(1.0, 0.0, False, (100.0, 50.0)))
    made.paste(block(20, 40, name="b", label=3), Pose(1.0, 0.0, False, (110.0, 50.0)))
    (under, over), _ = made.views()
    assert under.box_xyxy == (80, 30, 100, 70)
    assert (under.occluded, under.occlusion) == (0.5, 2)
    assert (over.occluded, over.occlusion, over.garment.label) == (0, 0, 3)


def test_occlusion_counts_what_lies_within_the_image_only() -> None:
    made = scene()
    made.paste(block(40, 40), Pose(1.0, 0.0, False, (0.0, 50.0)))  # half of it outside
    made.paste(block(10, 40, name="b"), Pose(1.0, 0.0, False, (15.0, 50.0)))  # over half of the rest
    views, _ = made.views()
    assert (views[0].cut_off, views[0].occluded, views[0].crop) == (0.5, 0.5, 1)


def test_what_is_hidden_becomes_an_ignore_region() -> None:
    made = scene()
    made.paste(block(40, 40), Pose(1.0, 0.0, False, (100.0, 50.0)))
    made.paste(block(38, 40, name="b"), Pose(1.0, 0.0, False, (99.0, 50.0)))
    views, ignored = made.views()
    assert [view.garment.identity for view in views] == ["b"]
    assert ignored == [(118, 30, 120, 70)]


def test_a_garment_wholly_outside_leaves_no_trace() -> None:
    made = scene()
    made.paste(block(40, 40), Pose(1.0, 0.0, False, (-100.0, 50.0)))
    assert made.views() == ([], [])
    assert not made.image.any()


def test_what_the_photo_hid_stays_unknown() -> None:
    made = scene()
    made.paste(block(40, 40, occlusion=-1, crop=-1), Pose(1.0, 0.0, False, (100.0, 50.0)))
    (view,), _ = made.views()
    assert (view.occlusion, view.crop) == (-1, -1)
    assert np.isnan([view.occluded, view.cut_off]).all()
    made.paste(block(30, 40, name="b"), Pose(1.0, 0.0, False, (105.0, 50.0)))
    assert made.views()[0][0].occlusion == 2  # three quarters covered: heavy whatever the photo hid


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_labels_fit_their_fractions_and_boxes_the_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = scene()
    for name in "abcd":
        cutout = block(int(rng.integers(10, 90)), int(rng.integers(10, 90)), name=name)
        pose = Pose(
            float(rng.uniform(0.3, 2)),
            float(rng.uniform(-40, 40)),
            bool(rng.random() < 0.5),
            (float(rng.uniform(-20, 220)), float(rng.uniform(-20, 120))),
        )
        made.paste(cutout, pose)
    views, ignored = made.views()
    for box in [view.box_xyxy for view in views] + ignored:
        assert 0 <= box[0] < box[2] <= 200
        assert 0 <= box[1] < box[3] <= 100
    for view in views:
        assert 0 <= view.occluded <= 0.9
        assert 0 <= view.cut_off <= 0.9
        assert view.crop == crop_class(view.cut_off)
        assert view.occlusion == occlusion_class(view.occluded)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("degrees", [0.0, 25.0, -90.0])
def test_ignore_regions_move_with_the_pixels(flip: bool, degrees: float) -> None:
    parts = np.full((30, 20), 255, np.uint8)
    parts[5:10, 2:8] = 1
    garment = CutGarment(1, 0, 0, 0, 0, "a")
    whole = Cutout(np.zeros((30, 20, 3), np.uint8), parts, (garment,), Path(), (0, 0, 20, 30), ignored=((2, 5, 8, 10),))
    made = scene()
    made.paste(whole, Pose(3.0, degrees, flip, (90.0, 50.0)))
    rows, columns = np.nonzero(made.owner == 1)
    place = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert_allclose(made.views()[1][0], place, atol=3)


def test_a_red_garment_on_a_green_ground_is_cut_out_exactly() -> None:
    rng = np.random.default_rng(0)
    image = np.full((160, 120, 3), (60, 140, 70), float) + rng.normal(0, 12, (160, 120, 3))
    image[40:120, 30:90] = rng.normal((190, 50, 60), 12, (80, 60, 3))
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    mask = ndimage.binary_erosion(solid(probability(pixels, centre_prior((160, 120)))))
    wanted = np.zeros((160, 120), bool)
    wanted[40:120, 30:90] = True
    assert (mask & wanted).sum() / (mask | wanted).sum() > 0.95
    assert clean(pixels, mask)


def test_a_garment_of_the_colour_of_its_ground_is_thrown_away() -> None:
    pixels = np.random.default_rng(0).integers(90, 140, (160, 120, 3)).astype(np.uint8)
    assert not clean(pixels, solid(probability(pixels, centre_prior((160, 120)))))


def test_before_white_keeps_light_cloth_and_opens_white_gaps() -> None:
    image = np.full((120, 100, 3), 255, np.uint8)
    image[20:110, 20:80] = 238  # a light shirt, not white
    image[60:90, 60:70] = 255  # between arm and body
    person = before_white(image)
    assert person[40, 40]
    assert not person[75, 65]
    assert not person[5, 5]


def ccp_photo(root: Path) -> LabelledImage:
    """A person 40 x 150 with a sweater and jeans, as files of ccp."""
    mask = np.zeros((200, 100), np.uint8)
    mask[20:40, 40:60] = 3
    mask[40:100, 30:70] = 1
    mask[100:170, 32:68] = 2
    for name in ("photos", "masks"):
        (root / name).mkdir()
    Pil.fromarray(mask).save(root / "masks" / "0001.png")
    photo = np.where(mask[..., None] == 1, 200, np.where(mask[..., None] > 0, 90, 20)).astype(np.uint8)
    Pil.fromarray(photo.repeat(3, axis=2)).save(root / "photos" / "0001.jpg", quality=95)
    truth = ccp.truth_of_mask(mask, ("null", "sweater", "jeans", "hair"))
    return LabelledImage(root / "photos" / "0001.jpg", truth, "ccp")


def test_a_person_of_ccp_keeps_the_boxes_of_the_masks(tmp_path: Path) -> None:
    image = ccp_photo(tmp_path)
    cutout = from_ccp(image.path, ("null", "sweater", "jeans", "hair"))
    assert cutout is not None
    assert [garment.identity for garment in cutout.garments] == ["ccp/0001-sweater", "ccp/0001-jeans"]
    made = Scene(np.zeros((200, 100, 3), np.uint8))
    made.paste(cutout, Pose(1.0, 0.0, False, (50.0, 95.0)))  # where it stood
    boxes = [view.box_xyxy for view in made.views()[0]]
    assert_allclose(boxes, image.truth.boxes_xyxy, atol=1)
    shown = on_white(cutout, 1)
    assert shown.shape == (60 + 2 * 5, 40 + 2 * 5, 3)
    assert (shown[0] == 255).all()
    assert shown[30, 25, 0] in range(190, 211)


def test_grounds_fill_the_picture_and_avoid_the_person() -> None:
    rng = np.random.default_rng(0)
    assert plain(64, 48, rng).shape == (48, 64, 3)
    assert room(64, 48, rng).shape == (48, 64, 3)
    street, person = np.zeros((100, 400, 3), np.uint8), np.zeros((100, 400), bool)
    person[10:90, 200:260] = True
    street[person] = 255
    for _ in range(20):
        window = street_beside(street, person, 1.0, rng)
        assert window is not None
        assert not window.any()
    person[:, 80:390] = True
    assert street_beside(street, person, 1.0, rng) is None


@pytest.mark.data
def test_a_set_of_the_real_photos_is_sound_and_repeatable(data_root: Path, tmp_path: Path) -> None:
    config = PastingSettings(stills=12, people=20, models=10, garments=20, seed=5)
    made = make_pasted(tmp_path / "a", config, data_root)
    assert check(made.folder) == []
    assert len(made.stills()) == 12
    again = make_pasted(tmp_path / "b", config, data_root)
    assert made.id == again.id
    nan = ["occluded", "cut_off"]  # NaN equals nothing
    assert made.frames.drop_columns(nan).equals(again.frames.drop_columns(nan))
    for still, other in zip(made.stills(), again.stills(), strict=True):
        assert still.path.read_bytes() == other.path.read_bytes()
    forbidden = {f"luma/{key}" for key, split in split_of("luma").items() if split != "train"}
    photos = world_photos(made)
    assert {photo.domain for photo in photos} == {"shop", "video"}
    for photo in photos:
        assert photo.item not in forbidden
        if photo.instance.startswith("ccp/"):
            assert int(photo.instance[4:8]) <= 640


@settings(max_examples=60, deadline=None)
@given(height=st.integers(2, 90), width=st.integers(2, 90), blur=st.floats(0.5, 20.0))
def test_any_photo_fits_any_picture(height: int, width: int, blur: float) -> None:
    photo = np.full((height, width, 3), 70, np.uint8)
    for size in SIZES:
        made = fitted(photo, *size, blur)
        assert made.shape == (size[1], size[0], 3)
        assert (made == 70).all()
