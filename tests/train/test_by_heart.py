"""Proof that every branch learns: eight images by heart."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("lightning", reason="training needs the extra 'train'")

from PIL import Image as PillowImage
from PIL import ImageDraw

from dprnet.core.records import Frame
from dprnet.data.shopset import ShopSet, ShopSetWriter
from dprnet.data.transforms import DetectionAugmentConfig
from dprnet.detect.boxhead import BoxStageConfig
from dprnet.detect.detector import Detector
from dprnet.detect.model import DetectorConfig, ProposalConfig
from dprnet.evaluate.detection import evaluate_detection
from dprnet.train.detector import DetectorRecipe, export_detector, train_detector
from dprnet.train.examples import DataSource

SIDE = 128
COLOURS = ("red", "lime", "blue", "yellow")


def write_set(folder):
    """Four garments in two images each; class, identity and the three labels go with the colour."""
    rng = np.random.default_rng(0)
    writer = ShopSetWriter(folder, {"name": "boxes", "split": "train"})
    for kind in range(4):
        writer.add_instance("v", kind, kind)
    for number in range(8):
        kind = number % 4
        x, y = rng.integers(2, SIDE // 3, 2).tolist()
        w, h = rng.integers(SIDE // 3, SIDE // 2, 2).tolist()
        canvas = PillowImage.new("RGB", (SIDE, SIDE), "gray")
        ImageDraw.Draw(canvas).rectangle((x, y, x + w - 1, y + h - 1), fill=COLOURS[kind])
        writer.add_still("v", number, np.asarray(canvas))
        labels = {"viewpoint": kind % 3, "occlusion": (kind + 1) % 3, "crop": kind % 2}
        writer.add_view("v", number, kind, (x, y, x + w, y + h), **labels)
    return writer.finish().folder


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_eight_images_are_learnt_by_heart_in_every_branch(tmp_path):
    network = DetectorConfig(
        backbone="mobilenet_v2", norm="folded", levels=(3, 4, 5), channels=32, short_side=SIDE, long_side=SIDE,
        proposals=ProposalConfig(sizes=((16,), (32,), (48,), (64,)), sampled=32, kept_training=20, kept=10),
        boxes=BoxStageConfig(sampled=16, detections=10), box_features=64, scoring_filters=32, instance_hidden=16,
        embedding=8,
    )  # fmt: skip
    recipe = DetectorRecipe(
        data=(DataSource(kind="shopset", path=str(write_set(tmp_path / "set"))),),
        network=network,
        augment=DetectionAugmentConfig(flip=0, cut_through=0, cover=0),
        steps=400, batch=4, optimizer="adamw", lr=2e-3, warmup=20, average=0.9, device="cpu", workers=0,
        checkpoint_every=400, log_every=50,
    )  # fmt: skip
    train_detector(recipe, tmp_path / "run")
    detector = Detector.from_bundle(export_detector(tmp_path / "run", tmp_path / "bundle"))
    images = ShopSet.open(tmp_path / "set").stills()
    figures = evaluate_detection(detector, images, bootstrap=10)
    assert figures.ap50 > 0.95
    assert {name: branch.balanced_accuracy for name, branch in figures.branches.items()} == {
        "viewpoint": 1.0, "occlusion": 1.0, "crop": 1.0
    }  # fmt: skip
    found = detector(Frame(image.load(), number, 0.0) for number, image in enumerate(images))
    best = [seen.embeddings[seen.scores.argmax()] for seen in found]
    unit = np.stack(best) / np.linalg.norm(best, axis=1, keepdims=True)
    distance = 1 - unit @ unit.T + 9 * np.eye(8)
    assert distance.argmin(axis=1).tolist() == [4, 5, 6, 7, 0, 1, 2, 3]  # the other image of the same garment
