"""A head that imitates the start weights: what it is to give is made once, and it learns to give it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

pytest.importorskip("lightning", reason="training needs the extra 'train'")
pytest.importorskip("pytorch_metric_learning", reason="training needs the extra 'train'")

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.errors import BadRecipe
from dprnet.data.shopset import ShopSetWriter
from dprnet.embed.embedder import Embedder, as_batch, export_weights
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork
from dprnet.train.embedder import export_embedder, read_photos, train_embedder
from dprnet.train.imitation import FILE, kept_features
from dprnet.train.retrieval import EmbedderRecipe, LossSettings, SamplingSettings
from dprnet.train.runs import read_checkpoint
from dprnet.train.shots import PhotoSource

TWO = EmbedderConfig(backbone="timm:test_resnet", size=8, image_size=48, kept=6, batch_norm="frozen")
ONE = TWO.model_copy(update={"image_size": 32, "kept_by": "trained"})
COLOURS = ((220, 30, 30), (30, 200, 30), (30, 30, 220), (210, 200, 30))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four garments of plain colour, each with three shop photos."""
    rng = np.random.default_rng(0)
    writer = ShopSetWriter(tmp_path_factory.mktemp("shop") / "set", {"name": "shop", "split": "train"})
    for number, colour in enumerate(COLOURS):
        photos = [np.clip(np.array(colour) + rng.normal(0, 8, (50, 40, 3)), 0, 255).astype(np.uint8) for _ in range(3)]
        writer.add_item(f"A{number}", photos, category="top")
    return writer.finish().folder


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that keeps its start weights."""
    torch.manual_seed(0)
    network = EmbedderNetwork(TWO).eval()
    network.settle_beside(255 * torch.rand(20, 3, 48, 48))
    folder = tmp_path_factory.mktemp("start") / "two"
    save_pretrained(folder, "two", {"embedder": TWO.model_dump(mode="json")}, {"embedder": export_weights(network)})
    return folder


def recipe_of(shop: Path, start: object, **changes: object) -> EmbedderRecipe:
    values = {
        "data": (PhotoSource(kind="shopset", path=str(shop)),),
        "network": ONE,
        "start": str(start),
        "cache_size": 40,
        "sampling": SamplingSettings(p=3, k=2, variants=1),
        "loss": LossSettings(distance="contrast", classification=0, imitation=2.0),
        "lr": 1e-2,
        "steps": 6,
        "warmup": 2,
        "checkpoint_every": 2,
        "log_every": 2,
        "device": "cpu",
    }
    return EmbedderRecipe.model_validate(values | changes)


def test_what_is_to_be_given_is_what_the_bundle_keeps(shop: Path, start: Path, tmp_path: Path) -> None:
    recipe = recipe_of(shop, start, cache_size=48)
    cache, _ = read_photos(recipe)
    found = kept_features(recipe, cache, tmp_path, resume=False)
    two = Embedder.from_bundle(Bundle.from_pretrained(start), runtime="torch")
    kept = two(list(cache.images))[:, 8:]
    np.testing.assert_allclose(found.float().numpy(), kept / np.linalg.norm(kept, axis=1, keepdims=True), atol=2e-3)


def test_it_is_made_once_and_again_where_it_is_damaged(shop: Path, start: Path, tmp_path: Path) -> None:
    recipe = recipe_of(shop, start)
    cache, _ = read_photos(recipe)
    first = kept_features(recipe, cache, tmp_path, resume=False)
    written = (tmp_path / FILE).read_bytes()
    before = (tmp_path / FILE).stat().st_mtime_ns
    assert torch.equal(kept_features(recipe, cache, tmp_path, resume=True), first)
    assert (tmp_path / FILE).stat().st_mtime_ns == before
    (tmp_path / FILE).write_bytes(written[: len(written) // 2])
    assert torch.equal(kept_features(recipe, cache, tmp_path, resume=True), first)
    assert (tmp_path / FILE).read_bytes() == written


def test_a_run_that_begins_anew_takes_nothing_of_an_earlier_start(shop: Path, start: Path, tmp_path: Path) -> None:
    recipe = recipe_of(shop, start)
    cache, _ = read_photos(recipe)
    first = kept_features(recipe, cache, tmp_path, resume=False)
    torch.manual_seed(1)
    other = EmbedderNetwork(TWO).eval()
    other.settle_beside(255 * torch.rand(20, 3, 48, 48))
    settings, weights = {"embedder": TWO.model_dump(mode="json")}, {"embedder": export_weights(other)}
    save_pretrained(tmp_path / "other", "two", settings, weights)
    again = kept_features(recipe_of(shop, tmp_path / "other"), cache, tmp_path, resume=False)
    assert (again - first).abs().max() > 0.1


def test_none_imitates_unless_it_is_asked_for(shop: Path, start: Path, tmp_path: Path) -> None:
    recipe = recipe_of(shop, start, network=TWO)
    cache, _ = read_photos(recipe)
    assert kept_features(recipe, cache, tmp_path, resume=False).shape == (12, 0)
    assert not (tmp_path / FILE).exists()


def test_a_start_that_keeps_nothing_is_refused(shop: Path, start: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match=r"network\.kept_by.*'none' is none that keeps 6 numbers"):
        train_embedder(recipe_of(shop, "none"), tmp_path)
    with pytest.raises(BadRecipe, match="none that keeps 5 numbers"):
        train_embedder(recipe_of(shop, start, network=ONE.model_copy(update={"kept": 5})), tmp_path)


def test_a_stopped_run_equals_one_that_went_on(shop: Path, start: Path, tmp_path: Path) -> None:
    recipe = recipe_of(shop, start)
    whole, _ = read_checkpoint(train_embedder(recipe, tmp_path / "whole"))
    train_embedder(recipe, tmp_path / "parts", stop_at=3)
    parts, _ = read_checkpoint(train_embedder(recipe, tmp_path / "parts"))
    for name, value in whole.items():
        np.testing.assert_array_equal(value.numpy(), parts[name].numpy(), err_msg=name)


def test_the_head_learns_and_the_bundle_holds_one_backbone(shop: Path, start: Path, tmp_path: Path) -> None:
    train_embedder(recipe_of(shop, start, steps=60, lr=3e-3, average=0.9), tmp_path / "run")
    with (tmp_path / "run" / "log.csv").open(newline="") as file:
        terms = [float(row["imitation"]) for row in csv.DictReader(file)]
    assert terms[-1] < 0.3 * terms[0]
    bundle = export_embedder(tmp_path / "run", tmp_path / "bundle", "one")
    assert not [name for name in bundle.weights("embedder") if name.startswith("kept.")]
    one = Embedder.from_bundle(bundle, runtime="torch")
    cache, _ = read_photos(recipe_of(shop, start))
    wanted = kept_features(recipe_of(shop, start), cache, tmp_path / "run", resume=True).float()
    shown = functional.interpolate(as_batch(cache.images), (32, 32), mode="bilinear", antialias=True)
    with torch.inference_mode():
        _, given, _ = one.runtime.network.parts(shown)
    assert (given * wanted).sum(dim=1).mean() > 0.8
