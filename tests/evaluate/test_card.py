"""The card says what the files say, and what nobody measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dprnet.core.bundle import save_pretrained
from dprnet.core.errors import BadBundle
from dprnet.evaluate.card import write_card


@pytest.fixture
def bundle(tmp_path: Path):
    recipe = {"seed": 7, "data": [{"kind": "ccp", "path": "$DPRNET_DATA/ccp", "weight": 0.35}]}
    return save_pretrained(
        tmp_path / "bundle",
        "small",
        {"picking": {"cut_distance": 0.25}},
        {"detector": {"a": np.zeros(2, np.float32)}},
        origin={"detector": {"recipe": recipe, "step": 12}},
    )


def test_the_card_tells_origin_settings_and_figures(bundle, tmp_path):
    figures = tmp_path / "figures"
    figures.mkdir()
    (figures / "picking.json").write_text(json.dumps({"r_pick": {"value": 0.5, "low": 0.25, "high": 0.75}}))
    card = write_card(bundle, figures, machine="a test", date="2026-11-23").read_text(encoding="utf-8")
    assert "detector: 12 steps, seed 7, drawn from `ccp` 0.35" in card
    assert "Apache-2.0 as declared" in card
    assert "OSL-3.0" not in card  # luma was not trained on
    assert "| cut_distance | 0.25 |" in card
    assert "R_pick | 0.500 [0.250, 0.750] |" in card
    assert "Recall@1 over all garments that have an item | not measured |" in card
    assert "Measured on 2026-11-23, a test" in card


def test_the_card_is_part_of_the_bundle_but_not_of_its_identity(bundle, tmp_path):
    before = bundle.identity
    write_card(bundle, tmp_path)
    assert bundle.card.startswith("# Model bundle `small`")
    assert bundle.identity == before


def test_damaged_figures_are_named(bundle, tmp_path):
    (tmp_path / "detection.json").write_text("{")
    with pytest.raises(BadBundle, match=r"detection.json: no JSON file of figures"):
        write_card(bundle, tmp_path)
