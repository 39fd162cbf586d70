"""Truth against masks that can be worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("skia")

from dprnet.data.world.figure import Body
from dprnet.data.world.garments import CLASSES, Garment, draw_garment
from dprnet.data.world.paints import fill
from dprnet.data.world.scene import Scene
from dprnet.data.world.seeds import rng_of
from dprnet.data.world.shapes import Light, Piece, polygon
from dprnet.data.world.staging import Actor, Beat, Finish, SceneSpec, Shot
from dprnet.data.world.truth import View, look, mask, measure
from dprnet.data.world.worn import landmark_names

WIDTH, HEIGHT = 300, 400


def dress() -> Garment:
    return replace(draw_garment("hand", kind="sling dress"), flare=1.0, length=0.3)


def spec(x: float = 0.0, yaw: float = 0.0, garments: tuple[Garment, ...] = (), action: str = "stand") -> SceneSpec:
    """One person of 320 pixels, in the middle of the frame when x is 0."""
    body = replace(Body.draw(rng_of("hand")), hair_style="bald", size=1.0)
    actor = Actor(body, garments or (dress(),), 0, (Beat(0.0, action, x, yaw),), False, "", 1.0, 4)
    shot = Shot(0.0, (0.8, 0.8), (0.5, 0.5), (0.0, 0.0))
    return SceneSpec("hand", WIDTH, HEIGHT, 1.0, (actor,), (shot,), 5, Light(), Finish())


def views(scene: Scene, cover: tuple[float, float, float, float] | None = None) -> list[View]:
    pieces, worn = scene.pieces(0.0)
    if cover is not None:
        x1, y1, x2, y2 = cover
        pieces.append(Piece(polygon([(x1, y1), (x2, y1), (x2, y2), (x1, y2)]), fill((0.5, 0.5, 0.5))))
    return measure(pieces, worn, WIDTH, HEIGHT)


def test_a_garment_seen_whole() -> None:
    (view,) = views(Scene(spec(action="up")))
    assert view.cut_off == 0
    assert view.occluded < 0.03
    assert (view.viewpoint, view.occlusion, view.crop, view.scant) == (0, 0, 0, False)
    assert abs((view.box_xyxy[0] + view.box_xyxy[2]) / 2 - WIDTH / 2) < 8
    assert set(view.landmarks[2::3]) <= {1.0, 2.0}
    assert view.landmarks[2::3].count(2.0) >= 5


def test_half_outside_is_cut_off_by_half() -> None:
    # The person's middle stands on the left edge of the frame.
    (view,) = views(Scene(spec(x=-WIDTH / 2 / 320, action="up")))
    assert view.cut_off == pytest.approx(0.5, abs=0.04)
    assert view.crop == 1
    assert view.occluded < 0.05
    assert view.box_xyxy[0] == 0
    names = landmark_names(dress())
    outside = [view.landmarks[3 * k + 2] == 0 for k, name in enumerate(names) if name.endswith("_left")]
    assert sum(outside) >= 3
    for k in range(len(names)):
        x, y, v = view.landmarks[3 * k : 3 * k + 3]
        assert (v == 0) == (not (0 <= x < WIDTH and 0 <= y < HEIGHT))


def test_half_covered_is_occluded_by_half() -> None:
    scene = Scene(spec(action="up"))
    (free,) = views(scene)
    x1, _, x2, _ = free.box_xyxy
    (view,) = views(scene, cover=((x1 + x2) / 2, 0, WIDTH, HEIGHT))
    assert view.occluded == pytest.approx(0.5, abs=0.05)
    assert view.cut_off == 0
    assert view.occlusion in {1, 2}
    assert view.box_xyxy[2] == pytest.approx((x1 + x2) / 2, abs=1.5)
    names = landmark_names(dress())
    assert view.landmarks[3 * names.index("hem_right") + 2] == 1
    assert view.landmarks[3 * names.index("hem_left") + 2] == 2


def test_the_box_is_the_extent_of_the_mask() -> None:
    pieces, worn = Scene(spec()).pieces(0.0)
    rows, columns = np.nonzero(mask(pieces, WIDTH, HEIGHT) == 1)
    (view,) = measure(pieces, worn, WIDTH, HEIGHT)
    assert view.box_xyxy == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


@pytest.mark.parametrize(("degrees", "viewpoint"), [(0, 0), (40, 0), (-40, 0), (60, 1), (90, 1), (180, 1), (-120, 1)])
def test_viewpoint_follows_the_turn(degrees: float, viewpoint: int) -> None:
    (view,) = views(Scene(spec(yaw=math.radians(degrees))))
    assert view.viewpoint == viewpoint


def test_a_coat_covers_what_is_under_it() -> None:
    coat = replace(draw_garment("coat", kind="long sleeve outwear"), front="closed", length=0.4)
    below, over = views(Scene(spec(garments=(dress(), coat))))
    assert 0.5 < below.occluded < 0.95
    assert over.occluded < 0.2
    # What shows of the dress begins where the coat ends.
    assert below.box_xyxy[1] > over.box_xyxy[3] - 15


def test_nothing_is_said_of_who_is_not_in_the_picture() -> None:
    assert views(Scene(spec(x=3.0))) == []
    (free,) = views(Scene(spec(action="up")))
    (view,) = views(Scene(spec(action="up")), cover=(0, 0, WIDTH, free.box_xyxy[3] - 4))
    assert view.scant
    assert views(Scene(spec(action="up")), cover=(0, 0, WIDTH, HEIGHT)) == []


@pytest.mark.parametrize("kind", list(CLASSES))
def test_every_class_is_drawn_from_every_side(kind: str) -> None:
    garment = draw_garment("sides", kind, kind=kind)
    for degrees in (0, 90, 180):
        image, (view,) = look(Scene(spec(yaw=math.radians(degrees), garments=(garment,))), 0.0)
        assert image.shape == (HEIGHT, WIDTH, 3)
        assert view.cut_off == 0
        assert len(view.landmarks) == 3 * len(landmark_names(garment))
        x1, y1, x2, y2 = view.box_xyxy
        assert x2 - x1 > 20
        assert y2 - y1 > 20
