"""SEAM and AsymNet: their arithmetic by hand, and that they learn what only they can learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from dprnet.core.errors import BadDataset
from dprnet.core.records import FloatArray
from dprnet.evaluate.asymnet import AsymNet, AsymNetConfig, asymnet_method, leaf_loss, mixture_loss, train_asymnet
from dprnet.evaluate.baselines import Views, average_vector, rank
from dprnet.evaluate.seam import Seam, SeamConfig, seam_loss, seam_method, train_seam
from dprnet.evaluate.shelf import Shelf
from dprnet.evaluate.tracklets import Batch, Tracklet, batches, resampled, tracklets_of
from dprnet.evaluate.trained import trained_methods

SIZE = 8


def unit(values: Any) -> FloatArray:
    table = np.asarray(values, np.float32)
    made: FloatArray = table / np.linalg.norm(table, axis=-1, keepdims=True)
    return made


def noisy(garments: int, seed: int, views: int = 6) -> tuple[list[Tracklet], list[int]]:
    """Garments one in three of whose views are good; bad views all look alike and carry a mark (last number)."""
    rng = np.random.default_rng(seed)
    made, items = [], []
    for number in range(garments):
        look = rng.normal(size=SIZE - 1)
        good = rng.random(views) < 0.34
        good[rng.integers(views)] = True
        frames = np.zeros((views, SIZE))
        frames[good, :-1] = look + 0.1 * rng.normal(size=(int(good.sum()), SIZE - 1))
        frames[~good, :-1] = 0.5 * look + 2.5 * rng.normal(size=(int((~good).sum()), SIZE - 1))
        frames[~good, -1] = 4
        photo = np.append(look, 0)[None]
        made.append(Tracklet(unit(frames), f"item{number:03d}", unit(photo)))
        items.append(number)
    return made, items


def shelf_of(tracklets: list[Tracklet]) -> Shelf:
    photos = np.concatenate([one.photos for one in tracklets])
    return Shelf(tuple(one.item for one in tracklets), photos, np.arange(len(tracklets)))


def views_of(tracklet: Tracklet, shelf: Shelf) -> Views:
    n = len(tracklet.vectors)
    return Views(
        tracklet.vectors, np.ones(n, np.float32), np.ones(n, np.float32), 0, np.zeros((0, SIZE), np.float32), shelf
    )


def test_untrained_seam_is_the_mean_vector() -> None:
    tracklets, _ = noisy(5, seed=0)
    shelf = shelf_of(tracklets)
    method = seam_method(Seam(SIZE, SeamConfig(inner=4)).eval())
    for one in tracklets:
        views = views_of(one, shelf)
        np.testing.assert_allclose(method(views), average_vector(views), atol=1e-5)


def test_seam_loss_leaves_other_photos_of_the_same_item_out() -> None:
    network = Seam(2, SeamConfig(inner=2))
    frames = torch.eye(2).repeat_interleave(2, 0).view(2, 2, 2)  # both views of a garment alike
    photos = torch.eye(2)
    apart = Batch(frames, photos, torch.eye(2, dtype=torch.bool))
    wanted = -torch.log(torch.softmax(torch.tensor([1.0, 0.0]) / 0.5, 0)[0])
    assert float(seam_loss(network, apart, 0.5).detach()) == pytest.approx(float(wanted))
    alone = Batch(frames, photos, torch.ones(2, 2, dtype=torch.bool))
    assert float(seam_loss(network, alone, 0.5).detach()) == pytest.approx(0.0)


def test_seam_learns_to_look_away_from_bad_views() -> None:
    tracklets, _ = noisy(60, seed=1)
    fresh, _ = noisy(25, seed=2)
    shelf = shelf_of(fresh)
    method = seam_method(train_seam(tracklets, SeamConfig(inner=4, epochs=40, learning_rate=0.02, frames=6), seed=0))
    ranks = np.array([[rank(m(views_of(one, shelf)), [number]) for number, one in enumerate(fresh)]
                      for m in (method, average_vector)])  # fmt: skip
    seam, mean = (ranks == 1).mean(axis=1)
    assert seam >= mean + 0.05


def test_the_tree_by_hand() -> None:
    network = AsymNet(SIZE, AsymNetConfig(frames=4, hidden=4))
    odds = torch.tensor([[[0.0, 2.0, -1.0, 1.0]]])
    gates = torch.tensor([[[[0.0, 1.0], [np.log(3.0), 3.0], [0.0, 0.0], [0.0, 0.0]]]], dtype=torch.float32)
    y = torch.sigmoid(odds.double())[0, 0]
    left, right = 0.25 * y[0] + 0.75 * y[1], 0.5 * y[2] + 0.5 * y[3]
    upper = torch.softmax(torch.tensor([2.0, 0.0], dtype=torch.float64), 0)  # means of 1, 3 and of 0, 0
    assert float(network.mixed(odds, gates)[0, 0].detach()) == pytest.approx(
        float(upper[0] * left + upper[1] * right), abs=1e-6
    )


def test_pairs_are_what_a_concatenation_gives() -> None:
    torch.manual_seed(0)
    network = AsymNet(SIZE, AsymNetConfig(frames=8, hidden=5)).eval()
    torch.nn.init.normal_(network.gates)
    frames, photos = torch.randn(2, 8, SIZE), torch.randn(3, SIZE)
    found = network(frames, photos)
    assert found.shape == (2, 3)
    states = network.lstm(frames)[0]
    weight = torch.cat([network.of_photo.weight, network.of_frame.weight], dim=1)
    for garment in range(2):
        for photo in range(3):
            leaf = []
            for state in states[garment]:
                x = functional.relu(weight @ torch.cat([photos[photo], state]) + network.of_photo.bias)
                leaf.append(network.norm(x[None])[0])
            level, value = torch.stack(leaf), torch.sigmoid(network.similarity(torch.stack(leaf)))[:, 0]
            for v in network.gates:
                weights = torch.softmax((level @ v).view(-1, 2), dim=1)
                value = (weights * value.view(-1, 2)).sum(dim=1)
                level = level.view(-1, 2, level.shape[1]).mean(dim=1)
            assert float(found[garment, photo].detach()) == pytest.approx(float(value[0].detach()), abs=1e-5)


def test_losses_of_asymnet_by_hand() -> None:
    network = AsymNet(SIZE, AsymNetConfig(frames=2, hidden=4, negative_weight=0.5))
    for parameter in (network.similarity.weight, network.similarity.bias):
        torch.nn.init.zeros_(parameter)  # every leaf says one half
    batch = Batch(torch.randn(2, 2, SIZE), torch.randn(2, SIZE), torch.eye(2, dtype=torch.bool))
    wanted = np.log(2) * (2 * 1 + 2 * 0.5) / 4
    assert float(leaf_loss(network, batch).detach()) == pytest.approx(wanted, abs=1e-6)
    assert float(mixture_loss(network, batch).detach()) == pytest.approx(wanted, abs=1e-6)


def test_asymnet_learns_a_small_set() -> None:
    tracklets, _ = noisy(12, seed=3)
    shelf = shelf_of(tracklets)
    config = AsymNetConfig(hidden=32, epochs=90, batch=12, learning_rate=5e-3)
    method = asymnet_method(train_asymnet(tracklets, config, seed=0))
    ranks = [rank(method(views_of(one, shelf)), [number]) for number, one in enumerate(tracklets)]
    assert np.mean(np.array(ranks) == 1) >= 0.75  # chance is 1 in 12


def test_a_gallery_of_several_blocks_is_compared_whole() -> None:
    torch.manual_seed(0)
    network = AsymNet(SIZE, AsymNetConfig(hidden=4)).eval()
    tracklets, _ = noisy(1, seed=0)
    photos = unit(np.random.default_rng(0).normal(size=(1300, SIZE)))
    views = views_of(tracklets[0], Shelf(tuple(f"{n:04d}" for n in range(650)), photos, np.arange(650) * 2))
    with torch.inference_mode():
        frames = torch.from_numpy(resampled(tracklets[0].vectors, 8))[None]
        each = network(frames, torch.from_numpy(photos))[0].numpy()
    np.testing.assert_allclose(asymnet_method(network)(views)[0], each.reshape(650, 2).max(axis=1), atol=1e-6)


def test_frames_make_a_binary_tree() -> None:
    with pytest.raises(ValueError, match="binary tree"):
        AsymNetConfig(frames=6)


def test_batches_hold_every_garment_once_and_know_equal_items() -> None:
    tracklets, _ = noisy(7, seed=0)
    twice = [*tracklets, Tracklet(tracklets[0].vectors, tracklets[0].item, tracklets[0].photos)]
    found = list(batches(twice, 4, 5, np.random.default_rng(0)))
    assert [len(batch.photos) for batch in found] == [4, 4]
    assert all(batch.frames.shape == (4, 5, SIZE) for batch in found)
    assert all(bool(batch.same.diagonal().all()) for batch in found)
    together = torch.cat([batch.photos for batch in found])
    for one in twice:
        assert int((together == torch.from_numpy(one.photos[0])).all(dim=1).sum()) == (
            2 if one.item == "item000" else 1
        )
    assert [len(batch.photos) for batch in batches(tracklets[:5], 4, 5, np.random.default_rng(0))] == [4]


def test_training_is_the_same_again_and_kept(tmp_path: Path) -> None:
    tracklets, _ = noisy(6, seed=0)
    views = views_of(tracklets[0], shelf_of(tracklets))

    def scores(cache: Path | None) -> dict[str, list[FloatArray]]:
        made = trained_methods(tracklets, key={"set": "a"}, seeds=2, epochs=3, cache=cache)
        return {name: [method(views) for method in seeds] for name, seeds in made.items()}

    fresh, first, kept = scores(None), scores(tmp_path), scores(tmp_path)
    assert fresh.keys() == {"SEAM", "AsymNet"}
    for name in fresh:
        assert len(fresh[name]) == 2
        assert not np.allclose(fresh[name][0], fresh[name][1])
        np.testing.assert_array_equal(fresh[name], first[name])
        np.testing.assert_array_equal(first[name], kept[name])
    damaged = next(tmp_path.rglob("*.safetensors"))
    damaged.write_bytes(b"damaged")
    for name, values in scores(tmp_path).items():
        np.testing.assert_array_equal(values, first[name])


def test_too_little_to_learn_from() -> None:
    tracklets, _ = noisy(1, seed=0)
    for train in (lambda: train_seam(tracklets, SeamConfig(), 0), lambda: train_asymnet(tracklets, AsymNetConfig(), 0),
                  lambda: trained_methods(tracklets, key={}, seeds=1, epochs=1)):  # fmt: skip
        with pytest.raises(BadDataset):
            train()


def test_tracklets_are_our_clusters_with_their_items(seen: Any) -> None:
    from dprnet.pick import PickConfig

    video = seen(seed=0, false=0)
    shelf = Shelf(("item0-0", "item0-1", "item0-2"), np.eye(4, dtype=np.float32), np.array([0, 2, 3]))
    frames = {"video0": np.unique(video.detections.frame_index)}

    def vectors(name: str, frame_index: Any, boxes: Any) -> FloatArray:
        return np.stack([frame_index, boxes[:, 0], boxes[:, 1], boxes[:, 2]], axis=1).astype(np.float32)

    found = tracklets_of([video], frames, vectors, shelf, PickConfig(cut_distance=0.3))  # type: ignore[arg-type]
    assert sorted(one.item for one in found) == ["item0-0", "item0-1", "item0-2"]  # the fourth is not sold
    first = next(one for one in found if one.item == "item0-0")
    assert len(first.photos) == 2
    assert (np.diff(first.vectors[:, 0]) > 0).all()


def test_tracklets_of_single_frames(tmp_path: Path) -> None:
    from dprnet.core.progress import SILENT
    from dprnet.data.shopset import ShopSetWriter
    from dprnet.evaluate.tracklets import tracklets_of_stills

    writer = ShopSetWriter(tmp_path, {"name": "s", "split": "train"})
    for frame in range(3):
        image = np.zeros((40, 60, 3), np.uint8)
        image[:, :30], image[:, 30:] = (50 * (frame + 1), 0, 0), (0, 0, 200)
        writer.add_still("a", frame, image, quality=95)
        writer.add_view("a", frame, 1, (2, 2, 28, 38), viewpoint=0)
        writer.add_view("a", frame, 2, (32, 2, 58, 38), viewpoint=0)
    writer.add_instance("a", 1, 0, "A1")
    writer.add_instance("a", 2, 0, None)
    shopset = writer.finish()

    class Colours:
        identity, size = "c", 3

        def __call__(self, images: Any) -> FloatArray:
            return np.stack([image.reshape(-1, 3).mean(axis=0) for image in images]).astype(np.float32)

    shelf = Shelf(("A1", "A2"), np.eye(3, dtype=np.float32), np.array([0, 2]))
    (found,) = tracklets_of_stills(shopset.stills(), {1: "A1"}, Colours(), shelf, SILENT)
    assert found.item == "A1"
    assert len(found.photos) == 2
    np.testing.assert_allclose(found.vectors[:, 0], [50, 100, 150], atol=4)
