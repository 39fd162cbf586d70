"""Top-K over photos by hand, per class, failures; twins among photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dprnet.core.errors import BadDataset
from dprnet.core.images import jpeg_bytes, resize
from dprnet.data.labelled import Photo
from dprnet.data.protocols import Protocol
from dprnet.evaluate import leaks, protocols
from dprnet.evaluate.leaks import difference_hash, find_twins
from dprnet.evaluate.protocols import evaluate_protocol, figures_of_vectors, photo_ranks
from dprnet.evaluate.retrieval import item_ranks


def photo(name, label=0, folder="."):
    return Photo(Path(folder) / f"{name}.jpg", None, name.split("_")[0], label, "shop")


GALLERY = (photo("a_0"), photo("a_1"), photo("b_0"), photo("c_0"))
QUERIES = (photo("b_9", 0), photo("c_9", 5), photo("z_9", 5))
PROTOCOL = Protocol("try", QUERIES, GALLERY)
SHOP = np.eye(4, dtype=np.float32)
ASKED = np.array([[0.9, 0.8, 0.5, 0.1], [0.1, 0.2, 0.3, 0.9], [0.4, 0.3, 0.2, 0.1]], np.float32)


@pytest.mark.parametrize("block", [1, 2, 1024])
def test_photos_are_counted_not_items(monkeypatch, block):
    monkeypatch.setattr(protocols, "BLOCK", block)
    found = figures_of_vectors(ASKED, SHOP, PROTOCOL, ks=(1, 2, 3))
    # b: two photos of a come before it; c first; z is not in the gallery
    assert [round(found.top[k].value, 4) for k in (1, 2, 3)] == [0.3333, 0.3333, 0.6667]
    assert (found.queries, found.gallery_photos) == (3, 4)
    assert set(found.per_class) == {"top", "dress"}
    assert found.per_class["top"][3].value == 1.0
    assert found.per_class["dress"][1].value == 0.5
    assert [(one.query, one.found, one.rank) for one in found.hardest] == [
        ("z_9.jpg", "a_0.jpg", 0), ("b_9.jpg", "a_0.jpg", 3),
    ]  # fmt: skip
    assert found.hardest[1].margin == pytest.approx(0.4)


def test_the_rank_of_an_item_is_never_worse():
    rng = np.random.default_rng(0)
    similarity = rng.integers(0, 6, (40, 12)).astype(float)
    owner, wanted = np.repeat(np.arange(4), 3), rng.integers(-1, 4, 40)
    by_photo, by_item = photo_ranks(similarity, owner, wanted), item_ranks(similarity, owner, wanted)
    assert (by_item <= by_photo).all()
    assert np.isinf(by_photo[wanted < 0]).all()


def test_ties_count_against():
    assert photo_ranks(np.ones((1, 3)), np.array([0, 1, 2]), np.array([1])).tolist() == [3]


def test_a_photo_that_asks_twice_is_described_once(tmp_path):
    names = {"a_0": (250, 0, 0), "b_0": (0, 250, 0), "a_9": (200, 0, 0)}
    for name, colour in names.items():
        (tmp_path / f"{name}.jpg").write_bytes(jpeg_bytes(np.full((10, 8, 3), colour, np.uint8)))
    described = []

    def mean_colour(images):
        taken = [image.mean(axis=(0, 1)) for image in images]
        described.append(len(taken))
        return np.stack([one / np.linalg.norm(one) for one in taken]).astype(np.float32)

    asked = photo("a_9", folder=tmp_path)
    found = evaluate_protocol(
        mean_colour, Protocol("t", (asked, asked), (photo("a_0", folder=tmp_path), photo("b_0", folder=tmp_path)))
    )
    assert (described, found.queries, found.top[1].value, found.hardest) == ([3], 2, 1.0, ())
    with pytest.raises(BadDataset, match="0 queries"):
        evaluate_protocol(mean_colour, Protocol("t", (), (asked,)))


def picture(seed):
    rng = np.random.default_rng(seed)
    return resize(rng.integers(0, 256, (7, 7, 3), np.uint8), 90, 120)


def test_twins_in_two_splits_or_under_two_items_are_found(tmp_path):
    def put(name, image, quality=90):
        (tmp_path / f"{name}.jpg").write_bytes(jpeg_bytes(image, quality))
        return photo(name, folder=tmp_path)

    train = [put("a_1", picture(1)), put("b_1", picture(2)), put("d_1", np.full((40, 40, 3), 255, np.uint8))]
    again = put("e_1", picture(2))  # the same bytes under another item
    test = [
        put("c_1", resize(picture(1), 60, 80), 60),
        put("x_1", picture(3)),
        put("w_1", np.full((9, 9, 3), 255, np.uint8)),
    ]
    found = find_twins({"train": [*train, again], "test": [*test, photo("gone_1", folder=tmp_path)]})
    assert [(twin.first.stem, twin.second.stem, twin.kind, twin.leak) for twin in found] == [
        ("a_1", "c_1", "near", True), ("b_1", "e_1", "equal", False),
    ]  # fmt: skip
    assert found[1].items == ("b", "e")
    assert find_twins({}) == []


def test_the_hash_outlives_size_and_quality_and_not_a_mirror():
    image = picture(5)
    apart = [
        np.unpackbits(difference_hash(image) ^ difference_hash(other)).sum()
        for other in (resize(image, 45, 60), image[:, ::-1].copy())
    ]
    assert apart[0] <= 3 < 15 < apart[1]


def test_near_pictures_are_those_of_the_brute_force():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 256, (60, 8), dtype=np.uint8)
    for row in range(30, 60):  # copies of the first half in which up to five bits were turned
        bits = np.unpackbits(hashes[row - 30])
        bits[rng.choice(64, row % 6, replace=False)] ^= 1
        hashes[row] = np.packbits(bits)
    hashes[7] = 0  # shows nothing, and so do not count
    hashes[8] = 0
    apart = np.unpackbits(hashes[:, None] ^ hashes[None], axis=2).sum(axis=2)
    ones = np.unpackbits(hashes, axis=1).sum(axis=1)
    wanted = [
        (i, j)
        for i in range(60)
        for j in range(i + 1, 60)
        if apart[i, j] <= leaks.NEAR and ((ones[[i, j]] >= leaks.PLAIN) & (ones[[i, j]] <= 64 - leaks.PLAIN)).all()
    ]
    assert leaks._near(hashes) == wanted
    assert 15 <= len(wanted) <= 25
    assert leaks._near(hashes[:0]) == []
