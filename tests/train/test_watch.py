"""Pictures of a detector in training."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("lightning", reason="training needs the extra 'train'")

from dprnet.core.bundle import Bundle
from dprnet.core.records import Detections
from dprnet.data.deepfashion2 import DeepFashion2
from dprnet.detect.detector import load_weights
from dprnet.detect.model import DetectorConfig, DetectorNetwork
from dprnet.train.watch import COLOURS, Watch, drawn


@pytest.fixture
def network(random_bundle):
    bundle = Bundle.from_pretrained(random_bundle)
    network = DetectorNetwork(DetectorConfig.model_validate(dict(bundle.settings("detector"))))
    load_weights(network, bundle.weights("detector"), random_bundle)
    return network


def test_pictures_of_the_averaged_network(network, deepfashion2, monkeypatch):
    monkeypatch.setattr("dprnet.train.watch.SHOWN", 0.0)
    average = SimpleNamespace(state=network.state_dict() | {"boxes.heads.instance.fc3.weight": torch.zeros(4, 8)})
    watch = Watch(network.config, DeepFashion2(deepfashion2), average)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    pictures = watch()
    assert torch.equal(torch.get_rng_state(), before)  # training draws what it would have drawn
    assert len(pictures) == 6
    for name, picture in pictures.items():
        assert name.endswith("deepfashion2")
        assert picture.shape == (96, 64, 3)
    image = DeepFashion2(deepfashion2)[0].load()
    first = pictures["detections/0 deepfashion2"]
    assert not np.array_equal(first, image)
    average.state = {name: torch.zeros_like(value) for name, value in average.state.items()}
    assert not np.array_equal(watch()["detections/0 deepfashion2"], first)  # the weights as they are now


def test_weights_that_give_no_numbers_stop_nothing(network, deepfashion2, caplog):
    state = {name: value.clone() for name, value in network.state_dict().items()}
    state["boxes.features.fc1.bias"] = torch.full_like(state["boxes.features.fc1.bias"], float("nan"))
    assert Watch(network.config, DeepFashion2(deepfashion2), SimpleNamespace(state=state))() == {}
    assert "no pictures for TensorBoard" in caplog.text


def test_a_drawing_shows_the_box_in_the_colour_of_its_class():
    one = np.ones(1)
    seen = Detections(
        np.array([[100, 100, 800, 700]], np.float32), np.array([2]), one, np.array([[0.9, 0.1, 0]]),
        np.array([[1.0, 0, 0]]), np.array([[0.5, 0.5]]), np.zeros((1, 4)), np.array([0]), one, np.array([0]),
    )  # fmt: skip
    image = np.full((960, 1200, 3), 255, np.uint8)
    picture = drawn(image, seen)
    assert picture.shape == (384, 480, 3)
    colour = tuple(int(COLOURS[2][at : at + 2], 16) for at in (1, 3, 5))
    assert tuple(picture[279, 200]) == colour  # on the lower edge: y 700 of 960 in 384 rows
    assert (image == 255).all()


def test_a_training_shows_its_detections(deepfashion2, random_bundle, tmp_path):
    pytest.importorskip("tensorboard", reason="pictures need the extra 'train'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from dprnet.train.detector import DetectorRecipe, train_detector
    from dprnet.train.examples import DataSource

    settings = dict(Bundle.from_pretrained(random_bundle).settings("detector"))
    recipe = DetectorRecipe(
        data=(DataSource(kind="deepfashion2", path=str(deepfashion2)),),
        network=DetectorConfig.model_validate(settings),
        steps=1, batch=1, warmup=1, device="cpu", workers=0, log_every=1, average=0.5,
    )  # fmt: skip
    train_detector(recipe, tmp_path)
    boards = EventAccumulator(str(tmp_path / "boards"), size_guidance={"images": 0})
    boards.Reload()
    names = boards.Tags()["images"]
    assert len(names) == 6
    assert all(name.startswith("detections/") for name in names)
    assert boards.Images(names[0])[0].step == 1
    assert (boards.Images(names[0])[0].width, boards.Images(names[0])[0].height) == (64, 96)
