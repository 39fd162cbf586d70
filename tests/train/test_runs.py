"""What is between the start of a run and its trained weights."""

from __future__ import annotations

import pytest
import torch

from dprnet.core.config import Settings
from dprnet.core.errors import BadBundle, BadRecipe, MissingFile
from dprnet.train.runs import RECIPE, START, Run, blend

TRAINED = {"weight": torch.tensor([4.0, 8.0])}


class Recipe(Settings):
    steps: int = 1


@pytest.fixture
def folder(tmp_path):
    Run(tmp_path, Recipe()).keep_start({"weight": torch.tensor([0.0, 4.0])})
    return tmp_path


@pytest.mark.parametrize(("share", "wanted"), [(0.0, [4.0, 8.0]), (0.25, [3.0, 7.0]), (0.5, [2.0, 6.0])])
def test_the_blend_lies_between_start_and_end(folder, share, wanted):
    assert blend(folder, TRAINED, share)["weight"].tolist() == wanted


def test_without_a_share_no_start_is_needed(tmp_path):
    assert blend(tmp_path, TRAINED, 0.0) == TRAINED


def test_a_missing_start_is_named(tmp_path):
    with pytest.raises(MissingFile, match=r"start\.safetensors: the run kept no start"):
        blend(tmp_path, TRAINED, 0.5)


@pytest.mark.parametrize("other", [{"bias": torch.zeros(2)}, {"weight": torch.zeros(3)}])
def test_the_start_of_another_network_is_refused(tmp_path, other):
    Run(tmp_path, Recipe()).keep_start(other)
    with pytest.raises(BadBundle, match="not the start of this run"):
        blend(tmp_path, TRAINED, 0.5)


def test_a_damaged_start_is_refused(folder):
    (folder / START).write_bytes(b"\xff" * 40)
    with pytest.raises(BadBundle, match="not the start of this run"):
        blend(folder, TRAINED, 0.5)


def test_a_run_goes_on_though_the_recipe_has_a_new_setting_since(tmp_path):
    class Newer(Recipe):
        heads: int = 3

    Run(tmp_path, Recipe()).save(1, TRAINED)
    assert Run(tmp_path, Newer()).step == 1
    with pytest.raises(BadRecipe, match="another 'heads'"):
        Run(tmp_path, Newer(heads=4))
    (tmp_path / RECIPE).write_text('{"steps": "many"}')
    with pytest.raises(BadRecipe, match="cannot be read"):
        Run(tmp_path, Recipe())
