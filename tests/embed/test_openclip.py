"""open_clip models as embedders: a small one from a folder, at random and with its weights; nothing is fetched."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("open_clip", reason="needs the extra 'clip'")

import open_clip

from dprnet.core.errors import BadRecipe
from dprnet.embed.backbone import build_backbone
from dprnet.embed.embedder import Embedder, licence_of
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork
from dprnet.embed.openclip import OpenClip, stated_size

MEAN, STD = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
TINY = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model with weights, as the hub hands them out."""
    made = tmp_path_factory.mktemp("clip")
    described = {"model_cfg": TINY, "preprocess_cfg": {"mean": MEAN, "std": STD}}
    (made / "open_clip_config.json").write_text(json.dumps(described))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{made}", load_weights=False)
    save_file(model.state_dict(), made / "open_clip_model.safetensors")
    return made


def images(count=3):
    return list(np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8))


def test_it_is_an_embedder_without_training_and_says_its_licence(folder, caplog):
    with caplog.at_level(logging.WARNING):
        embedder = Embedder.from_name(f"open_clip:local-dir:{folder}")
    assert f"open_clip:local-dir:{folder}: licence of its weights: not stated" in caplog.text
    assert (embedder.size, embedder.config.image_size) == (12, 32)
    vectors = embedder(images())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert Embedder.from_name(f"open_clip:local-dir:{folder}").identity == embedder.identity


def test_its_vectors_are_those_of_open_clip(folder):
    embedder = Embedder.from_name(f"open_clip:local-dir:{folder}")
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    batch = torch.from_numpy(np.stack(images())).permute(0, 3, 1, 2).float() / 255
    batch = (batch - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.inference_mode():
        wanted = model.encode_image(batch, normalize=True).numpy()
    np.testing.assert_allclose(embedder(images()), wanted, atol=1e-5)


def test_it_may_begin_at_random_and_be_trained(folder):
    config = EmbedderConfig(backbone=f"open_clip:local-dir:{folder}", size=4, image_size=32)
    network = EmbedderNetwork(config, pretrained=False).train()
    network(torch.rand(2, 3, 32, 32) * 255)[:, 0].sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters() if parameter.requires_grad)
    given = EmbedderNetwork(config, pretrained=True)
    assert not torch.equal(next(network.backbone.parameters()), next(given.backbone.parameters()))
    assert not [name for name, _ in network.named_parameters() if "transformer.resblocks" in name and "visual" in name]


@pytest.mark.parametrize(
    ("name", "pretrained", "message"),
    [
        ("ViT-B-32", True, r"name the weights as ViT-B-32/TAG; known tags are .*openai"),
        ("ViT-Z-1", False, "open_clip cannot make it|description cannot be had"),
        ("local-dir:/no/such/folder", False, "open_clip cannot make it|description cannot be had"),
    ],
)
def test_what_cannot_be_had_is_a_sentence(name, pretrained, message):
    with pytest.raises(BadRecipe, match=message):
        OpenClip(name, pretrained=pretrained)


def test_sizes_and_strides(folder):
    assert stated_size("ViT-B-16-SigLIP-384") == 384
    with pytest.raises(BadRecipe, match="description cannot be had"):
        stated_size("no-such-model")
    with pytest.raises(BadRecipe, match="takes strides"):
        build_backbone(f"open_clip:local-dir:{folder}", (16, 32))


def test_timm_states_its_licences():
    assert licence_of("timm:resnet50.a1_in1k") == "apache-2.0"
