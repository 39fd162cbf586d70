"""The detector as a stage: frames in, records out, to a bundle and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.errors import BadBundle, BadRecipe
from dprnet.core.records import Frame
from dprnet.detect.detector import Detector, export_parts
from dprnet.detect.model import DetectorNetwork

IMAGE = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)


@pytest.fixture
def bundle(network, config, tmp_path):
    settings, weights = export_parts(config, network.state_dict())
    return save_pretrained(tmp_path / "bundle", "small", {"detector": settings}, {"detector": weights})


def test_one_record_a_frame_in_order(network):
    frames = [Frame(IMAGE[: 64 - 8 * (k // 2)], index=k, time_s=k / 2, source=3) for k in range(5)]
    found = list(Detector(network, batch=2)(iter(frames), score_threshold=0.0))
    assert len(found) == 5
    for k, detections in enumerate(found):
        assert len(detections)
        assert set(detections.frame_index) == {k}
        assert set(detections.time_s) == {np.float32(k / 2)}
        assert set(detections.source) == {3}
        np.testing.assert_allclose(detections.viewpoint.sum(axis=1), 1, rtol=1e-5)


def test_frames_are_answered_as_they_come(network):
    asked = []

    def frames():
        for k in range(4):
            asked.append(k)
            yield Frame(IMAGE, index=k, time_s=0.0)

    next(iter(Detector(network, batch=2)(frames())))
    assert asked == [0, 1]


def test_boxes_are_in_pixels_of_the_video(network):
    detector = Detector(network)
    plain = next(detector([Frame(IMAGE, 0, 0.0)], score_threshold=0.0))
    scaled = next(detector([Frame(IMAGE, 0, 0.0, scale=0.5)], score_threshold=0.0))
    np.testing.assert_allclose(scaled.boxes_xyxy, plain.boxes_xyxy * 2, rtol=1e-6)
    large = next(detector([Frame(IMAGE.repeat(3, 0).repeat(3, 1), 0, 0.0)], score_threshold=0.0))
    assert large.boxes_xyxy.max() > 96  # seen at 64 px, answered in the frame's 192 x 288
    assert large.boxes_xyxy[:, 0::2].max() <= 288.01
    assert large.boxes_xyxy[:, 1::2].max() <= 192.01


def test_a_bundle_gives_the_same_detections(network, bundle):
    before = next(Detector(network)([Frame(IMAGE, 0, 0.0)], score_threshold=0.0))
    after = next(
        Detector.from_bundle(Bundle.from_pretrained(bundle.folder))([Frame(IMAGE, 0, 0.0)], score_threshold=0.0)
    )
    assert len(before) == len(after)
    np.testing.assert_allclose(after.scores, before.scores, atol=5e-3)
    assert np.abs(after.boxes_xyxy - before.boxes_xyxy).mean() < 0.5
    again = next(Detector.from_bundle(bundle)([Frame(IMAGE, 0, 0.0)], score_threshold=0.0))
    np.testing.assert_array_equal(again.embeddings, after.embeddings)


def test_the_bundle_holds_no_instance_classifier(bundle):
    names = set(bundle.weights("detector"))
    assert "boxes.heads.instance.fc2.weight" in names
    assert not any("fc3" in name for name in names)
    assert bundle.settings("detector")["instances"] == 0
    assert Detector.from_bundle(bundle).short_side == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("boxes.features.fc1.bias"), "only one of them"),
        (lambda weights: weights.update({"boxes.features.fc1.bias": np.zeros(3)}), "has shape"),
        (lambda weights: weights["boxes.features.fc2.bias"].fill(np.nan), "fc2.bias' holds NaN or infinity"),
    ],
)
def test_damaged_weights_are_refused(network, config, tmp_path, change, message):
    settings, weights = export_parts(config, network.state_dict())
    weights = {name: value.copy() for name, value in weights.items()}
    change(weights)
    bundle = save_pretrained(tmp_path, "bad", {"detector": settings}, {"detector": weights})
    with pytest.raises(BadBundle, match=message):
        Detector.from_bundle(bundle)


def test_numbers_that_go_wrong_name_the_frame(network):
    """Weights may be finite and their product not."""
    with torch.no_grad():
        network.boxes.features.fc2.bias.fill_(torch.nan)
    with pytest.raises(BadBundle, match="NaN or infinity at frame 7"):
        list(Detector(network)([Frame(IMAGE, 7, 0.0)]))


def test_bundles_without_detector_or_with_unknown_settings(bundle, config, tmp_path):
    empty = save_pretrained(tmp_path / "empty", "empty", {}, {})
    with pytest.raises(BadBundle, match="holds no detector"):
        Detector.from_bundle(empty)
    settings = {**bundle.settings("detector"), "chanels": 3}
    odd = save_pretrained(tmp_path / "odd", "odd", {"detector": settings}, {})
    with pytest.raises(BadRecipe, match="did you mean 'channels'"):
        Detector.from_bundle(odd)


def test_fine_classes_become_coarse_ones(config):
    torch.manual_seed(0)
    network = DetectorNetwork(config.model_copy(update={"classes": ("vest", "short sleeve dress", "hat")}))
    labels = next(Detector(network)([Frame(IMAGE, 0, 0.0)], score_threshold=0.0)).labels
    assert set(labels) <= {0, 5}
    assert len(labels)
