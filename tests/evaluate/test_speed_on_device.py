"""A clip that stays on its device gives the garments that `dprnet search` finds in it; here the device is the CPU."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from dprnet.core.bundle import Bundle
from dprnet.core.errors import MissingExtra
from dprnet.detect import Detector
from dprnet.embed.embedder import Embedder
from dprnet.embed.runtime import TorchRuntime
from dprnet.evaluate.speed import make_clip
from dprnet.evaluate.speed_on_device import OnDevice


def whole(bundle: Bundle) -> OnDevice:
    embedder = Embedder.from_bundle(bundle, runtime="torch")
    return OnDevice(bundle, Detector.from_bundle(bundle, runtime="torch"), TorchRuntime(embedder.network), "cpu", 4)


def test_without_torchcodec_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pip install torchcodec"):
        OnDevice(None, None, None, "cpu")


@pytest.mark.slow
def test_frames_are_those_that_are_wanted_and_vectors_those_of_picks(tmp_path):
    pytest.importorskip("torchcodec.decoders", exc_type=(ImportError, RuntimeError))
    bundle = Bundle.from_pretrained("tiny")
    make_clip(tmp_path / "clip.mp4", 2, 144)
    made = whole(bundle)
    assert made.wanted(tmp_path / "clip.mp4", "0.5s") == [0, 13, 25, 38]
    assert made.decode(tmp_path / "clip.mp4", "0.5s") == 4
    vectors = made.search(tmp_path / "clip.mp4", "0.5s")
    assert vectors.shape[1] == Embedder.from_bundle(bundle, runtime="torch").size
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-3)
