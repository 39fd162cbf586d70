"""The retrieval protocol of DeepFashion2, by hand."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from dprnet.core.errors import BadDataset
from dprnet.core.records import Detections
from dprnet.data.deepfashion2 import DeepFashion2
from dprnet.evaluate.deepfashion2 import answers, evaluate_deepfashion2, ranks


def colour(images):
    """Mean colour as a vector: in the small set each garment has its own."""
    rows = [np.asarray(image, np.float64).reshape(-1, 3).mean(axis=0) - 128 for image in images]
    return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def seen(boxes, labels, scores, index=0):
    n = len(boxes)
    thirds = np.full((n, 3), 1 / 3, np.float32)
    return Detections(
        np.array(boxes, np.float32).reshape(n, 4), np.array(labels, np.int64), np.array(scores, np.float32),
        thirds, thirds, np.full((n, 2), 0.5, np.float32), np.zeros((n, 2), np.float32), np.full(n, index),
        np.zeros(n, np.float32), np.zeros(n, np.int64),
    )  # fmt: skip


def test_true_boxes_of_the_small_set(deepfashion2):
    figures = evaluate_deepfashion2(DeepFashion2(deepfashion2, "validation"), colour)
    assert (figures.queries, figures.answered, figures.gallery, figures.boxes) == (4, 4, 4, "true")
    assert figures.recall[1].value == 1.0


def test_a_missed_query_counts(deepfashion2):
    """The detector finds the garment of three of the four users; on shop photos also a box on nothing."""
    images = DeepFashion2(deepfashion2, "validation")

    def detector(frames):
        for frame in frames:
            truth = images[frame.index].truth
            if frame.index == 0:
                yield seen([], [], [])
            else:
                yield seen([truth.boxes_xyxy[0] + 1, [0, 60, 10, 95]], [truth.labels[0], 0], [0.9, 0.8])

    figures = evaluate_deepfashion2(images, colour, detector)
    assert (figures.queries, figures.answered, figures.gallery) == (4, 3, 8)
    assert figures.recall[1].value == figures.recall[20].value == 0.75


def test_a_garment_of_the_wrong_class_does_not_answer(deepfashion2):
    truth = DeepFashion2(deepfashion2, "validation")[0].truth
    first, second = truth.boxes_xyxy
    boxes, labels = [first, first + 2, second, [0, 0, 5, 5]], [1, 0, 2, 2]
    assert answers(seen(boxes, labels, [0.9, 0.5, 0.4, 0.99]), truth).tolist() == [1, 2]
    assert answers(seen([first, first + 1], [0, 0], [0.5, 0.9]), truth).tolist() == [1, -1]  # the surer one
    assert answers(seen([], [], []), truth).tolist() == [-1, -1]


def test_places_in_the_ranking():
    gallery = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    query = np.array([[1, 0]] * 3, np.float32)
    found = ranks(query, np.array([5, 6, 9]), gallery, np.array([-1, 5, 6]))
    assert found[:2].tolist() == [2, 3]
    assert found[2] > 10**9  # nothing shows it


def test_a_set_without_shops_is_refused(deepfashion2, tmp_path):
    shutil.copytree(deepfashion2, tmp_path / "set")
    for path in (tmp_path / "set" / "train" / "annos").glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"source": "user"}))
    with pytest.raises(BadDataset, match="8 queries, 0 boxes of shops"):
        evaluate_deepfashion2(DeepFashion2(tmp_path / "set"), colour)
