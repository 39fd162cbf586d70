"""Viewpoints that nobody labelled, guessed from body key points: for training only, never for measuring.

MoveNet (single pose) finds 17 key points of the person; who faces the camera has the left shoulder and hip to the
image's right. Only clear cases are labelled. The guesses for ``ccp`` are kept as a file in the package
(``fixed_splits/ccp_viewpoint.csv``), so that training needs no key point network; :func:`guess_ccp` made them.
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from dprnet.core.classes import UNLABELLED
from dprnet.core.errors import MissingExtra, MissingFile
from dprnet.core.images import letterbox, read_image
from dprnet.core.records import FloatArray, Image
from dprnet.data import ccp
from dprnet.data.labelled import LabelledImage
from dprnet.data.splits import SPLITS

Keypoints = Callable[[Image], FloatArray]

FACE, SHOULDERS, HIPS = slice(0, 5), (5, 6), (11, 12)  # rows of MoveNet's key points; left before right
SURE = 0.35  # ours: score of a key point that counts
FRONT_WIDTH = 0.35  # ours: distance between the shoulders over the length of the trunk, from which a body faces us
SIDE_WIDTH = 0.2  # ours: and below which it is seen from the side


def viewpoint_of(points: FloatArray) -> int:
    """Index into VIEWPOINTS of a person's key points, (17, 3) as y, x, score; -1 where it is not clear.

    >>> points = np.zeros((17, 3))
    >>> points[:, 2] = 1
    >>> points[[5, 6, 11, 12], 0] = 0.3, 0.3, 0.6, 0.6
    >>> points[[5, 6, 11, 12], 1] = 0.6, 0.4, 0.55, 0.45  # the left side to the image's right
    >>> mirrored = points * [1, -1, 1] + [0, 1, 0]
    >>> mirrored[:5, 2] = 0  # no face
    >>> viewpoint_of(points), viewpoint_of(mirrored)
    (0, 1)
    """
    body = [*SHOULDERS, *HIPS]
    if (points[body, 2] < SURE).any():
        return UNLABELLED
    trunk = abs(points[list(HIPS), 0].mean() - points[list(SHOULDERS), 0].mean())
    width = float(points[5, 1] - points[6, 1]) / max(float(trunk), 1e-6)
    hips = float(points[11, 1] - points[12, 1])
    face = float(np.median(points[FACE, 2]))
    if width >= FRONT_WIDTH and hips > 0 and face >= SURE:
        return 0
    if (width <= -FRONT_WIDTH and hips < 0) or abs(width) <= SIDE_WIDTH:
        return 1
    return UNLABELLED


def movenet(weights: Path | str) -> Keypoints:
    """The key point network as a function, (H, W, 3) -> (17, 3) as y, x (fractions of a square image) and score.

    Raises:
        MissingExtra: no TensorFlow Lite runtime.
        MissingFile: no such weights.
    """
    weights = Path(weights)
    if not weights.is_file():
        raise MissingFile(weights, "no such weights (movenet_single_pose_lightning_ptq.tflite)")
    try:
        runtime = importlib.import_module("ai_edge_litert.interpreter")
    except ModuleNotFoundError:
        raise MissingExtra("ai-edge-litert", "needed to guess viewpoints; pip install ai-edge-litert") from None
    network = runtime.Interpreter(str(weights), num_threads=1)
    network.allocate_tensors()
    given, made = network.get_input_details()[0]["index"], network.get_output_details()[0]["index"]

    def run(image: Image) -> FloatArray:
        network.set_tensor(given, letterbox(image, 192, 0)[None])
        network.invoke()
        return np.asarray(network.get_tensor(made)[0, 0], np.float32)

    return run


def guess_ccp(root: Path | str, weights: Path | str) -> dict[str, int]:
    """Viewpoint of the person of each photo of ``ccp`` where it is clear; photos in doubt are absent.

    Raises:
        MissingExtra, MissingFile: as :func:`movenet`.
        BadDataset: a mask is missing or damaged.
    """
    keypoints = movenet(weights)
    guesses = {}
    for split in SPLITS:
        for photo in ccp.photo_paths(root, split):
            person = ccp.read_mask(ccp.mask_path(photo)) > 0
            if not person.any():  # a mask without labels
                continue
            rows, columns = np.flatnonzero(person.any(axis=1)), np.flatnonzero(person.any(axis=0))
            room = (rows[-1] - rows[0]) // 20
            top, left = max(rows[0] - room, 0), max(columns[0] - room, 0)
            image = read_image(photo).image[top : rows[-1] + room, left : columns[-1] + room]
            viewpoint = viewpoint_of(keypoints(image))
            if viewpoint != UNLABELLED:
                guesses[photo.stem] = viewpoint
    return guesses


@cache
def ccp_viewpoints() -> Mapping[str, int]:
    """The stored guesses: number of the photo -> index into VIEWPOINTS."""
    text = files("dprnet.data").joinpath("fixed_splits", "ccp_viewpoint.csv").read_text(encoding="utf-8")
    return {row["key"]: int(row["viewpoint"]) for row in csv.DictReader(text.splitlines())}


def with_guessed_viewpoints(images: Sequence[LabelledImage], weight: float = 1.0) -> list[LabelledImage]:
    """Photos of ``ccp`` with the guessed viewpoint of the person for every garment; for training only.

    Args:
        images: nobody labelled their viewpoint.
        weight: what a guess counts against a label, 0 to 1; kept with the image (``LabelledImage.guessed``).
    """
    found = []
    for image in images:
        viewpoint = ccp_viewpoints().get(image.path.stem, UNLABELLED)
        labels = np.full(len(image.truth), viewpoint, np.int64)
        guessed = {**image.guessed, "viewpoint": weight}
        found.append(replace(image, truth=replace(image.truth, viewpoint=labels), guessed=guessed))
    return found
