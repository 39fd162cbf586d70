"""Every method runs, learns what only training can tell, resumes, and answers the evaluator's two calls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("pytorch_metric_learning", reason="training needs the extra 'train'")

from dprnet.core.errors import BadRecipe, MissingFile
from dprnet.embed.embedder import as_batch
from dprnet.train.methods.base import PairMethod
from dprnet.train.methods.recipe import METHODS, MethodOptions, Table2Recipe, make_method, unit_of
from dprnet.train.methods.training import make_trunk, train_unit
from dprnet.train.runs import read_checkpoint
from dprnet.train.state import TrainingDiverged

from .conftest import PATTERNS, photos, small_trunk

STEPS = 60
SMALL = {"dreml": {"meta": 4, "members": 2}, "grnet": {"scales": (1, 2), "node": 8, "channels": 16}}


def unit(method, terms, steps=STEPS, lr=5e-3):
    recipe = Table2Recipe(terms=terms, options=MethodOptions.model_validate({method: SMALL.get(method, {})}))
    return unit_of(recipe, method, seed=0, lr=lr, images=steps * 16)


def train(method, terms, folder, material, **more):
    return train_unit(unit(method, terms), folder, material, trunk=small_trunk, device="cpu", **more)


def described(method, images):
    batch = torch.nn.functional.interpolate(as_batch(images), (32, 32), mode="bilinear", antialias=True)
    with torch.inference_mode():
        return method.vectors(batch), method.local(batch) if isinstance(method, PairMethod) else None


def told_apart(scores, same):
    """Share of (pair of one pattern, pair of two) in which the first scores higher."""
    return float((scores[same][:, None] > scores[~same][None]).mean())


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_method_learns_patterns_whatever_their_colour(name, terms, material, tmp_path):
    images, owners = photos(10, seed=9)
    i, j = np.triu_indices(len(images), 1)
    same = owners[i] == owners[j]
    torch.manual_seed(0)
    untrained = make_method(name, small_trunk(), PATTERNS, MethodOptions(), PATTERNS).eval()
    vectors, _ = described(untrained, images)
    before = told_apart((vectors[i] * vectors[j]).sum(dim=1).numpy(), same)
    method = train(name, terms, tmp_path, material)
    vectors, local = described(method, images)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(images)))
    after = told_apart((vectors[i] * vectors[j]).sum(dim=1).numpy(), same)
    assert before + 0.05 < after
    assert after > 0.9
    if local is not None:
        with torch.inference_mode():
            scores = method.compare(local[i], local[j]).numpy()
        assert told_apart(scores, same) > 0.9


@pytest.mark.parametrize("name", ["dreml", "gsn", "kpm", "fashionnet"])
def test_a_stopped_run_equals_one_that_went_on(name, terms, material, tmp_path):
    """Those with more than a trunk: members in turn, a policy, batch normalisation, marks."""
    recipe = unit(name, terms, steps=4)
    train_unit(recipe, tmp_path / "whole", material, trunk=small_trunk, device="cpu")
    train_unit(recipe, tmp_path / "parts", material, trunk=small_trunk, device="cpu", stop_at=2)
    train_unit(recipe, tmp_path / "parts", material, trunk=small_trunk, device="cpu")
    one, two = (read_checkpoint(tmp_path / part / "checkpoint.safetensors") for part in ("whole", "parts"))
    assert one[1] == two[1] == 4
    assert one[0].keys() == two[0].keys()
    for key, value in one[0].items():
        np.testing.assert_array_equal(value.numpy(), two[0][key].numpy(), err_msg=key)


def test_another_recipe_in_the_folder_is_refused(terms, material, tmp_path):
    train_unit(unit("triplet_ss", terms, steps=1), tmp_path, material, trunk=small_trunk, device="cpu")
    with pytest.raises(BadRecipe, match="another 'lr'"):
        train_unit(unit("triplet_ss", terms, steps=1, lr=1.0), tmp_path, material, trunk=small_trunk, device="cpu")


def test_a_loss_that_is_no_number_names_the_photos(terms, material, tmp_path):
    recipe = Table2Recipe(terms=terms, options=MethodOptions.model_validate({"triplet_ss": {"margin": float("nan")}}))
    broken = unit_of(recipe, "triplet_ss", seed=0, lr=1e-3, images=16)
    with pytest.raises(TrainingDiverged, match=r"step 0: .*distance nan.*\.jpg"):
        train_unit(broken, tmp_path, material, trunk=small_trunk, device="cpu")


def test_an_unknown_method_and_missing_weights_are_named(terms, trunk):
    with pytest.raises(BadRecipe, match="unknown method 'clip'"):
        make_method("clip", trunk, 2, MethodOptions())
    gone = terms.model_copy(update={"trunk": terms.trunk.model_copy(update={"start": "/none.safetensors"})})
    with pytest.raises(MissingFile, match="no start weights"):
        make_trunk(gone)


def test_the_trunk_of_a_recipe_has_two_maps(terms):
    made = make_trunk(terms)
    fine, coarse = made.maps(torch.zeros(1, 3, 64, 64))
    assert (fine.shape, coarse.shape) == ((1, made.fine, 4, 4), (1, made.coarse, 2, 2))
