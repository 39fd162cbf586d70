import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image as Pil

from dprnet.core.records import Truth
from dprnet.data.light import LightConfig, relight, spoil
from dprnet.data.photo_transforms import PhotoAugment, PhotoAugmentConfig, on_ground
from dprnet.data.transforms import (
    DetectionAugment,
    DetectionAugmentConfig,
    cover_truth,
    cut_truth,
    look_through,
    occlusion_after,
)

STILL = LightConfig(brightness=0, contrast=0, saturation=0, cast=0, blur=0, noise=0, jpeg=0)
CONFIG = DetectionAugmentConfig()


def truth_of(boxes: list[list[float]], occlusion: int = 0, crop: int = 0, viewpoint: int = 0) -> Truth:
    n = len(boxes)
    return Truth(
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.arange(n) % 6,
        viewpoint=np.full(n, viewpoint),
        occlusion=np.full(n, occlusion),
        crop=np.full(n, crop),
        instance=np.arange(n),
        ignore_xyxy=np.zeros((0, 4), np.float32),
    )


def painted(boxes: list[list[int]], shape: tuple[int, int] = (120, 160)) -> np.ndarray:
    image = np.zeros((*shape, 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 255
    return image


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9), left=st.integers(0, 120), top=st.integers(0, 80), size=st.integers(20, 39))
def test_the_box_follows_the_pixels(seed: int, left: int, top: int, size: int) -> None:
    """A white box on black: wherever it goes, the truth's box is the extent of what is white."""
    box = [left, top, left + size, top + size]
    config = DetectionAugmentConfig(cover=0.0, light=STILL)
    image, truth = DetectionAugment(config)(painted([box]), truth_of([box]), np.random.default_rng(seed))
    white = image[..., 0] > 127
    if not len(truth):  # too little is left of it
        left_over = truth.ignore_xyxy
        sides = (white.any(axis=1).sum(), white.any(axis=0).sum())
        assert min(sides) <= 2 or white.sum() <= (left_over[:, 2:] - left_over[:, :2] + 2).prod(axis=1).sum()
        return
    rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert_allclose(truth.boxes_xyxy[0], seen, atol=2.1)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9), count=st.integers(0, 5))
def test_whatever_is_drawn_the_truth_stays_a_truth(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    starts = rng.uniform(0, [130, 90], (count, 2))
    boxes = np.concatenate([starts, starts + rng.uniform(5, 30, (count, 2))], axis=1)
    truth = truth_of(boxes.tolist(), occlusion=int(rng.integers(-1, 3)), crop=int(rng.integers(-1, 2)))
    cutouts = [rng.integers(0, 255, (9, 7, 4), dtype=np.uint8)]
    image, after = DetectionAugment(CONFIG, cutouts)(rng.integers(0, 255, (120, 160, 3), np.uint8), truth, rng)
    assert image.shape == (120, 160, 3)
    assert image.dtype == np.uint8
    for found in (after.boxes_xyxy, after.ignore_xyxy):
        assert (found >= 0).all()
        assert (found[:, 2:] <= [160, 120]).all()
        assert (found[:, 2:] > found[:, :2]).all()
    assert len(after) + len(after.ignore_xyxy) <= count
    assert set(after.instance) <= set(truth.instance)
    assert_array_equal(after.labels, truth.labels[after.instance])
    assert set(after.crop) <= {-1, 0, 1}
    assert set(after.occlusion) <= {-1, 0, 1, 2}


def test_same_seed_same_result() -> None:
    image = np.random.default_rng(1).integers(0, 255, (50, 60, 3), np.uint8)
    runs = [DetectionAugment()(image, truth_of([[5, 5, 40, 40]]), np.random.default_rng(3)) for _ in range(2)]
    assert_array_equal(runs[0][0], runs[1][0])
    assert_array_equal(runs[0][1].boxes_xyxy, runs[1][1].boxes_xyxy)


@pytest.mark.parametrize(
    ("cut", "before", "after"),
    [
        (0.0, 0, 0),
        (0.02, 0, 0),
        (0.05, 0, -1),  # the box does not tell what the garment loses
        (0.11, 0, 1),
        (0.5, 0, 1),
        (0.0, 1, 1),
        (0.05, 1, 1),  # once cropped, always cropped
        (0.0, -1, -1),
        (0.3, -1, 1),
    ],
)
def test_crop_label_from_the_fraction_cut_off(cut: float, before: int, after: int) -> None:
    truth = truth_of([[0, 0, 100, 50]], crop=before)
    window = np.array([100 * cut, 0, 100 * cut + 200, 100], np.float32)
    seen = cut_truth(truth, (100, 200), window, False, CONFIG)
    assert_allclose(seen.boxes_xyxy, [[0, 0, 100 * (1 - cut), 50]], atol=1e-4)
    assert seen.crop.tolist() == [after]


def test_labels_that_a_cut_makes_doubtful_are_dropped() -> None:
    window = np.array([40, 0, 240, 100], np.float32)
    seen = cut_truth(truth_of([[0, 0, 100, 50]]), (100, 200), window, False, CONFIG)
    assert (seen.occlusion.tolist(), seen.viewpoint.tolist()) == ([-1], [0])
    window = np.array([75, 0, 275, 100], np.float32)
    seen = cut_truth(truth_of([[0, 0, 100, 50]]), (100, 200), window, False, CONFIG)
    assert (seen.occlusion.tolist(), seen.viewpoint.tolist()) == ([-1], [-1])


def test_what_is_cut_to_a_sliver_becomes_an_ignore_region() -> None:
    window = np.array([85, 0, 285, 100], np.float32)
    seen = cut_truth(truth_of([[0, 0, 100, 50]]), (100, 200), window, False, CONFIG)
    assert len(seen) == 0
    assert seen.ignore_xyxy.tolist() == [[0, 0, 15, 50]]


def test_flip_and_zoom_by_hand() -> None:
    truth = truth_of([[10, 20, 30, 40]])
    window = np.array([0, 0, 100, 50], np.float32)  # of an image of 200 x 100: twice as large
    seen = cut_truth(truth, (100, 200), window, True, CONFIG)
    assert seen.boxes_xyxy.tolist() == [[200 - 60, 40, 200 - 20, 80]]
    flipped = look_through(painted([[10, 20, 30, 40]], (100, 200)), window, True)
    assert flipped[60, 160, 0] == 255
    assert flipped[60, 100, 0] == 0


def test_a_window_beyond_the_image_is_filled_with_its_mean_colour() -> None:
    image = np.full((40, 40, 3), 80, np.uint8)
    image[:, 20:] = 120
    seen = look_through(image, np.array([-40, -40, 80, 80], np.float32), False)
    assert seen.shape == (40, 40, 3)
    assert seen[0, 0, 0] in range(90, 111)
    assert seen[20, 15, 0] == 80


def covered_by(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((100, 200), bool)
    for x1, y1, x2, y2 in boxes:
        mask[y1:y2, x1:x2] = True
    return mask


def test_cover_changes_the_label_by_the_covered_fraction() -> None:
    truth = truth_of([[0, 0, 100, 100], [150, 0, 190, 40]])
    after = cover_truth(truth, covered_by((30, 30, 90, 90)), CONFIG)  # 36 %: 0.05 + 0.95 * 0.36 = 0.39
    assert after.occlusion.tolist() == [1, 0]
    assert_array_equal(after.boxes_xyxy, truth.boxes_xyxy)
    after = cover_truth(truth, covered_by((10, 10, 90, 90)), CONFIG)  # 64 %
    assert after.occlusion.tolist() == [2, 0]


def test_cover_shrinks_the_box_to_what_is_seen() -> None:
    after = cover_truth(truth_of([[0, 0, 100, 100]]), covered_by((0, 60, 100, 100)), CONFIG)
    assert after.boxes_xyxy.tolist() == [[0, 0, 100, 60]]


def test_what_is_nearly_all_covered_becomes_an_ignore_region() -> None:
    after = cover_truth(truth_of([[0, 0, 100, 100]]), covered_by((0, 0, 100, 90)), CONFIG)
    assert len(after) == 0
    assert after.ignore_xyxy.tolist() == [[0, 90, 100, 100]]


@pytest.mark.parametrize(
    ("label", "fraction", "after"),
    [(0, 0.1, 0), (0, 0.16, -1), (0, 0.9, 2), (1, 0.02, 1), (1, 0.2, -1), (1, 0.5, 2), (2, 0.01, 2), (-1, 0.5, -1)],
)
def test_covered_fractions_add_up(label: int, fraction: float, after: int) -> None:
    assert occlusion_after(label, fraction) == after


def test_covering_hides_pixels_only_where_the_truth_says() -> None:
    """Over many draws, an unmoved garment with a changed label has changed pixels, an unchanged picture none."""
    config = DetectionAugmentConfig(zoom=(1.0, 1.0), flip=0, stretch=0, cut_through=0, cover=1.0, light=STILL)
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    heavier = 0
    for seed in range(40):
        seen, truth = DetectionAugment(config)(image, truth_of([[40, 20, 120, 100]]), np.random.default_rng(seed))
        changed = (seen != image).any(axis=2)[20:100, 40:120].mean()
        for occlusion in truth.occlusion:
            heavier += occlusion == 2
            if changed < 0.05:
                assert occlusion == 0
    assert heavier > 2


def test_light_keeps_size_and_stays_near() -> None:
    image = np.full((64, 80, 3), (200, 40, 90), np.uint8)
    for seed in range(20):
        seen = spoil(image, LightConfig(), np.random.default_rng(seed))
        assert seen.shape == image.shape
        assert seen[..., 0].mean() > seen[..., 1].mean() + 40  # red stays red
    assert_array_equal(spoil(image, STILL, np.random.default_rng(0)), image)


def test_saturation_zero_is_grey_and_brightness_is_linear() -> None:
    class Low:
        """The generator's lowest draws."""

        def uniform(self, low: float, high: float, size: int | None = None) -> object:
            return low if size is None else np.full(size, low)

    picture = Pil.fromarray(np.full((2, 2, 3), (200, 40, 90), np.uint8))
    grey = np.asarray(relight(picture, STILL.model_copy(update={"saturation": 1.0}), Low()))  # type: ignore[arg-type]
    assert_allclose(grey[0, 0], [round(0.299 * 200 + 0.587 * 40 + 0.114 * 90)] * 3, atol=1)
    dark = np.asarray(relight(picture, STILL.model_copy(update={"brightness": 0.5}), Low()))  # type: ignore[arg-type]
    assert_allclose(dark[0, 0], [100, 20, 45], atol=1)


def test_photo_augment_keeps_aspect_ratio_and_fills_with_white() -> None:
    quiet = PhotoAugmentConfig(
        size=64, zoom=(1.0, 1.0), stretch=0, rotate=0, perspective=0, flip=0, erase=0, light=STILL
    )
    image = np.zeros((32, 16, 3), np.uint8)  # letterboxed: 64 x 32 in the middle
    seen = PhotoAugment(quiet)(image, np.random.default_rng(0))
    assert seen.shape == (64, 64, 3)
    assert (seen[:, 20:44] == 0).all()
    assert (seen[:, :14] == 255).all()
    assert (seen[:, 50:] == 255).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**9), height=st.integers(1, 90), width=st.integers(1, 90))
def test_photo_augment_of_any_size(seed: int, height: int, width: int) -> None:
    image = np.full((height, width, 3), 100, np.uint8)
    seen = PhotoAugment(PhotoAugmentConfig(size=48))(image, np.random.default_rng(seed))
    assert seen.shape == (48, 48, 3)
    assert seen.dtype == np.uint8


def test_new_ground_keeps_the_garment() -> None:
    image, mask = np.full((10, 10, 3), 50, np.uint8), np.zeros((10, 10), bool)
    mask[2:8, 2:8] = True
    seen = on_ground(image, mask, np.full((4, 4, 3), 200, np.uint8))
    assert (seen[mask] == 50).all()
    assert (seen[~mask] == 200).all()
