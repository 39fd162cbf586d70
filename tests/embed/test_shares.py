"""Views ask with their own weighing, of photos whose vectors stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dprnet.core.config import parse_settings
from dprnet.core.errors import BadRecipe
from dprnet.embed.embedder import Embedder
from dprnet.embed.model import EmbedderConfig, EmbedderNetwork
from dprnet.embed.shares import as_views

BOTH = {"size": 6, "kept": 4, "kept_share": 0.3, "shades": 3, "shades_share": 0.3}


def parts(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    found = [rng.normal(size=size) for size in (6, 4, 3)]
    return [part / np.linalg.norm(part) for part in found]


def joined(made: list[np.ndarray], shares: tuple[float, ...]) -> np.ndarray:
    return np.concatenate([part * share**0.5 for part, share in zip(made, shares, strict=True)])[None].astype(
        np.float32
    )


@given(st.floats(0, 0.45), st.floats(0, 0.45), st.integers(0, 99))
def test_the_order_is_that_of_the_views_shares(kept: float, shades: float, seed: int) -> None:
    config = EmbedderConfig(**BOTH, view_kept_share=kept, view_shades_share=shades)
    asker, first, second = (parts(seed + k) for k in range(3))
    view = as_views(joined(asker, config.shares), config)
    assert np.linalg.norm(view) == pytest.approx(1, abs=1e-5)
    found = [float((view @ joined(photo, config.shares).T)[0, 0]) for photo in (first, second)]
    wanted = [
        sum(share * float(a @ b) for share, a, b in zip(config.view_shares, asker, photo, strict=True))
        for photo in (first, second)
    ]
    factor = sum(view**2 / photo for view, photo in zip(config.view_shares, config.shares, strict=True)) ** 0.5
    assert np.array(found) * factor == pytest.approx(np.array(wanted), abs=1e-4)


def test_one_weighing_changes_nothing() -> None:
    vectors = joined(parts(0), (0.4, 0.3, 0.3))
    assert as_views(vectors, EmbedderConfig(**BOTH)) is vectors
    assert as_views(vectors, EmbedderConfig(**BOTH, view_kept_share=0.3)) is vectors


def test_what_photos_do_not_hold_cannot_be_asked_for() -> None:
    with pytest.raises(BadRecipe, match="must count between photos too"):
        parse_settings(BOTH | {"shades_share": 0, "view_shades_share": 0.1}, EmbedderConfig, "network")
    with pytest.raises(BadRecipe, match="leave nothing"):
        parse_settings(BOTH | {"view_kept_share": 0.6, "view_shades_share": 0.4}, EmbedderConfig, "network")


def test_an_embedder_sees_views_so() -> None:
    torch.manual_seed(0)
    config = EmbedderConfig(size=8, image_size=32, shades=6, shades_share=0.5, view_shades_share=0.1)
    embedder = Embedder(EmbedderNetwork(config).eval(), "x@0")
    image = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    photo, view = embedder([image]), embedder.views([image])
    assert np.linalg.norm(photo[0, 8:]) == pytest.approx(0.5**0.5, abs=1e-4)
    assert np.linalg.norm(view[0, 8:]) / np.linalg.norm(view[0, :8]) == pytest.approx(0.1 / 0.9, abs=1e-4)
    assert embedder.views([]).shape == (0, 14)
