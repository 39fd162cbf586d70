"""A video-to-shop set of one short video: the red square is a garment that the shop sells."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from dprnet.core.images import read_image
from dprnet.data.shopset import ShopSetWriter


@pytest.fixture(scope="session")
def square_set(moving_square: Path, small_catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set") / "square"
    writer = ShopSetWriter(folder, {"name": "square", "split": "test"})
    shutil.copy(moving_square, writer.add_video("square"))
    for name in ("red", "green", "blue"):
        writer.add_item(name, [read_image(small_catalogue.parent / f"{name}.png").image], category="top", title=name)
    writer.add_instance("square", 0, 0, "red")
    for number in range(30):
        box = (4 * number, 30, min(160, 4 * number + 40), 90)
        seen = {"viewpoint": 0, "occlusion": 0, "crop": 0, "occluded": 0.0, "cut_off": 0.0}
        writer.add_view("square", number, 0, box, time_s=number / 10, **seen)  # type: ignore[arg-type]
    still = np.full((120, 160, 3), (30, 60, 160), np.uint8)
    still[30:90, 20:60] = (200, 30, 30)
    writer.add_still("street", 0, still)
    writer.add_instance("street", 1, 0, "red")
    writer.add_view("street", 0, 1, (20, 30, 60, 90), viewpoint=0, occlusion=0, crop=0)
    return writer.finish().folder
