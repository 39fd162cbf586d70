from __future__ import annotations

import csv
from pathlib import Path

import pytest

from dprnet.core.classes import (
    CCP,
    CLOTHING,
    COARSE_CLASSES,
    DEEPFASHION2,
    LUMA,
    SOURCES,
    class_index,
    coarse_class,
    crop_class,
    occlusion_class,
)


@pytest.mark.parametrize("source", SOURCES)
def test_every_name_maps_onto_a_coarse_class_or_ignore(source: str) -> None:
    assert set(SOURCES[source].values()) <= {*COARSE_CLASSES, "ignore"}


def test_deepfashion2_has_its_thirteen() -> None:
    assert len(DEEPFASHION2) == 13
    assert set(DEEPFASHION2.values()) == set(COARSE_CLASSES)
    assert coarse_class("deepfashion2", "sling dress") == "dress"


def test_a_name_of_no_garment_of_ours_is_none() -> None:
    assert coarse_class("clothing", "Shoes") is None
    assert "" not in CCP


def test_the_class_index_is_the_place_in_the_list() -> None:
    assert [class_index(name) for name in COARSE_CLASSES] == list(range(6))
    with pytest.raises(ValueError, match="not in tuple"):
        class_index("hat")


def test_limits_of_the_quality_labels_belong_to_the_worse_side_of_occlusion_and_the_better_of_crop() -> None:
    assert [occlusion_class(value) for value in (0.1999, 0.2, 0.4999, 0.5, 1.0)] == [0, 1, 1, 2, 2]
    assert [crop_class(value) for value in (0.05, 0.0501)] == [0, 1]


@pytest.mark.data
def test_the_tables_know_every_name_of_the_real_sets(data_root: Path) -> None:
    with (data_root / "luma/index.csv").open(encoding="utf-8", newline="") as file:
        assert {row["category"] for row in csv.DictReader(file)} == set(LUMA)
    with (data_root / "clothing/images.csv").open(encoding="utf-8", newline="") as file:
        found = {row["label"] for row in csv.DictReader(file)}
    assert set(CLOTHING) <= found
    assert found - set(CLOTHING) == {"Shoes", "Hat", "Not sure", "Other", "Skip"}
    labels = (data_root / "ccp/labels.txt").read_text(encoding="utf-8").split("\n")
    assert set(CCP) <= {line.strip() for line in labels}
