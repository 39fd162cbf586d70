"""OpenVINO's embeddings are torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dprnet.core import graph_cache, graphs
from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.errors import BadBundle, BadVector
from dprnet.embed.embedder import Embedder, export_weights
from dprnet.embed.graphs import parts
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork
from dprnet.embed.runtime import GRAPH, TorchRuntime, compiled

pytest.importorskip("openvino")

SIZES = {
    "joined levels and colours": EmbedderConfig(size=8, image_size=32, strides=(16, 32), colour=4),
    "with what stands beside": EmbedderConfig(
        size=8, image_size=48, trained_image_size=32, kept=6, shades=5, batch_norm="folded"
    ),
    "one level, GeM": EmbedderConfig(size=8, image_size=48, pooling="gem", fit="squash"),
}


def graph_of(network, folder, lanes=1):
    return compiled(graph_cache.save(graphs.models(parts(network)), folder)[GRAPH], network.config, lanes)


def pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (int(rng.integers(8, 60)), 40, 3), np.uint8) for _ in range(count)]


@pytest.mark.parametrize("name", SIZES)
def test_the_vectors_are_those_of_torch(name, tmp_path):
    torch.manual_seed(0)
    network = EmbedderNetwork(SIZES[name]).eval()
    runtime = graph_of(network, tmp_path)
    assert runtime.size == network.size
    images = pictures(11)
    wanted = Embedder(TorchRuntime(network), "x@0")(images)
    np.testing.assert_allclose(Embedder(runtime, "x@0", batch=4)(images), wanted, atol=1e-4)


def test_lanes_change_nothing(tmp_path):
    torch.manual_seed(0)
    network = EmbedderNetwork(SIZES["one level, GeM"]).eval()
    one, three = (Embedder(graph_of(network, tmp_path, lanes), "x@0", batch=2) for lanes in (1, 3))
    images = pictures(13)
    np.testing.assert_array_equal(three(iter(images)), one(images))
    assert three([]).shape == (0, 8)


def test_damaged_weights_name_the_image(tmp_path):
    network = EmbedderNetwork(SIZES["one level, GeM"])
    with torch.no_grad():
        network.fc.bias[0] = torch.nan
    with pytest.raises(BadVector, match="image 0: the embedder broken@0"):
        Embedder(graph_of(network, tmp_path, lanes=2), "broken@0")(pictures(20))


def test_a_bundle_is_run_by_openvino_and_its_weights_are_checked(tmp_path):
    config = SIZES["one level, GeM"]
    network = EmbedderNetwork(config)
    settings = {"embedder": config.model_dump(mode="json")}
    bundle = save_pretrained(tmp_path, "small", settings, {"embedder": export_weights(network)})
    embedder, reference = Embedder.from_bundle(bundle), Embedder.from_bundle(bundle, runtime="torch")
    assert (embedder.runtime.name, reference.runtime.name) == ("openvino", "torch")
    assert embedder.identity == reference.identity  # one gallery serves both
    np.testing.assert_allclose(embedder(pictures(3)), reference(pictures(3)), atol=1e-4)
    (tmp_path / "embedder.safetensors").write_bytes(b"something else")
    with pytest.raises(BadBundle, match="SHA-256 differs"):
        Embedder.from_bundle(Bundle.from_pretrained(tmp_path))


def test_the_shipped_embedder_answers_the_same(tmp_path):
    bundle = Bundle.from_pretrained("tiny")
    images = pictures(6)
    vectors = [Embedder.from_bundle(bundle, runtime=name)(images) for name in ("openvino", "torch")]
    np.testing.assert_allclose((vectors[0] * vectors[1]).sum(axis=1), 1, atol=1e-5)
