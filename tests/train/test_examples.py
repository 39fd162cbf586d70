"""Sources of every kind as one sequence of images, put together when asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dprnet.core.errors import BadDataset, BadRecipe, MissingFile
from dprnet.data.coco import write_coco
from dprnet.data.deepfashion2 import DeepFashion2
from dprnet.data.transforms import DetectionAugment, DetectionAugmentConfig
from dprnet.train.examples import DataSource, Examples, Gathered, gather

PLAIN = DetectionAugment(DetectionAugmentConfig(flip=0, cut_through=0, cover=0, zoom=(1, 1), stretch=0))


@pytest.fixture
def coco(deepfashion2, tmp_path):
    return write_coco(DeepFashion2(deepfashion2), tmp_path / "set.json")


def test_deepfashion2_and_coco_in_one_recipe(deepfashion2, coco):
    sources = (
        DataSource(kind="deepfashion2", path=str(deepfashion2), weight=3.0),
        DataSource(kind="coco", path=str(coco)),
        DataSource(kind="deepfashion2", path=str(deepfashion2), split="validation"),
    )
    images, chances, instances = gather(sources)
    assert (len(images), instances) == (24, 12)
    np.testing.assert_allclose(chances.reshape(3, 8).sum(axis=1), [0.6, 0.2, 0.2])
    assert [image.source for image in images[6:10]] == ["deepfashion2"] * 2 + ["coco"] * 2
    assert [images[row].truth.instance[0] for row in (0, 4, 8, 12, 16, -1)] == [0, 0, 4, 4, 8, 11]
    assert images[0].truth.instance.tolist() == [0, -1]
    assert len(list(images)) == 24
    with pytest.raises(IndexError):
        images[24]


@pytest.mark.parametrize("branch", ["viewpoint", "occlusion", "crop", "instance"])
def test_a_branch_left_out_has_no_label(deepfashion2, branch):
    whole, _, _ = gather((DataSource(kind="deepfashion2", path=str(deepfashion2)),))
    images, _, instances = gather((DataSource(kind="deepfashion2", path=str(deepfashion2), without=(branch,)),))
    assert instances == (0 if branch == "instance" else 4)
    for image, other in zip(images, whole, strict=True):
        for name in ("labels", "viewpoint", "occlusion", "crop", "instance"):
            wanted = np.full(len(other.truth), -1) if name == branch else getattr(other.truth, name)
            np.testing.assert_array_equal(getattr(image.truth, name), wanted)


def test_a_guess_is_believed_as_often_as_it_weighs(deepfashion2):
    whole, chances, _ = gather((DataSource(kind="deepfashion2", path=str(deepfashion2)),))
    seen = {}
    for weight in (0.0, 0.25, 1.0):
        images = [replace(image, guessed={"viewpoint": weight}) for image in whole]
        examples = Examples(images, chances, PLAIN, short_sides=(48,), elongation=2.0, seed=0)
        drawn = [examples[step, 0][1] for step in range(200)]
        assert all((truth.viewpoint == -1).all() or (truth.viewpoint >= 0).all() for truth in drawn)
        assert all((truth.crop >= 0).all() for truth in drawn)  # what somebody labelled stays
        seen[weight] = np.mean([truth.viewpoint[0] >= 0 for truth in drawn])
    assert (seen[0.0], seen[1.0]) == (0.0, 1.0)
    assert 0.15 < seen[0.25] < 0.35
    with pytest.raises(BadRecipe, match="only ccp has guessed viewpoints"):
        gather((DataSource(kind="deepfashion2", path=str(deepfashion2), guessed=0.5),))


@pytest.mark.data
def test_guessed_viewpoints_are_asked_for(data_root):
    ccp = DataSource(kind="ccp", path=str(data_root / "ccp"), split="validation", guessed=0.5)
    guessed, _, _ = gather((ccp,))
    known = [image for image in guessed if (image.truth.viewpoint >= 0).any()]
    assert 10 < len(known) < len(guessed) == 60
    assert {tuple(image.guessed.items()) for image in guessed} == {(("viewpoint", 0.5),)}


@pytest.mark.parametrize("branch", ["viewpoint", "occlusion", "crop"])
def test_augmentation_brings_no_label_back(deepfashion2, branch):
    """What is cut is cropped and what is covered is occluded, but not for a source that teaches neither."""
    hard = DetectionAugment(DetectionAugmentConfig(cut_through=1, cover=1, zoom=(1.5, 2.0)))
    seen = {}
    for without in ((), (branch,)):
        images, chances, _ = gather((DataSource(kind="deepfashion2", path=str(deepfashion2), without=without),))
        examples = Examples(images, chances, hard, short_sides=(48,), elongation=2.0, seed=0)
        seen[without] = np.concatenate([getattr(examples[step, 0][1], branch) for step in range(20)])
    assert (seen[()] >= 0).any()
    assert (seen[(branch,)] == -1).all()


def test_own_classes_and_coarse_ones_do_not_mix(deepfashion2, coco):
    own = DataSource(kind="deepfashion2", path=str(deepfashion2), classes="own")
    assert gather((own,))[0][3].truth.labels.tolist() == [3, 7]
    with pytest.raises(BadRecipe, match="cannot be mixed"):
        gather((own, DataSource(kind="coco", path=str(coco))))
    with pytest.raises(BadRecipe, match="'coco' has no classes of its own"):
        gather((DataSource(kind="coco", path=str(coco), classes="own"),))


def test_nothing_to_train_on(tmp_path):
    (tmp_path / "empty.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(BadDataset, match=r"no labelled images \(coco"):
        gather((DataSource(kind="coco", path=str(tmp_path / "empty.json")),))
    with pytest.raises(MissingFile, match="is DPRNET_DATA set"):
        gather((DataSource(kind="deepfashion2", path="$NOWHERE/deepfashion2"),))


def test_an_image_is_made_when_asked_for(deepfashion2):
    class Counting(DeepFashion2):
        asked = 0

        def __getitem__(self, row):
            Counting.asked += 1
            return super().__getitem__(row)

    images = Gathered()
    images.add(Counting(deepfashion2))
    assert (len(images), images.instances, Counting.asked) == (8, 4, 0)
    assert images[2].path.name == "000003.jpg"
    assert Counting.asked == 1


def test_examples_of_a_streamed_set_are_drawn_and_scaled(deepfashion2):
    images, chances, _ = gather((DataSource(kind="deepfashion2", path=str(deepfashion2)),))
    examples = Examples(images, chances, DetectionAugment(), short_sides=(48,), elongation=2.0, seed=0)
    picture, truth, name = examples[0, 0]
    assert tuple(picture.shape) == (3, 72, 48)
    assert name.endswith(".jpg")
    assert (truth.boxes_xyxy <= [48, 72, 48, 72]).all()
    again, _, other = Examples(images, chances, DetectionAugment(), short_sides=(48,), elongation=2.0, seed=0)[0, 0]
    assert (again == picture).all()
    assert other == name
