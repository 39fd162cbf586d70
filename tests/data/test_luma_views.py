"""Boxes of shop photos, and front and back as viewpoint labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dprnet.core.errors import BadDataset
from dprnet.data import luma
from dprnet.data.luma_views import boxes, find_box, labelled_images
from dprnet.data.splits import split_of


def test_no_test_product_has_a_box():
    splits = split_of("luma")
    assert len(boxes()) > 200
    assert {splits[name.split("-")[0]] for name in boxes()} == {"train", "validation"}


def test_boxes_are_boxes():
    for name, (box, crop, ignored) in boxes().items():
        for x1, y1, x2, y2 in (box, *ignored):
            assert 0 <= x1 < x2, name
            assert 0 <= y1 < y2, name
        assert crop in (-1, 0, 1)


def test_the_test_split_is_refused(tmp_path: Path):
    with pytest.raises(BadDataset, match="train nothing"):
        labelled_images(tmp_path, "test")


@pytest.mark.data
@pytest.mark.parametrize("split", ["train", "validation"])
def test_labels_are_those_of_the_catalogue(data_root: Path, split: str):
    images = labelled_images(data_root, split)
    photos = {photo.path: photo for photo in luma.photos(data_root, split)}
    views = {0: 0, 1: 0}
    identities: dict[int, set[str]] = {}
    for image in images:
        truth, photo = image.truth, photos[image.path]
        assert (truth.labels.tolist(), truth.viewpoint.tolist()) == ([photo.label], [photo.viewpoint])
        assert truth.occlusion.tolist() == [-1]
        views[photo.viewpoint] += 1
        identities.setdefault(int(truth.instance[0]), set()).add(photo.instance)
    assert all(len(names) == 1 for names in identities.values())
    assert len(images) > len(identities)  # front and back of some garments
    assert min(views.values()) >= 10
    photos_of_split = [photo for photo in photos.values() if photo.viewpoint >= 0]
    assert len(images) > 0.85 * len(photos_of_split)


@pytest.mark.data
def test_a_kept_box_is_found_again(data_root: Path):
    photo = next(photo for photo in luma.photos(data_root, "train") if photo.path.name in boxes())
    found = find_box(photo)
    assert found is not None
    np.testing.assert_allclose(found[0], boxes()[photo.path.name][0], atol=6)
    assert found[1] == boxes()[photo.path.name][1]
