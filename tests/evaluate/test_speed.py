"""`dprnet benchmark`: it runs on a processor, in bfloat16 too, and says when a device is not there."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from dprnet.cli import run
from dprnet.core.bundle import Bundle
from dprnet.core.errors import BadRecipe
from dprnet.decode import open_video
from dprnet.detect import Detector
from dprnet.detect.runtime import TorchRuntime as DetectorRuntime
from dprnet.embed.embedder import Embedder
from dprnet.embed.runtime import TorchRuntime as EmbedderRuntime
from dprnet.evaluate.speed import check_device, make_clip


def test_every_row_is_there_on_a_processor(capsys):
    assert run(["benchmark", "--seconds", "1", "--rounds", "1", "--batch", "4", "--json"]) == 0
    said = capsys.readouterr()
    speed = json.loads(said.out)
    names = [row["name"] for row in speed["rows"]]
    assert [name.split()[0].rstrip(",") for name in names] == ["embedder", "detector", "clip", "clip"]
    assert all(row["value"] > 0 for row in speed["rows"])
    assert speed["precision"] == "float32"
    assert "processor, float32, tiny@" in said.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_it_says_that_there_is_no_cuda(capsys):
    assert run(["benchmark", "--device", "cuda"]) == 2
    assert "'cuda' is not here: torch sees 0 CUDA devices; nothing was measured" in capsys.readouterr().err


def test_a_device_that_is_none_is_refused():
    check_device("cpu")
    with pytest.raises(BadRecipe, match="unknown 'gpu'"):
        check_device("gpu")


def test_the_clip_is_as_long_and_as_large_as_asked(tmp_path):
    make_clip(tmp_path / "clip.mp4", 2, 144)
    with open_video(tmp_path / "clip.mp4", "0.5s") as video:
        frames = list(video)
    assert [frame.time_s for frame in frames] == [0.0, 0.52, 1.0, 1.52] or len(frames) == 4
    assert frames[0].image.shape == (144, 256, 3)
    assert np.abs(frames[0].image.astype(int) - frames[-1].image).mean() > 5


def test_bfloat16_is_near_float32():
    bundle = Bundle.from_pretrained("tiny")
    rng = np.random.default_rng(0)
    embedder = Embedder.from_bundle(bundle, runtime="torch")
    crops = list(rng.integers(0, 256, (3, 8, 8, 3), np.uint8).repeat(16, 1).repeat(16, 2))
    half = Embedder(EmbedderRuntime(embedder.network, "cpu", "bf16"), embedder.identity)
    cosines = (embedder(crops) * half(crops)).sum(axis=1)
    assert cosines.min() > 0.97
    assert cosines.min() < 1 - 1e-7  # it was another arithmetic
    detector = Detector.from_bundle(bundle, runtime="torch")
    image = rng.integers(0, 256, (22, 37, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    wanted = detector.runtime([image], 0.05)[0]
    found = DetectorRuntime(detector.network, "cpu", "bf16")([image], 0.05)[0]
    assert {name: values.shape[1:] for name, values in found.answers.items()} == {
        name: values.shape[1:] for name, values in wanted.answers.items()
    }
    assert len(wanted.scores)
    assert len(found.scores)
    assert abs(found.scores[0] - wanted.scores[0]) < 0.1
