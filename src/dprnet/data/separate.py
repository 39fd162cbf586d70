"""Garment from ground in one photo, by colour statistics alone: no network, no weights, a few milliseconds.

Two colour histograms, of the ground and of the thing, start from where each surely is (the photo's border, its middle)
and are re-estimated in turns, like GrabCut with a smoothing step instead of the graph cut.
"""

from __future__ import annotations

import numpy as np
from PIL import Image as Pil
from scipy import ndimage

from dprnet.core.records import BoolArray, FloatArray, Image, IntArray

BINS = 20
WORKING_SIDE = 160  # ours: pixels of the longer side while separating; finer adds noise, not edges
ROUNDS = 6


def colour_bins(image: Image) -> IntArray:
    """Bin of each pixel's colour in a space where equal steps look about equal, (H, W, 3) -> (H, W)."""
    rgb = (image.astype(np.float32) / 255) ** 0.8
    light = rgb @ np.array([0.3, 0.59, 0.11], np.float32)
    axes = np.stack([light, 0.5 + 0.9 * (rgb[..., 0] - rgb[..., 1]), 0.5 + 0.7 * (rgb[..., 2] - light)], axis=-1)
    place = np.clip((axes * BINS).astype(np.int64), 0, BINS - 1)
    bins: IntArray = (place[..., 0] * BINS + place[..., 1]) * BINS + place[..., 2]
    return bins


def probability(image: Image, prior: FloatArray, rounds: int = ROUNDS, within: BoolArray | None = None) -> FloatArray:
    """How surely each pixel belongs to the thing, (H, W, 3) and (H, W) -> (H, W) in [0, 1].

    Args:
        image: uint8 RGB.
        prior: what is known beforehand; 0 and 1 are certain and stay.
        rounds: of re-estimation.
        within: (H, W) pixels whose colours count, all unless given.
    """
    bins = colour_bins(image)
    belief = prior.astype(np.float32)
    counted = np.ones(prior.shape, np.float32) if within is None else within.astype(np.float32)
    for _ in range(rounds):
        thing, ground = _density(bins, belief * counted), _density(bins, (1 - belief) * counted)
        ratio = np.clip(thing[bins] / (ground[bins] + 1e-9), 1e-3, 1e3)
        # Neighbours of like colour decide together: the logarithm of the ratio is smoothed, not the belief.
        evidence = ndimage.gaussian_filter(np.log(ratio), 1.2)
        odds = np.clip(prior, 1e-4, 1 - 1e-4)
        belief = 1 / (1 + np.exp(-(evidence * 1.5 + np.log(odds / (1 - odds)))))
        belief = np.where(prior <= 0, 0, np.where(prior >= 1, 1, belief)).astype(np.float32)
    return belief


def _density(bins: IntArray, weights: FloatArray) -> FloatArray:
    counts = np.bincount(bins.ravel(), weights.ravel(), BINS**3).reshape(BINS, BINS, BINS)
    smooth = ndimage.gaussian_filter(counts, 0.8).ravel()
    density: FloatArray = (smooth / max(smooth.sum(), 1e-9) + 1e-6).astype(np.float32)
    return density


def overlap(bins: IntArray, mask: BoolArray) -> float:
    """How alike thing and ground are in colour (Bhattacharyya): 0 nothing in common, 1 the same."""
    if not mask.any() or mask.all():
        return 1.0
    thing, ground = _density(bins, mask.astype(np.float32)), _density(bins, (~mask).astype(np.float32))
    return float(np.sqrt(thing * ground).sum())


def centre_prior(shape: tuple[int, int]) -> FloatArray:
    """A thing laid in the middle: certain ground along the border, more likely thing towards the middle."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    far = np.maximum(np.abs(x / (width - 1) - 0.5), np.abs(y / (height - 1) - 0.5)) * 2
    prior = np.clip(1.05 - far, 0.02, 0.9) ** 0.7
    edge = max(round(0.025 * min(shape)), 1)
    prior[:edge] = prior[-edge:] = prior[:, :edge] = prior[:, -edge:] = 0.1
    made: FloatArray = prior.astype(np.float32)
    return made


def solid(belief: FloatArray, *, holes: bool = True) -> BoolArray:
    """The largest piece above one half, without threads, its holes filled where asked."""
    mask = ndimage.binary_opening(belief > 0.5, iterations=1)
    pieces, count = ndimage.label(mask)
    if not count:
        return np.zeros(belief.shape, bool)
    largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    whole: BoolArray = pieces == largest
    if holes:
        whole = ndimage.binary_fill_holes(ndimage.binary_closing(whole, iterations=1))
    return whole


def shrunk(image: Image, side: int = WORKING_SIDE) -> Image:
    """The image with its longer side at most ``side`` pixels."""
    picture = Pil.fromarray(image)
    picture.thumbnail((side, side), Pil.Resampling.BILINEAR)
    return np.asarray(picture, np.uint8)


def enlarged(mask: BoolArray, shape: tuple[int, int]) -> BoolArray:
    """A mask at another (height, width), its edge smooth."""
    soft = Pil.fromarray((ndimage.gaussian_filter(mask.astype(np.float32), 0.7) * 255).astype(np.uint8))
    return np.asarray(soft.resize((shape[1], shape[0]), Pil.Resampling.BICUBIC)) > 127
