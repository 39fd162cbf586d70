"""Shares are fitted by what they give; by hand, and on a small set with a network whose trained part knows nothing."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.errors import BadBundle
from dprnet.data.labelled import Photo
from dprnet.embed.embedder import Embedder, export_weights
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork
from dprnet.evaluate.photo_sets import LoadedSets
from dprnet.evaluate.shares import TEMPERATURES, calibrate_shares, fit_shares
from dprnet.train.photos import PhotoCache
from dprnet.train.shots import Shot


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def loaded(instances: list[str], *tasks: tuple[str, list[int], list[int]]) -> LoadedSets:
    shots = tuple(Shot(Photo(Path(f"{n}.jpg"), None, name, 0, "shop")) for n, name in enumerate(instances))
    cache = PhotoCache(np.zeros((len(shots), 1, 1, 3), np.uint8), shots, np.zeros(len(shots), np.int64))
    return LoadedSets(cache, tuple((name, np.array(queries), np.array(gallery)) for name, queries, gallery in tasks))


def test_the_share_that_finds_most_wins() -> None:
    # Photos 0 and 1 ask; 2 and 3 are the gallery. The trained part is wrong by a little, the kept part right by far.
    photos = loaded(["a", "b", "a", "b"], ("world", [0, 1], [2, 3]))
    trained = at(40, 50, 90, 0)
    kept = at(0, 90, 0, 90)
    fit = fit_shares(photos, [trained, kept, None], grid=(0.0, 0.1, 0.2, 0.3))
    by_share = {trial.kept: trial.recall[0] for trial in fit.trials}
    # cos 50 = 0.643 for the right, cos 40 = 0.766 for the wrong: (1 - s) 0.123 < s from s = 0.11 on.
    assert by_share == {0.0: 0.0, 0.1: 0.0, 0.2: 1.0, 0.3: 1.0}
    assert (fit.best.kept, fit.best.shades) == (0.3, 0.0), "of the two that find all, the surer"


def test_every_query_counts_alike() -> None:
    tasks = (("world", [0], [2, 3]), ("backs", [0, 0, 0], [2, 3]), ("others", [1], [2, 3]))
    photos = loaded(["a", "b", "a", "b"], *tasks)
    fit = fit_shares(photos, [at(0, 0, 0, 90), None, None])
    assert fit.best.recall == (1.0, 1.0, 0.0)
    # Cosines 1 and 0 for the first four, 0 and 1 for the last: the warmest of the temperatures suits best.
    right = 1 / (1 + math.exp(-1 / TEMPERATURES[-1]))
    assert fit.best.value == pytest.approx((4 * math.log(right) + math.log(1 - right)) / 5)
    assert fit.queries == (1, 3, 1)


def test_the_surer_of_two_that_are_right_wins() -> None:
    photos = loaded(["a", "b", "a", "b"], ("world", [0, 1], [2, 3]))
    fit = fit_shares(photos, [at(0, 90, 40, 50), at(0, 90, 0, 90), None], grid=(0.0, 0.4))
    assert [trial.recall for trial in fit.trials] == [(1.0,), (1.0,)]
    assert fit.best.kept == 0.4


def test_a_bundle_takes_its_shares(square_set: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = EmbedderConfig(size=8, image_size=32, shades=6, shades_share=0.3)
    network = EmbedderNetwork(config)
    network.settle_beside(255 * torch.rand(20, 3, 32, 32))
    save_pretrained(
        tmp_path, "mine", {"embedder": config.model_dump(mode="json")}, {"embedder": export_weights(network)}
    )
    before = Embedder.from_bundle(Bundle.from_pretrained(tmp_path)).identity
    fit = calibrate_shares(tmp_path, square_set, grid=(0.0, 0.5))
    assert fit.photos is None
    assert len(fit.views.trials) == 2
    stored = Bundle.from_pretrained(tmp_path)
    assert stored.settings("embedder")["shades_share"] == fit.views.best.shades
    assert stored.settings("embedder")["kept_share"] == 0.0
    assert (Embedder.from_bundle(stored).identity == before) == (fit.views.best.shades == 0.3)
    fit.write_table(tmp_path / "shares.csv")
    with (tmp_path / "shares.csv").open(newline="") as file:
        assert [row["kept_share"] for row in csv.DictReader(file)] == ["0.0", "0.0"]


@pytest.mark.data
def test_photos_and_views_are_weighed_apart(square_set: Path, tmp_path: Path, data_root: Path) -> None:
    torch.manual_seed(0)
    config = EmbedderConfig(size=8, image_size=32, shades=6)
    network = EmbedderNetwork(config)
    network.settle_beside(255 * torch.rand(20, 3, 32, 32))
    save_pretrained(
        tmp_path, "mine", {"embedder": config.model_dump(mode="json")}, {"embedder": export_weights(network)}
    )
    fit = calibrate_shares(tmp_path, square_set, photos=data_root, grid=(0.0, 0.1, 0.6))
    assert fit.photos is not None
    assert fit.photos.queries == (12, 9)
    assert {trial.shades for trial in fit.photos.trials} == {0.1, 0.6}, "what photos do not hold no view could weigh"
    assert {trial.shades for trial in fit.views.trials} == {0.0, 0.1, 0.6}
    stored = EmbedderConfig(**Bundle.from_pretrained(tmp_path).settings("embedder"))
    assert stored.shares[2] == fit.photos.best.shades
    assert stored.view_shares[2] == fit.views.best.shades


def test_an_embedder_with_nothing_beside_is_refused(square_set: Path, tmp_path: Path) -> None:
    network = EmbedderNetwork(EmbedderConfig(size=8, image_size=32))
    save_pretrained(
        tmp_path, "mine", {"embedder": network.config.model_dump(mode="json")}, {"embedder": export_weights(network)}
    )
    with pytest.raises(BadBundle, match="no kept features"):
        calibrate_shares(tmp_path, square_set)
