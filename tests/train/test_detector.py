"""Training: the same run whether interrupted or not, and a stop where a loss is no number."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

pytest.importorskip("lightning", reason="training needs the extra 'train'")

from PIL import Image as PillowImage
from PIL import ImageDraw

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.config import load_recipe
from dprnet.core.errors import BadBundle, BadRecipe, MissingFile
from dprnet.core.records import Truth
from dprnet.data.labelled import LabelledImage
from dprnet.data.shopset import ShopSetWriter
from dprnet.data.transforms import DetectionAugmentConfig
from dprnet.detect.boxhead import BoxStageConfig
from dprnet.detect.detector import Detector
from dprnet.detect.model import DetectorConfig, DetectorNetwork, ProposalConfig
from dprnet.train import examples
from dprnet.train.detector import DetectorRecipe, export_detector, train_detector
from dprnet.train.examples import DataSource, gather
from dprnet.train.runs import read_checkpoint
from dprnet.train.state import TrainingDiverged

SMALL = DetectorConfig(
    backbone="mobilenet_v2",
    norm="folded",
    levels=(3, 4, 5),
    channels=16,
    short_side=64,
    long_side=96,
    proposals=ProposalConfig(sizes=((16,), (32,), (48,), (64,)), sampled=32, kept_training=20, kept=10),
    boxes=BoxStageConfig(sampled=16, detections=10),
    box_features=32,
    scoring_filters=8,
    instance_hidden=16,
    embedding=8,
)
PLAIN = DetectionAugmentConfig(flip=0, cut_through=0, cover=0)
COLOURS = ("red", "lime", "blue", "yellow")


def make_set(folder, images=4, side=64):
    """Coloured rectangles on grey: class and instance go with the colour."""
    rng = np.random.default_rng(0)
    writer = ShopSetWriter(folder, {"name": "boxes", "split": "train", "generator": "hand", "seed": 0})
    for number in range(images):
        kind = number % len(COLOURS)
        x, y = rng.integers(2, side // 3, 2).tolist()
        w, h = rng.integers(side // 3, side // 2, 2).tolist()
        canvas = PillowImage.new("RGB", (side, side), "gray")
        ImageDraw.Draw(canvas).rectangle((x, y, x + w - 1, y + h - 1), fill=COLOURS[kind])
        name = f"v{number}"
        writer.add_instance(name, number, kind, None)
        writer.add_still(name, 0, np.asarray(canvas))
        writer.add_view(name, 0, number, (x, y, x + w, y + h), viewpoint=kind % 3, occlusion=0, crop=kind % 2)
    writer.finish()
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture
def recipe(data):
    return DetectorRecipe(
        data=(DataSource(kind="shopset", path=str(data)),),
        network=SMALL,
        augment=PLAIN,
        steps=4,
        batch=2,
        optimizer="adamw",
        lr=1e-3,
        warmup=1,
        average=0.9,
        device="cpu",
        workers=0,
        checkpoint_every=2,
        log_every=1,
        short_sides=(64, 96),
    )


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(recipe, tmp_path, monkeypatch, optimizer):
    recipe = recipe.model_copy(update={"optimizer": optimizer})
    whole, step = read_checkpoint(train_detector(recipe, tmp_path / "whole"))
    assert step == 4

    losses, calls = DetectorNetwork.losses, []

    def killed(self, *arguments):
        calls.append(1)
        if len(calls) == 4:  # after step 3, so one step after the checkpoint is done again
            raise Interrupted
        return losses(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(DetectorNetwork, "losses", killed)
        with pytest.raises(Interrupted):
            train_detector(recipe, tmp_path / "parts")
    assert read_checkpoint(tmp_path / "parts" / "checkpoint.safetensors")[1] == 2
    resumed, step = read_checkpoint(train_detector(recipe, tmp_path / "parts"))
    assert step == 4
    assert set(resumed) == set(whole)
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []

    rows = [list(csv.DictReader((tmp_path / run / "log.csv").read_text().splitlines())) for run in ("whole", "parts")]
    assert [row["step"] for row in rows[1]] == ["1", "2", "3", "4"]
    assert [row["total"] for row in rows[0]] == [row["total"] for row in rows[1]]
    assert {"rpn_class", "rpn_box", "class", "box", "viewpoint", "occlusion", "crop", "instance"} <= set(rows[0][0])


def test_weights_change_and_another_seed_gives_others(recipe, tmp_path):
    first, _ = read_checkpoint(train_detector(recipe, tmp_path / "a"))
    other, _ = read_checkpoint(train_detector(recipe.model_copy(update={"seed": 1}), tmp_path / "b"))
    name = "network.boxes.heads.class.fc.weight"
    assert not torch.equal(first[name], other[name])
    assert not torch.equal(first[name], first[name.replace("network", "average")])


def test_frozen_stages_keep_the_weights_of_the_start(recipe, tmp_path):
    recipe = recipe.model_copy(update={"frozen_stages": 2})
    state, _ = read_checkpoint(train_detector(recipe, tmp_path))
    torch.manual_seed(recipe.seed)
    start = DetectorNetwork(recipe.network.model_copy(update={"instances": gather(recipe.data)[2]})).state_dict()
    body = "backbone.body.stages."
    changed = {
        name.split(".")[3]
        for name in start
        if name.startswith(body) and not torch.equal(start[name], state["network." + name])
    }
    assert changed == {"2", "3"}


def test_a_finished_run_is_not_done_again(recipe, tmp_path, monkeypatch):
    path = train_detector(recipe, tmp_path)
    monkeypatch.setattr(DetectorNetwork, "losses", None)
    assert train_detector(recipe, tmp_path) == path


def test_workers_change_nothing(recipe, tmp_path):
    alone, _ = read_checkpoint(train_detector(recipe, tmp_path / "a"))
    helped, _ = read_checkpoint(train_detector(recipe.model_copy(update={"workers": 2}), tmp_path / "b"))
    assert all(torch.equal(alone[name], helped[name]) for name in alone)


def test_not_a_number_stops_with_the_images(recipe, tmp_path, monkeypatch):
    losses, calls = DetectorNetwork.losses, []

    def broken(self, *arguments):
        calls.append(1)
        terms = losses(self, *arguments)
        return {**terms, "box": terms["box"] * float("nan")} if len(calls) == 4 else terms

    monkeypatch.setattr(DetectorNetwork, "losses", broken)
    with pytest.raises(TrainingDiverged, match=r"step 3: .*box nan.* on the images .*v\d_0000.jpg"):
        train_detector(recipe, tmp_path)
    assert read_checkpoint(tmp_path / "checkpoint.safetensors")[1] == 2


def test_another_recipe_does_not_go_on(recipe, tmp_path):
    train_detector(recipe, tmp_path)
    with pytest.raises(BadRecipe, match="another 'lr'"):
        train_detector(recipe.model_copy(update={"lr": 2e-3}), tmp_path)
    train_detector(recipe.model_copy(update={"workers": 0, "log_every": 3}), tmp_path)
    train_detector(recipe.model_copy(update={"lr": 2e-3, "steps": 1}), tmp_path, resume=False)
    assert read_checkpoint(tmp_path / "checkpoint.safetensors")[1] == 1
    (tmp_path / "checkpoint.safetensors").write_bytes(b"half a file")
    with pytest.raises(BadBundle, match="not a checkpoint"):
        train_detector(recipe.model_copy(update={"lr": 2e-3, "steps": 1}), tmp_path)


def test_export_holds_the_average(recipe, tmp_path):
    with pytest.raises(MissingFile, match="no checkpoint"):
        export_detector(tmp_path / "none", tmp_path / "bundle")
    state, _ = read_checkpoint(train_detector(recipe, tmp_path / "run"))
    save_pretrained(tmp_path / "bundle", "small", {"picking": {"cut": 0.3}}, {})
    bundle = export_detector(tmp_path / "run", tmp_path / "bundle", "small")
    assert bundle.settings("picking") == {"cut": 0.3}
    assert bundle.manifest["origin"]["detector"]["step"] == 4
    name = "boxes.features.fc1.weight"
    np.testing.assert_array_equal(bundle.weights("detector")[name], state[f"average.{name}"].half().numpy())
    assert Detector.from_bundle(bundle).config.instances == 0


def test_a_run_goes_on_from_a_bundle(recipe, data, tmp_path):
    """All but the classifier of training instances, whose number differs from set to set."""
    train_detector(recipe, tmp_path / "first")
    bundle = export_detector(tmp_path / "first", tmp_path / "bundle")
    both = (*recipe.data, DataSource(kind="shopset", path=str(make_set(tmp_path / "more", 3))))
    still = {"data": both, "start": str(tmp_path / "bundle"), "steps": 1, "lr": 1e-12, "average": 0.0}
    state, _ = read_checkpoint(train_detector(recipe.model_copy(update=still), tmp_path / "second"))
    for name, value in bundle.weights("detector").items():
        np.testing.assert_allclose(state[f"network.{name}"].numpy(), value, atol=1e-6, err_msg=name)
    assert len(state["network.boxes.heads.instance.fc3.weight"]) == gather(both)[2] > gather(recipe.data)[2]

    other = recipe.network.model_copy(update={"scoring_filters": 16})
    with pytest.raises(BadBundle, match="has shape"):
        train_detector(recipe.model_copy(update={**still, "network": other}), tmp_path / "third")


def test_instances_of_several_sources_are_numbered_through(monkeypatch):
    def image(*instances):
        n = len(instances)
        columns = [np.zeros(n, np.int64)] * 4
        truth = Truth(np.zeros((n, 4)), *columns, np.array(instances, np.int64), np.zeros((0, 4)))
        return LabelledImage(path=None, truth=truth, source="x")

    sets = {"a": [image(10, -1), image(30, 10)], "b": [image(-1)], "c": [image(10, 11)]}
    monkeypatch.setattr(examples, "read_source", lambda source: sets[source.path])
    weighted = {"a": 2.0, "b": 1.0, "c": 1.0}
    images, chances, instances = gather(
        tuple(DataSource(kind="shopset", path=name, weight=weight) for name, weight in weighted.items())
    )
    assert [image.truth.instance.tolist() for image in images] == [[0, -1], [1, 0], [-1], [2, 3]]
    assert instances == 4
    np.testing.assert_allclose(chances, [0.25, 0.25, 0.25, 0.25])


def test_missing_data_is_named(recipe, tmp_path):
    recipe = recipe.model_copy(update={"data": (DataSource(kind="ccp", path="$NOWHERE/ccp"),)})
    with pytest.raises(MissingFile, match="is DPRNET_DATA set"):
        train_detector(recipe, tmp_path)


@pytest.mark.parametrize("name", ["tiny", "tiny-2", "tiny-3", "deepfashion2"])
def test_recipes_are_sound(name, request):
    recipe = load_recipe(request.config.rootpath / "recipes" / f"detector-{name}.toml", DetectorRecipe)
    with torch.device("meta"):
        size = recipe.network.model_copy(update={"backbone": "mobilenet_v2", "norm": "frozen"})
        network = DetectorNetwork(size if name != "deepfashion2" else recipe.network)
    weights = sum(parameter.numel() for parameter in network.parameters())
    if name != "deepfashion2":
        assert weights * 2 < 16.5e6  # bytes as float16; with the embedder the bundle stays within 30 MB
    else:
        filters = {branch: network.boxes.heads[branch].fc.in_features for branch in ("viewpoint", "occlusion", "crop")}
        assert set(filters.values()) == {1024}
        assert weights > 90e6


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_from_the_command_line_on_several_devices_through_a_kill(recipe, tmp_path, devices):
    """A step's images are shared out, one process writes, and a run that was killed ends as if it had not been."""
    import os
    import signal
    import subprocess
    import sys
    import time

    toml = tmp_path / "recipe.toml"
    toml.write_text(as_toml(recipe.model_copy(update={"steps": 12, "devices": devices, "checkpoint_every": 1})))

    def command(run):
        verb = [
            "train",
            "detector",
            str(toml),
            "--out",
            str(tmp_path / run),
            "--bundle",
            str(tmp_path / f"{run}-bundle"),
        ]
        return [sys.executable, "-m", "dprnet", *verb]

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command("whole"), env=environment, check=True, capture_output=True, timeout=280)
    with subprocess.Popen(command("killed"), env=environment, start_new_session=True) as process:
        checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
        while not checkpoint.is_file():
            assert process.poll() is None, "ended before its first checkpoint"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert 1 <= read_checkpoint(checkpoint)[1] < 12
    subprocess.run(command("killed"), env=environment, check=True, capture_output=True, timeout=280)
    states = [read_checkpoint(tmp_path / run / "checkpoint.safetensors") for run in ("whole", "killed")]
    assert [step for _, step in states] == [12, 12]
    assert [name for name, value in states[0][0].items() if not torch.equal(value, states[1][0][name])] == []
    for run in ("whole", "killed"):
        rows = list(csv.DictReader((tmp_path / run / "log.csv").read_text().splitlines()))
        assert [int(row["step"]) for row in rows] == list(range(1, 13))
        assert Detector.from_bundle(Bundle.from_pretrained(tmp_path / f"{run}-bundle")).config.instances == 0


def as_toml(recipe):
    """The settings that differ from their defaults, as a recipe file."""
    import json

    def lines(values, name=""):
        tables = {key: value for key, value in values.items() if isinstance(value, dict)}
        plain = [f"{key} = {json.dumps(value)}" for key, value in values.items() if key not in tables and key != "data"]
        inner = [line for key, table in tables.items() for line in lines(table, f"{name}.{key}" if name else key)]
        return [*([f"[{name}]"] if name else []), *plain, *inner]

    values = recipe.model_dump(mode="json", exclude_defaults=True)
    sources = [line for source in values["data"] for line in lines(source, "[data]")]
    return "\n".join([*lines(values), *sources]) + "\n"


@pytest.mark.slow
def test_a_few_images_are_learnt_by_heart(recipe, tmp_path):
    from dprnet.data.shopset import ShopSet
    from dprnet.evaluate.detection import evaluate_detection

    recipe = recipe.model_copy(update={
        "data": (DataSource(kind="shopset", path=str(make_set(tmp_path / "set", 8, side=128))),),
        "network": SMALL.model_copy(update={"short_side": 128, "long_side": 128, "channels": 32, "box_features": 64}),
        "short_sides": (), "steps": 800, "batch": 4, "warmup": 20, "lr": 2e-3, "checkpoint_every": 800, "log_every": 50,
    })  # fmt: skip
    train_detector(recipe, tmp_path / "run")
    detector = Detector.from_bundle(export_detector(tmp_path / "run", tmp_path / "bundle"))
    figures = evaluate_detection(detector, ShopSet.open(tmp_path / "set").stills(), bootstrap=10)
    assert figures.ap50 > 0.95
    assert figures.branches["viewpoint"].balanced_accuracy > 0.95
    assert figures.branches["crop"].balanced_accuracy > 0.95
