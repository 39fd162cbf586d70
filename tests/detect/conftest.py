"""A detector small enough to run in milliseconds, and truths by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dprnet.core.records import Truth
from dprnet.detect.boxhead import BoxStageConfig
from dprnet.detect.model import DetectorConfig, DetectorNetwork, ProposalConfig


@pytest.fixture
def config():
    return DetectorConfig(
        backbone="mobilenet_v2",
        norm="folded",
        levels=(4, 5),
        channels=16,
        short_side=64,
        long_side=128,
        proposals=ProposalConfig(sizes=((16,), (32,), (64,)), sampled=32, kept_training=20, kept=10),
        boxes=BoxStageConfig(sampled=16, detections=5),
        box_features=32,
        scoring_filters=8,
        instance_hidden=32,
        embedding=12,
        instances=7,
    )


@pytest.fixture
def network(config):
    torch.manual_seed(0)
    return DetectorNetwork(config)


@pytest.fixture
def truth():
    def make(boxes=((8, 8, 40, 56), (30, 10, 60, 60)), ignore=(), **columns):
        n = len(boxes)
        names = ("labels", "viewpoint", "occlusion", "crop", "instance")
        values = {name: np.array(columns.get(name, [0] * n), np.int64) for name in names}
        return Truth(
            np.array(boxes, np.float32).reshape(n, 4), ignore_xyxy=np.array(ignore, np.float32).reshape(-1, 4), **values
        )

    return make


@pytest.fixture
def picture():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8))
