from pathlib import Path

import numpy as np
import pytest

from dprnet.core.errors import BadDataset, MissingFile
from dprnet.core.records import Truth
from dprnet.data.labelled import LabelledImage
from dprnet.data.pseudo import ccp_viewpoints, movenet, viewpoint_of, with_guessed_viewpoints
from dprnet.evaluate.detection import evaluate_detection


def person(width: float, *, face: float = 1.0, hips: float | None = None, score: float = 1.0) -> np.ndarray:
    """Key points of a trunk 0.3 high whose left shoulder lies ``width`` trunks to the right of the right one."""
    points = np.zeros((17, 3), np.float32)
    points[:, 2] = score
    points[:5, 2] = face
    points[[5, 6], 0], points[[11, 12], 0] = 0.3, 0.6
    points[[5, 6], 1] = 0.5 + 0.15 * width, 0.5 - 0.15 * width
    at = 0.1 * np.sign(width) if hips is None else hips
    points[[11, 12], 1] = 0.5 + at, 0.5 - at
    return points


@pytest.mark.parametrize(
    ("points", "viewpoint"),
    [
        (person(0.6), 0),
        (person(0.6, face=0.1), -1),  # broad, but nobody looks at us
        (person(0.6, hips=-0.1), -1),  # shoulders and hips disagree
        (person(-0.6), 1),
        (person(0.1), 1),
        (person(0.28), -1),
        (person(0.6, score=0.2), -1),
    ],
)
def test_viewpoint_from_key_points(points: np.ndarray, viewpoint: int) -> None:
    assert viewpoint_of(points) == viewpoint


def test_stored_guesses_fill_viewpoints_only() -> None:
    key, guess = next(iter(ccp_viewpoints().items()))
    none = np.full(2, -1)
    boxes = np.array([[0, 0, 9, 9]] * 2, np.float32)
    truth = Truth(boxes, np.array([0, 2]), none, np.array([1, 0]), none, none, np.zeros((0, 4), np.float32))
    seen, unknown = with_guessed_viewpoints(
        [LabelledImage(Path(f"photos/{name}.jpg"), truth, "ccp") for name in (key, "9999")]
    )
    assert seen.truth.viewpoint.tolist() == [guess, guess]
    assert seen.truth.occlusion.tolist() == [1, 0]
    assert unknown.truth.viewpoint.tolist() == [-1, -1]
    assert set(ccp_viewpoints().values()) == {0, 1}
    assert seen.guessed == {"viewpoint": 1.0}  # a guess is marked as one


def test_nothing_is_measured_by_guesses() -> None:
    none = np.full(1, -1)
    truth = Truth(np.array([[0, 0, 9, 9]], np.float32), none + 1, none, none, none, none, np.zeros((0, 4), np.float32))
    guesses = with_guessed_viewpoints([LabelledImage(Path("photos/0001.jpg"), truth, "ccp")])
    with pytest.raises(BadDataset, match=r"0001.jpg: its labels \(viewpoint\) were guessed"):
        evaluate_detection(None, guesses)  # type: ignore[arg-type]  # refused before any detector is asked


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"movenet\.tflite: no such weights"):
        movenet(tmp_path / "movenet.tflite")
