"""Leaving a branch out: the recipes that do so, and that it then learns nothing while the others do."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning", reason="training needs the extra 'train'")

from dprnet.core.config import load_recipe
from dprnet.data.transforms import DetectionAugmentConfig
from dprnet.detect.boxhead import BoxStageConfig
from dprnet.detect.model import DetectorConfig, ProposalConfig
from dprnet.train.detector import DetectorRecipe, train_detector
from dprnet.train.examples import DataSource
from dprnet.train.runs import read_checkpoint

FOLDER = Path(__file__).parents[2] / "recipes" / "ablations"
BRANCHES = ("viewpoint", "occlusion", "crop", "instance")
LEFT_OUT = {name: (name,) for name in BRANCHES} | {"quality": BRANCHES[:3]}


TINY = load_recipe(FOLDER.parent / "detector-tiny.toml", DetectorRecipe)


def without_change(recipe):
    plain = tuple(source.model_copy(update={"without": (), "guessed": 0.0}) for source in recipe.data)
    return recipe.model_copy(update={"data": plain})


def test_recipes_leave_out_what_their_name_says_and_nothing_else():
    found = {path.stem.removeprefix("detector-without-"): load_recipe(path, DetectorRecipe)
             for path in FOLDER.glob("detector-without-*.toml")}  # fmt: skip
    assert set(found) == set(LEFT_OUT)
    for name, recipe in found.items():
        assert {source.without for source in recipe.data} == {LEFT_OUT[name]}
    for recipe in found.values():
        assert without_change(recipe) == TINY, "an ablation differs from recipes/detector-tiny.toml in its branch alone"


def test_the_recipe_with_guesses_differs_in_them_alone():
    recipe = load_recipe(FOLDER / "detector-with-guessed-viewpoints.toml", DetectorRecipe)
    assert [source.guessed for source in recipe.data] == [0.5, 0.0, 0.0]
    assert without_change(recipe) == TINY


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_branch_left_out_learns_nothing(deepfashion2, tmp_path, branch):
    network = DetectorConfig(
        backbone="mobilenet_v2", norm="folded", levels=(4, 5), channels=16, short_side=64, long_side=96,
        proposals=ProposalConfig(sizes=((16,), (32,), (64,)), sampled=32, kept_training=20, kept=10),
        boxes=BoxStageConfig(sampled=16, detections=5), box_features=32, scoring_filters=8, instance_hidden=16,
        embedding=8,
    )  # fmt: skip
    recipe = DetectorRecipe(
        data=(DataSource(kind="deepfashion2", path=str(deepfashion2), without=(branch,)),),
        network=network, augment=DetectionAugmentConfig(flip=0, cut_through=0, cover=0),
        steps=2, batch=2, optimizer="adamw", lr=1e-3, weight_decay=0.0, warmup=1, device="cpu", workers=0,
        checkpoint_every=1, log_every=1,
    )  # fmt: skip
    kept = {}
    for steps in (1, 2):
        state, _ = read_checkpoint(train_detector(recipe.model_copy(update={"steps": steps}), tmp_path / str(steps)))
        kept[steps] = {name: value for name, value in state.items() if name.startswith("network.boxes.heads.")}
    changed = {name.split(".")[3] for name in kept[1] if not torch.equal(kept[1][name], kept[2][name])}
    assert changed == {"class", "box", *BRANCHES} - {branch}
    rows = list(csv.DictReader((tmp_path / "2" / "log.csv").read_text().splitlines()))
    if branch == "instance":
        assert "instance" not in {name for name in rows[0] if float(rows[0][name])}
    else:
        assert {float(row[branch]) for row in rows} == {0.0}
    assert all(float(row["total"]) > 0 for row in rows)
