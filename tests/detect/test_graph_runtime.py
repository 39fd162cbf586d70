"""OpenVINO answers what torch answers, on noise and on real photos, whatever is in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dprnet.core import graph_cache, graphs
from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.errors import BadBundle
from dprnet.core.records import Frame
from dprnet.detect.boxhead import BoxStageConfig
from dprnet.detect.detector import Detector, export_parts
from dprnet.detect.graph_runtime import GRAPHS, compiled
from dprnet.detect.graphs import parts
from dprnet.detect.model import DetectorNetwork
from dprnet.detect.runtime import TorchRuntime

pytest.importorskip("openvino")


def graphs_of(network, folder, lanes=1):
    return compiled(graph_cache.save(graphs.models(parts(network)), folder), network.config, lanes)


@pytest.fixture
def sharp(config):
    """A small network whose heads say different things of different boxes."""
    torch.manual_seed(0)
    network = DetectorNetwork(config.model_copy(update={"instances": 0})).eval()
    with torch.no_grad():
        for part in (network.proposals.head, network.boxes.heads["box"]):
            for weight in part.parameters():
                if weight.ndim > 1:
                    weight.mul_(20)
    return network


def pictures(count, height, width, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, -(-height // 16), -(-width // 16), 3), np.uint8)
    return list(coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width])


def same(found, wanted, atol=1e-3):
    assert len(found.boxes) == len(wanted.boxes)
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=atol)
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=0.05)
    assert set(found.answers) == set(wanted.answers)
    for name, values in wanted.answers.items():
        np.testing.assert_allclose(found.answers[name], values, atol=atol, rtol=1e-3)


TWO_CLASSES = BoxStageConfig(score_threshold=0.3, suppress_classes_iou=0.3)


@pytest.mark.parametrize(
    "change", [{}, {"class_agnostic_boxes": True, "colour": 4, "embedding": 6}, {"boxes": TWO_CLASSES}]
)
def test_the_answers_are_those_of_torch(sharp, config, tmp_path, change):
    if change:
        torch.manual_seed(1)
        sharp = DetectorNetwork(config.model_copy(update={"instances": 0, **change})).eval()
    runtime, reference = graphs_of(sharp, tmp_path), TorchRuntime(sharp)
    count = 0
    for images in (pictures(1, 64, 64), pictures(3, 70, 101, 1), pictures(1, 33, 128, 2)):
        for found, wanted in zip(runtime(images, 0.0), reference(images, 0.0), strict=True):
            same(found, wanted)
            count += len(wanted.boxes)
    assert count > 5


def test_nothing_found_is_no_error(sharp, tmp_path):
    found = graphs_of(sharp, tmp_path)(pictures(2, 64, 64), 1.1)
    assert [len(garments.boxes) for garments in found] == [0, 0]
    assert found[0].answers["viewpoint"].shape == (0, 3)


def test_lanes_change_nothing(sharp, tmp_path):
    runtime = graphs_of(sharp, tmp_path, lanes=3)
    assert Detector(runtime).batch == runtime.batch > 1, "frames go through it together"
    frames = [Frame(image, index=k, time_s=k / 2) for k, image in enumerate(pictures(9, 64, 96))]
    alone = [next(Detector(TorchRuntime(sharp))([frame], 0.0)) for frame in frames]
    for k, (found, wanted) in enumerate(zip(Detector(runtime)(frames, 0.0), alone, strict=True)):
        assert set(found.frame_index) <= {k}
        np.testing.assert_allclose(found.boxes_xyxy, wanted.boxes_xyxy, atol=0.05)


def test_a_bundle_is_run_by_openvino_and_its_weights_are_checked(network, config, tmp_path):
    settings, weights = export_parts(config, network.state_dict())
    bundle = save_pretrained(tmp_path / "bundle", "small", {"detector": settings}, {"detector": weights})
    detector = Detector.from_bundle(Bundle.from_pretrained(bundle.folder))
    assert detector.runtime.name == "openvino"
    assert Detector.from_bundle(bundle, runtime="torch").runtime.name == "torch"
    (bundle.folder / "detector.safetensors").write_bytes(b"something else")
    with pytest.raises(BadBundle, match="SHA-256 differs"):
        Detector.from_bundle(bundle)  # also where its graphs are kept


def test_damaged_weights_are_told(sharp, tmp_path):
    with torch.no_grad():
        sharp.boxes.heads["viewpoint"].fc.bias[0] = torch.nan
    detector = Detector(graphs_of(sharp, tmp_path))
    with pytest.raises(BadBundle, match="viewpoint output holds NaN or infinity at frame 7"):
        list(detector([Frame(pictures(1, 64, 64)[0], 7, 0.0)], 0.0))


def test_every_graph_has_named_inputs_and_free_sizes(sharp):
    made = graphs.models(parts(sharp))
    assert set(made) == set(GRAPHS)
    first = made["first"].inputs[0]
    assert first.get_any_name() == "images"
    assert str(first.get_element_type()) == "<Type: 'uint8_t'>"
    assert first.get_partial_shape().is_dynamic


@pytest.mark.data
@pytest.mark.slow
def test_the_shipped_detector_answers_the_same_on_real_photos(data_root):
    from dprnet.core.images import read_image

    bundle = Bundle.from_pretrained("tiny")
    detector, reference = (Detector.from_bundle(bundle, runtime=name) for name in ("openvino", "torch"))
    photos = sorted((data_root / "ccp").rglob("*.jpg"))[:8]
    frames = [Frame(read_image(path, short_side=400).image, k, 0.0) for k, path in enumerate(photos)]
    assert frames
    for found, wanted in zip(detector(frames), reference(frames), strict=True):
        assert len(wanted)
        np.testing.assert_array_equal(found.labels, wanted.labels)
        np.testing.assert_allclose(found.boxes_xyxy, wanted.boxes_xyxy, atol=0.5)
        np.testing.assert_allclose(found.quality, wanted.quality, atol=1e-3)
        units = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (found.embeddings, wanted.embeddings)]
        np.testing.assert_allclose((units[0] * units[1]).sum(axis=1), 1, atol=1e-4)
