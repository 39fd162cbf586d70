"""Photos become vectors beside one another: the same ones as one by one, in the order of their items."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dprnet.core.bundle import Bundle
from dprnet.core.images import jpeg_bytes, read_image, shrink
from dprnet.embed.embedder import Embedder
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork
from dprnet.gallery import Item
from dprnet.pipeline.photos import THUMBNAIL_SIDE, Asked, PhotosHere
from dprnet.pipeline.storing import CHUNK, MOST, SHARE, Pace


@pytest.fixture(scope="module")
def embedder(random_bundle: Path) -> Embedder:
    return Embedder.from_bundle(Bundle.from_pretrained(random_bundle))


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """Forty items of one to three photos, of many sizes; every tenth photo is broken, and all of the last item."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(40):
        paths = []
        for place in range(1 + number % 3):
            path = tmp_path / f"{number}-{place}.jpg"
            width, height = rng.integers(40, 700, 2)
            pixels = rng.integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((int(width), int(height))).save(path, quality=90)
            if (number + place) % 10 == 9 or number == 39:
                path.write_bytes(path.read_bytes()[:100])
            paths.append(path)
        made.append(Item(str(number), tuple(paths)))
    return made


def test_vectors_are_those_of_whole_photos(items: list[Item], embedder: Embedder) -> None:
    answers = list(PhotosHere(embedder)([Asked(item) for item in items]))
    assert [answer.item for answer in answers] == items
    whole = [photo for answer in answers for photo in answer.photos]
    assert 40 < len(whole) < 80
    expected = embedder(read_image(photo.path).image for photo in whole)
    found = np.array([photo.vector for photo in whole])
    assert np.abs(found - expected).max() < 1e-4
    assert len({photo.content for photo in whole}) == len(whole)


def test_what_is_broken_is_told_with_its_item(items: list[Item], embedder: Embedder) -> None:
    answers = list(PhotosHere(embedder)([Asked(item) for item in items]))
    told = [(str(answer.item.item_id), problem.where) for answer in answers for problem in answer.problems]
    assert ("8", str(items[8].images[1])) in told
    assert told[-2:] == [("39", str(items[39].images[0])), ("39", "39")]
    assert answers[39].photos == ()
    assert all(
        len(answer.photos) + len(answer.problems) == len(answer.item.images) for answer in answers if answer.photos
    )


@pytest.mark.parametrize("fit", ["letterbox", "squash"])
@pytest.mark.parametrize("side", [64, 224])
def test_thumbnails_show_the_photo(items: list[Item], fit: str, side: int) -> None:
    """Also those that are taken from what the network looks at."""
    embedder = Embedder(EmbedderNetwork(EmbedderConfig(size=8, image_size=side, fit=fit)), "made@1")
    for answer in PhotosHere(embedder)([Asked(item) for item in items[:6]]):
        for photo in answer.photos:
            small = np.asarray(Image.open(io.BytesIO(photo.thumbnail)))
            image = read_image(photo.path).image
            wanted = shrink(
                image, THUMBNAIL_SIDE if max(image.shape) < 224 or (side, fit) != (224, "letterbox") else 224
            )
            assert small.shape == wanted.shape
            plain = np.asarray(Image.open(io.BytesIO(jpeg_bytes(wanted, 80))))
            assert np.abs(small.astype(int) - plain).mean() < 1


def test_known_photos_go_through_without_a_vector(items: list[Item], embedder: Embedder) -> None:
    maker = PhotosHere(embedder)
    first = {answer.item.item_id: answer for answer in maker([Asked(item) for item in items])}
    known = [Asked(item, {photo.content for photo in first[item.item_id].photos}) for item in items]
    assert not [p for answer in maker(known) for p in answer.photos if p.vector is not None or p.thumbnail]
    known[20] = Asked(items[20])
    again = [p for answer in maker(known) for p in answer.photos if p.vector is not None]
    assert [photo.path for photo in again] == [photo.path for photo in first["20"].photos]


def test_a_run_that_is_left_ends_its_threads(items: list[Item], embedder: Embedder) -> None:
    import threading

    before = threading.active_count()
    answers = PhotosHere(embedder)([Asked(item) for item in items])
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_commits_grow_where_they_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: a commit of 2 s may come every 40 s at most, or when MOST items wait."""
    now = [100.0]
    monkeypatch.setattr("dprnet.pipeline.storing.time.monotonic", lambda: now[0])
    pace = Pace()
    assert [pace.due(count) for count in (0, 1, CHUNK, CHUNK + 1, 2 * CHUNK)] == [False, False, True, False, True]
    with pace.writing():
        now[0] += 2.0
    now[0] = 102.0 + 2.0 * SHARE - 1
    assert [pace.due(count) for count in (CHUNK, 2 * CHUNK, MOST)] == [False, False, True]
    now[0] += 1
    assert pace.due(3 * CHUNK)
