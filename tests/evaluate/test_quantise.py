"""int8 graphs: those of an embedder with all its parts can be compiled, and answer nearly as torch does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dprnet.core import graphs
from dprnet.core.bundle import Bundle
from dprnet.core.errors import BadRecipe
from dprnet.embed.config import EmbedderConfig
from dprnet.embed.graphs import parts
from dprnet.embed.model import EmbedderNetwork
from dprnet.evaluate.quantise import quantise, quantised

pytest.importorskip("nncf")
pytest.importorskip("openvino")

CONFIG = EmbedderConfig(
    size=16,
    image_size=64,
    trained_image_size=32,
    strides=(16, 32),
    colour=8,
    kept=6,
    kept_share=0.3,
    shades=5,
    shades_share=0.2,
    batch_norm="folded",
)


@pytest.mark.slow
def test_a_network_with_all_parts_compiles_keeps_unit_length_and_answers_nearly_the_same(tmp_path):
    import openvino

    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 8, 8, 3), np.uint8)
    photos = coarse.repeat(8, 1).repeat(8, 2)
    torch.manual_seed(0)
    network = EmbedderNetwork(CONFIG).eval()
    network.settle_beside(torch.from_numpy(photos).permute(0, 3, 1, 2).float())
    model = quantised(graphs.converted(*parts(network)["embedder"]), [photo[None] for photo in photos[:4]])
    kinds = [op.get_type_name() for op in model.get_ops()]
    assert kinds.count("FakeQuantize") > 20
    openvino.save_model(model, tmp_path / "made.xml")
    found = graphs.Graph(tmp_path / "made.xml", 1)(photos)[0]
    with torch.inference_mode():
        wanted = network(torch.from_numpy(photos).permute(0, 3, 1, 2).float()).numpy()
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-3)
    # Trained and colours; principal directions of what random weights see are noise, and make it large.
    for part, share in ((slice(0, 16), 0.5), (slice(22, 27), 0.2)):
        assert (found[:, part] * wanted[:, part]).sum(axis=1).min() > 0.98 * share


def test_an_unknown_part_is_named(random_bundle):
    with pytest.raises(BadRecipe, match="unknown 'gallery'; known: detector, embedder"):
        quantise(Bundle.from_pretrained(random_bundle), random_bundle, parts=["embedder", "gallery"])
