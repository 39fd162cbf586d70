"""Training the embedder: a stopped run equals one that went on, NaN stops, the export is what was trained."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from safetensors.numpy import load_file

pytest.importorskip("lightning", reason="training needs the extra 'train'")
pytest.importorskip("pytorch_metric_learning", reason="training needs the extra 'train'")

from dprnet.core.config import load_recipe
from dprnet.core.errors import BadDataset, BadRecipe, MissingFile
from dprnet.core.images import cut_out
from dprnet.data.labelled import Photo
from dprnet.data.shopset import ShopSet, ShopSetWriter
from dprnet.embed.embedder import Embedder
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork
from dprnet.train.embedder import EmbedderRecipe, export_embedder, train_embedder, validation_figures
from dprnet.train.photos import PhotoCache, load_photos
from dprnet.train.retrieval import LossSettings, SamplingSettings, make_sampler, start_network
from dprnet.train.runs import read_checkpoint
from dprnet.train.shots import PhotoSource, Shot, read_sources, shopset_shots, thin
from dprnet.train.state import TrainingDiverged

NETWORK = EmbedderConfig(backbone="timm:test_resnet", size=8, image_size=32, colour=4, batch_norm="frozen")
COLOURS = ((220, 30, 30), (30, 200, 30), (30, 30, 220), (210, 200, 30), (20, 190, 190))


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Five garments of plain colour, each with two shop photos and three stills; the last has no item."""
    rng = np.random.default_rng(0)
    writer = ShopSetWriter(tmp_path_factory.mktemp("shop") / "set", {"name": "shop", "split": "train"})
    for number, colour in enumerate(COLOURS):

        def garment(height, width, colour=colour):
            return np.clip(np.array(colour) + rng.normal(0, 8, (height, width, 3)), 0, 255).astype(np.uint8)

        item = f"A{number}" if number < 4 else None
        if item:
            writer.add_item(item, [garment(50, 40), garment(60, 40)], category="top")
        writer.add_instance("street", instance=number, label=0, item_id=item)
        for view in range(3):
            frame = 10 * number + view
            image = np.full((90, 70, 3), 128, np.uint8)
            image[20:70, 10:50] = garment(50, 40)
            writer.add_still("street", frame, image)
            writer.add_view("street", frame, instance=number, box_xyxy=(10, 20, 50, 70), viewpoint=0, occluded=0.0)
        writer.add_view("street", 10 * number, instance=number, box_xyxy=(0, 0, 9, 50))  # too narrow to be of use
    return writer.finish().folder


def recipe_of(shop, **changes):
    source = PhotoSource(kind="shopset", path=str(shop))
    values = {
        "data": (source,),
        "validation": (source,),
        "network": NETWORK,
        "cache_size": 40,
        "sampling": SamplingSettings(p=3, k=2, hard=0.5, variants=1),
        "steps": 6,
        "warmup": 2,
        "validate_every": 3,
        "checkpoint_every": 2,
        "log_every": 2,
        "device": "cpu",
    }
    return EmbedderRecipe(**(values | changes))


def test_a_stopped_run_equals_one_that_went_on(shop, tmp_path):
    recipe = recipe_of(shop)
    whole = train_embedder(recipe, tmp_path / "whole")
    train_embedder(recipe, tmp_path / "parts", stop_at=3)
    parts = train_embedder(recipe, tmp_path / "parts")
    (one, step), (two, same) = read_checkpoint(whole), read_checkpoint(parts)
    assert step == same == 6
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value.numpy(), two[name].numpy(), err_msg=name)


def test_the_log_holds_every_term_and_the_validation(shop, tmp_path):
    told = []
    train_embedder(recipe_of(shop), tmp_path, progress=lambda step, steps, row: told.append((step, steps)))
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert told == [(2, 6), (4, 6), (6, 6)]
    for row in rows:
        assert float(row["total"]) == pytest.approx(float(row["classification"]) + float(row["distance"]), abs=1e-3)
    assert rows[0]["validation_recall_1"] == "nan"
    assert 0 <= float(rows[-1]["validation_recall_1_video"]) <= 1


def test_the_export_is_the_average_without_the_branch(shop, tmp_path):
    recipe = recipe_of(shop, steps=2)
    train_embedder(recipe, tmp_path / "run")
    bundle = export_embedder(tmp_path / "run", tmp_path / "bundle", "mine")
    assert not [name for name in bundle.weights("embedder") if name.startswith("branch")]
    state, _ = read_checkpoint(tmp_path / "run" / "checkpoint.safetensors")
    wanted = state["average.network.fc.weight"].numpy()
    np.testing.assert_allclose(bundle.weights("embedder")["fc.weight"], wanted, atol=1e-3)
    assert bundle.manifest["origin"]["embedder"]["step"] == 2
    assert Embedder.from_bundle(bundle)([np.zeros((9, 9, 3), np.uint8)]).shape == (1, 8)


def test_the_export_may_keep_a_share_of_the_start(shop, tmp_path):
    train_embedder(recipe_of(shop, steps=2, lr=0.1, blend=0.25), tmp_path / "run")
    bundle = export_embedder(tmp_path / "run", tmp_path / "bundle", "mine")
    start = load_file(tmp_path / "run" / "start.safetensors")["fc.weight"]
    state, _ = read_checkpoint(tmp_path / "run" / "checkpoint.safetensors")
    end = state["average.network.fc.weight"].numpy()
    assert np.abs(start - end).max() > 0.01
    np.testing.assert_allclose(bundle.weights("embedder")["fc.weight"], 0.25 * start + 0.75 * end, atol=2e-3)


def test_contrast_with_a_memory_goes_on_exactly_and_learns(shop, tmp_path):
    loss = LossSettings(distance="contrast", memory=9, classification=0.0)
    network = NETWORK.model_copy(update={"standard": True})
    recipe = recipe_of(shop, loss=loss, network=network, settle=1.0, steps=30, lr=3e-3, average=0.0, validate_every=30)
    whole = train_embedder(recipe, tmp_path / "whole")
    train_embedder(recipe, tmp_path / "parts", stop_at=7)
    parts = train_embedder(recipe, tmp_path / "parts")
    (one, _), (two, _) = read_checkpoint(whole), read_checkpoint(parts)
    for name, value in one.items():
        np.testing.assert_array_equal(value.numpy(), two[name].numpy(), err_msg=name)
    with (tmp_path / "whole" / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert "classification" not in rows[0]
    assert float(rows[-1]["validation_recall_1"]) == 1.0


def test_the_export_has_no_batch_norm_after_fc_and_answers_the_same(shop, tmp_path):
    recipe = recipe_of(shop, network=NETWORK.model_copy(update={"standard": True}), settle=1.0, steps=4, lr=1e-2)
    train_embedder(recipe, tmp_path / "run")
    bundle = export_embedder(tmp_path / "run", tmp_path / "bundle", "mine")
    assert not [name for name in bundle.weights("embedder") if name.startswith("standard")]
    network = EmbedderNetwork(recipe.network).eval()
    state, _ = read_checkpoint(tmp_path / "run" / "checkpoint.safetensors")
    prefix = "average.network."
    network.load_state_dict({key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)})
    images = [np.full((40, 30, 3), colour, np.uint8) for colour in COLOURS]
    found, wanted = Embedder.from_bundle(bundle)(images), Embedder(network, "x")(images)
    np.testing.assert_allclose(found, wanted, atol=5e-3)  # stored as float16
    assert np.abs(found[0] - found[2]).max() > 0.1


def test_a_run_goes_on_from_a_bundle(shop, tmp_path):
    standard = NETWORK.model_copy(update={"standard": True})
    train_embedder(recipe_of(shop, network=standard, settle=1.0, lr=1e-2), tmp_path / "first")
    bundle = export_embedder(tmp_path / "first", tmp_path / "bundle", "mine")
    recipe = recipe_of(shop, network=standard, start=str(tmp_path / "bundle"), seed=5)
    network = EmbedderNetwork(standard)
    start_network(network, recipe, load_photos(read_sources(recipe.data), 40))
    images = [np.full((40, 30, 3), colour, np.uint8) for colour in COLOURS]
    found, wanted = Embedder(network, "x")(images), Embedder.from_bundle(bundle)(images)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert np.abs(wanted[0] - wanted[2]).max() > 0.1
    train_embedder(recipe, tmp_path / "second")  # and it trains


def test_a_loss_that_is_no_number_stops_and_names_the_photos(shop, tmp_path):
    recipe = recipe_of(shop, loss=LossSettings(margin=float("nan")))
    with pytest.raises(TrainingDiverged, match=r"step 0: .*distance nan.*\.jpg"):
        train_embedder(recipe, tmp_path)


def test_training_tells_plain_colours_apart(shop, tmp_path):
    """Not luck: five colours, 30 steps from random weights."""
    recipe = recipe_of(shop, steps=30, lr=3e-3, settle=1.0, validate_every=30, average=0.0)
    train_embedder(recipe, tmp_path)
    with (tmp_path / "log.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["validation_recall_1"]) == 1.0


def test_a_garment_and_its_item_are_one_instance(shop):
    shots = shopset_shots(ShopSet.open(shop), most=2)
    names = {shot.photo.instance.partition("/")[2] for shot in shots}
    assert names == {"A0", "A1", "A2", "A3", "4"}
    worn = [shot for shot in shots if shot.photo.instance.endswith("/A1")]
    assert sorted(shot.photo.domain for shot in worn) == ["shop", "shop", "video", "video"]
    assert {shot.group for shot in worn} == {f"{ShopSet.open(shop).id}/0"}


def test_photos_are_cut_out_and_evenly_thinned(shop):
    source = PhotoSource(kind="shopset", path=str(shop), per_instance=2)
    groups = read_sources([source])
    cache = load_photos(groups, 24, fill=0)
    assert cache.images.shape == (len(groups[0]), 24, 24, 3)
    red = next(row for row, shot in enumerate(cache.shots) if shot.photo.domain == "video")
    whole = cache.shots[red].photo
    assert np.abs(cut_out(whole.load(), (0, 0, 40, 50)).mean((0, 1)) - COLOURS[0]).max() < 12
    assert np.abs(cache.images[red][6:18, 8:16].mean((0, 1)) - COLOURS[0]).max() < 12
    frames = [shot.photo.path.name for shot in thin(shopset_shots(ShopSet.open(shop), 9), 2)][:2]
    assert frames == ["street_0000.jpg", "street_0002.jpg"]


def test_validation_searches_fronts_whatever_their_place(tmp_path):
    """The back comes first in the list; the front must still be the gallery, and a plain colour finds itself."""
    shots = [
        Shot(Photo(tmp_path / "x.jpg", None, instance, 0, "shop", viewpoint))
        for instance in ("a", "b")
        for viewpoint in (1, 0)
    ]
    shades = np.array([[250, 0, 0], [200, 0, 0], [0, 0, 250], [0, 0, 200]], np.uint8)
    images = np.broadcast_to(shades[:, None, None], (4, 32, 32, 3)).copy()
    network = EmbedderNetwork(EmbedderConfig(size=0, image_size=32, colour=4)).eval()
    cache = PhotoCache(images, tuple(shots), np.zeros(4, np.int64))
    assert validation_figures(network, cache) == {"validation_recall_1": 1.0, "validation_recall_1_shop": 1.0}
    lone = cache.only(np.array([True, False, False, False]))
    assert validation_figures(network, lone) == {}


def test_every_source_gets_its_share(shop):
    recipe = recipe_of(shop, data=(PhotoSource(kind="shopset", path=str(shop), weight=3.0),) * 2)
    cache = load_photos(read_sources(recipe.data), 24)
    assert make_sampler(recipe, cache).instances == 5  # the same set twice is the same instances


def test_too_few_instances_is_a_sentence(shop, tmp_path):
    with pytest.raises(BadRecipe, match="a batch of 20 instances cannot be drawn from 5"):
        train_embedder(recipe_of(shop, sampling=SamplingSettings(p=20, k=2)), tmp_path)


def test_missing_start_and_missing_photos_are_named(shop, tmp_path):
    with pytest.raises(MissingFile, match="no start weights"):
        train_embedder(recipe_of(shop, start=str(tmp_path / "none.safetensors")), tmp_path / "run")
    cache_sources = read_sources([PhotoSource(kind="shopset", path=str(shop))])
    gone = [type(shot)(type(shot.photo)(tmp_path / "gone.jpg", None, "a", 0, "shop")) for shot in cache_sources[0][:1]]
    with pytest.raises(BadDataset, match="none could be read"):
        load_photos([gone], 24)


@pytest.mark.parametrize(
    "name", ["embedder-tiny", "embedder-tiny-2", "embedder-tiny-3", "embedder-fast", "embedder-deepfashion"]
)
def test_the_recipes_are_read(request, name):
    recipe = load_recipe(request.config.rootpath / "recipes" / f"{name}.toml", EmbedderRecipe)
    assert recipe.steps > 0
