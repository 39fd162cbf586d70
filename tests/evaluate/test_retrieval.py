"""Retrieval figures by hand, and the floor on tiny images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.labelled import Photo
from dprnet.evaluate.floors import Floor, colour_histogram
from dprnet.evaluate.other_colours import colour_order
from dprnet.evaluate.protocols import photo_ranks
from dprnet.evaluate.retrieval import (
    above,
    average_precisions,
    evaluate_retrieval,
    figures_of,
    item_ranks,
    luma_figures,
    luma_gallery,
)


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


def test_classes_failures_and_ranks_by_hand():
    queries = [QUERIES[0], replace(QUERIES[1], label=5), replace(QUERIES[2], label=-1)]
    found = figures_of(SIMILARITY, queries, GALLERY, ks=(1, 3))
    assert found.ranks == (1, 3, 0)
    assert set(found.per_class) == {"top", "dress"}
    assert (found.per_class["top"][1].value, found.per_class["dress"][1].value) == (1.0, 0.0)
    assert found.per_class["dress"][3].value == 1.0
    assert [(one.query, one.found, one.rank) for one in found.hardest] == [
        ("z_9.jpg", "a_0.jpg", 0), ("b_9.jpg", "c_0.jpg", 3),
    ]  # fmt: skip
    assert found.hardest[1].margin == pytest.approx(0.4)
    assert found.other_colours is None


def test_the_difference_to_a_floor_is_paired_over_garments():
    ours, floor = figures_of(SIMILARITY, QUERIES, GALLERY, ks=(1, 3)), figures_of(1 - SIMILARITY, QUERIES, GALLERY)
    # of the floor: a last, b first, z nowhere; at 1 each has one of three, at 3 we have two and the floor one
    assert floor.ranks == (3, 1, 0)
    less = above(ours, floor).above_floor
    assert less is not None
    assert less[1].value == pytest.approx(0)
    assert less[1].low < 0 < less[1].high
    same = above(ours, ours).above_floor
    assert same is not None
    assert (same[3].low, same[3].high) == (0, 0)
    with pytest.raises(ValueError, match="same queries"):
        above(ours, figures_of(SIMILARITY[:2], QUERIES[:2], GALLERY))


def test_other_colours_of_a_product_by_hand():
    def shirt(colour, view, item="shirt"):
        return Photo(Path(f"{item}-{colour}-{view}.jpg"), None, f"{item}-{colour}", 0, "shop", item=item)

    gallery = [shirt("red", 0), shirt("red", 1), shirt("blue", 0), shirt("pink", 0), shirt("red", 0, "bag"), photo("a")]
    queries = [shirt("red", 9), shirt("blue", 9), shirt("red", 9, "bag"), shirt("grey", 9), photo("a_9")]
    similarity = np.zeros((5, 6))
    similarity[0] = (0.1, 0.8, 0.7, 0.8, 0.9, 0.9)  # blue below red, pink equal to it: a case against
    similarity[1] = (0.2, 0.3, 0.9, 0.1, 0.0, 0.0)  # both others below
    found = colour_order(
        similarity, queries, gallery
    )  # a bag of one colour and a grey shirt that is not sold: no cases
    assert found is not None
    assert (found.cases, found.products, found.below.value) == (4, 1, 0.75)
    assert found.mistaken == (("shirt-red-9.jpg", "shirt-pink"),)
    assert colour_order(similarity[2:], queries[2:], gallery) is None


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


@pytest.mark.slow
@pytest.mark.data
def test_the_real_catalogue_asks_in_three_ways_with_other_colours(data_root):
    def brightness(images):
        grey = np.stack([(image.mean(), 255 - image.mean()) for image in images]).astype(np.float32)
        return grey / np.linalg.norm(grey, axis=1, keepdims=True)

    back, alt1, every = luma_figures(brightness, data_root)
    assert (back.queries, alt1.queries) == (42, 25)
    assert every.queries >= 67
    for run in (back, alt1, every):
        assert run.other_colours is not None
        assert 0.2 < run.other_colours.below.value < 0.95  # brightness tells some colours apart, not all
        assert run.other_colours.cases > run.other_colours.products > 5


@pytest.mark.parametrize("seed", range(3))
def test_measures_are_those_of_pytorch_metric_learning(seed):
    """Recall@1 over photos and mean average precision, on vectors without ties."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("pytorch_metric_learning", reason="training needs the extra 'train'")
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    rng = np.random.default_rng(seed)
    owner = np.concatenate([np.arange(6), rng.integers(0, 6, 20)])  # every garment has a photo
    wanted = rng.integers(0, 6, 15)
    centres = rng.normal(size=(6, 8))
    queries, gallery = (centres[rows] + 1.5 * rng.normal(size=(len(rows), 8)) for rows in (wanted, owner))
    queries, gallery = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (queries, gallery))
    calculator = AccuracyCalculator(
        include=("precision_at_1", "mean_average_precision"),
        device=torch.device("cpu"),
        knn_func=CustomKNN(CosineSimilarity()),
        kmeans_func=lambda *_: None,
    )
    rows = (torch.from_numpy(part) for part in (queries, wanted, gallery, owner))
    reference = calculator.get_accuracy(*rows, ref_includes_query=False)
    similarity = queries @ gallery.T
    assert 0 < reference["precision_at_1"] < 1
    assert (photo_ranks(similarity, owner, wanted) == 1).mean() == pytest.approx(reference["precision_at_1"])
    found = average_precisions(similarity, owner, wanted)
    assert np.mean(found) == pytest.approx(reference["mean_average_precision"])
