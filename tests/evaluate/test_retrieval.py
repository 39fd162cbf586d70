"""Retrieval figures by hand, and the floor on tiny images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.labelled import Photo
from dprnet.evaluate.floors import Floor, colour_histogram
from dprnet.evaluate.retrieval import evaluate_retrieval, figures_of, item_ranks, luma_gallery


def photo(name):
    return Photo(Path(f"{name}.jpg"), None, name.split("_")[0], 0, "shop")


GALLERY = [photo("a_0"), photo("b_0"), photo("b_1"), photo("c_0")]
QUERIES = [photo("a_9"), photo("b_9"), photo("z_9")]
SIMILARITY = np.array(
    [
        [0.9, 0.2, 0.1, 0.3],  # a first
        [0.5, 0.4, 0.1, 0.8],  # b third: c, a, b
        [0.9, 0.1, 0.1, 0.1],  # not in the gallery
    ]
)


def test_figures_by_hand():
    found = figures_of(SIMILARITY, QUERIES, GALLERY, ks=(1, 3))
    assert found.recall[1].value == pytest.approx(1 / 3)
    assert found.recall[3].value == pytest.approx(2 / 3)
    # a: 1; b: photos at ranks 3 and 4, (1/3 + 2/4) / 2; z: 0
    assert found.mean_average_precision.value == pytest.approx((1 + (1 / 3 + 2 / 4) / 2) / 3)
    assert (found.queries, found.gallery_photos, found.gallery_items, found.right) == (3, 4, 3, 1)
    assert found.wrong == (("b_9.jpg", "c_0.jpg"), ("z_9.jpg", "a_0.jpg"))
    assert found.recall[1].low <= found.recall[1].value <= found.recall[1].high
    assert json.loads(json.dumps(found.as_json()))["recall"]["1"]["value"] == pytest.approx(1 / 3)


def test_ties_count_against():
    assert item_ranks(np.ones((1, 3)), np.array([0, 1, 2]), np.array([1]))[0] == 3
    tied = figures_of(np.ones((1, 4)), QUERIES[:1], GALLERY, ks=(1, 3))
    assert tied.recall[1].value == 0
    assert tied.mean_average_precision.value == pytest.approx(1 / 4)


def test_a_constant_embedder_is_worth_nothing_and_a_perfect_one_everything(tmp_path):
    from dprnet.core.images import jpeg_bytes

    colours = {"a": (250, 0, 0), "b": (0, 250, 0), "c": (0, 0, 250)}
    photos = []
    for name, colour in colours.items():
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(jpeg_bytes(np.full((20, 20, 3), colour, np.uint8)))
        photos.append(Photo(path, None, name, 0, "shop"))

    def mean_colour(images):
        means = np.stack([image.mean(axis=(0, 1)) for image in images])
        return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)

    def constant(images):
        return np.stack([np.array([1, 0], np.float32) for _ in images])

    assert evaluate_retrieval(mean_colour, photos, photos).recall[1].value == 1.0
    assert evaluate_retrieval(constant, photos, photos).recall[1].value == 0.0


def test_no_query_and_no_gallery_are_refused():
    with pytest.raises(BadDataset, match="0 queries"):
        evaluate_retrieval(lambda images: np.zeros((0, 2)), [], GALLERY)


def test_white_ground_is_not_counted_and_a_white_image_still_has_colours():
    image = np.full((16, 16, 3), 255, np.uint8)
    white = colour_histogram(image)
    image[4:12, 4:12] = (0, 0, 255)
    blue = colour_histogram(image)
    assert white.argmax() == 511
    assert blue[7] == pytest.approx(1.0)
    assert np.linalg.norm(white) == pytest.approx(1.0)


def test_the_floor_needs_its_weights(tmp_path):
    with pytest.raises(MissingFile, match="DPRNET_DATA"):
        Floor(tmp_path / "none.safetensors")


@pytest.mark.data
def test_the_floor_describes_images(data_root):
    floor = Floor(data_root / "weights" / "mobilenet_v2_imagenet.safetensors")
    rng = np.random.default_rng(0)
    vectors = floor(rng.integers(0, 256, (3, 30, 20, 3), np.uint8))
    assert vectors.shape == (3, 512 + 1280)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors[:, :512], axis=1), 0.5**0.5, rtol=1e-5)
    assert floor([]).shape == (0, 1792)


@pytest.mark.data
def test_the_gallery_of_the_real_catalogue(data_root):
    gallery = luma_gallery(data_root)
    fronts = [photo for photo in gallery if photo.instance.startswith("luma/")]
    assert len(fronts) == 306
    assert all(photo.path.stem.endswith("_main") for photo in fronts)
    assert len(gallery) - len(fronts) > 2500
