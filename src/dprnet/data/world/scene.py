"""A scene as the camera sees it. A frame is a function of the scene and a time alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import skia

from dprnet.core.records import Image
from dprnet.data.world.backdrop import Backdrop, make_backdrop
from dprnet.data.world.fabric import SIZES, Fabric, make_fabric
from dprnet.data.world.figure import Joints, joints_of
from dprnet.data.world.garments import Garment
from dprnet.data.world.person import Dressed, person_pieces, wear
from dprnet.data.world.props import carried, foreground
from dprnet.data.world.shapes import Piece
from dprnet.data.world.staging import SceneSpec
from dprnet.data.world.worn import Worn

FabricOf = Callable[[Garment, float, int], Fabric]


class FabricCache:
    """Keeps pictures of cloth: making one costs as much as a frame."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Garment, int, int], Fabric] = {}

    def __call__(self, garment: Garment, unit: float, wear: int) -> Fabric:
        """The pictures of a garment, fit for a body ``unit`` pixels high."""
        size = next((s for s in SIZES if s >= unit * 0.85), SIZES[-1])
        key = (garment, size, wear)
        if key not in self._kept:
            if len(self._kept) > 48:
                self._kept.clear()
            self._kept[key] = make_fabric(garment, unit, wear)
        return self._kept[key]


@dataclass
class Scene:
    """A scene that can be looked at: frames at any time, in any order."""

    spec: SceneSpec
    textures: tuple[Path, ...] = ()
    fabrics: FabricCache = field(default_factory=FabricCache)

    def __post_init__(self) -> None:
        self.backdrop: Backdrop = make_backdrop(self.spec.backdrop, self.textures)
        self._grain = _grain_tile(self.spec)

    def camera(self, time: float) -> tuple[float, float, float]:
        """Pixels a body height, and the pixel where x = 0, y = 0 of the scene is."""
        spec = self.spec
        k = max((i for i, shot in enumerate(spec.shots) if shot.start <= time), default=0)
        shot = spec.shots[k]
        end = spec.shots[k + 1].start if k + 1 < len(spec.shots) else spec.seconds
        share = min(1.0, max(0.0, (time - shot.start) / max(0.1, end - shot.start)))
        share = share * share * (3 - 2 * share)
        unit = _mix(shot.size, share) * spec.height
        return unit, spec.width / 2 - _mix(shot.x, share) * unit, spec.height / 2 + _mix(shot.level, share) * unit

    def pieces(self, time: float) -> tuple[list[Piece], list[Worn]]:
        """The painter's list at a time, and the garments by number."""
        unit, left, floor = self.camera(time)
        spec, found, worn = self.spec, [], []
        for garment, x, level in spec.hung:
            hanging, pieces = self._hang(garment, x, level, unit, left, floor)
            worn.append(hanging)
            found += pieces
        for actor in sorted(spec.actors, key=lambda a: a.depth):
            pose, yaw, x = actor.at(time)
            size = unit * actor.depth
            if not -1.0 * size < left + x * unit < spec.width + 1.0 * size:
                continue
            joints = joints_of(actor.body, pose, yaw, (left + x * unit, floor - (1 - actor.depth) * 0.25 * unit), size)
            dressed = [Dressed(g, self.fabrics(g, size, actor.seed), k) for k, g in actor.worn(time)]
            clothes = wear(dressed, actor.body, joints, spec.light, actor.tucked)
            back, front = carried(actor.bag, actor.body, joints, spec.light, actor.seed)
            found += [
                _ground_shade(joints),
                *back,
                *person_pieces(clothes, actor.body, joints, spec.light, actor.tucked),
                *front,
            ]
            worn += clothes
        for kind, place, share, seed in spec.props:
            found += foreground(kind, place * spec.width, spec.height, share * spec.height, seed, spec.light)
        return found, worn

    def _hang(
        self, garment: Garment, x: float, level: float, unit: float, left: float, floor: float
    ) -> tuple[Worn, list[Piece]]:
        from dprnet.data.world.shop import hung_pieces

        owner = self.spec.hung_first + self.spec.hung.index((garment, x, level))
        place = (left + x * unit, floor - level * unit)
        return hung_pieces(garment, self.fabrics(garment, unit, owner), place, unit, owner, self.spec.light)

    def paint(self, time: float, pieces: list[Piece]) -> Image:
        """The picture at a time: uint8 RGB (height, width, 3)."""
        spec = self.spec
        pixels = np.zeros((spec.height, spec.width, 4), np.uint8)
        canvas = skia.Surface(pixels).getCanvas()
        self.backdrop.draw(canvas, *self.camera(time))
        for piece in pieces:
            piece.draw(canvas)
        return self._finished(pixels, time)

    def _finished(self, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], time: float) -> Image:
        finish = self.spec.finish
        if finish.blur > 0.05:
            image = skia.Image.fromarray(pixels, copy=True)
            blur = skia.ImageFilters.Blur(finish.blur, finish.blur, skia.TileMode.kClamp)
            canvas = skia.Surface(pixels).getCanvas()
            canvas.drawImage(image, 0, 0, skia.SamplingOptions(), skia.Paint(ImageFilter=blur))
        grey = np.linspace(0, 1, 256)
        rgb = np.empty((*pixels.shape[:2], 3), np.uint8)
        for channel, gain in enumerate(finish.gain):
            table = np.clip((grey**finish.gamma) * gain * 255, 0, 255).astype(np.uint8)
            rgb[..., channel] = table[pixels[..., channel]]
        if self._grain is None:
            return rgb
        roll = int(time * 977) * 31 % self._grain.shape[0], int(time * 991) * 57 % self._grain.shape[1]
        noise = np.roll(self._grain, roll, (0, 1))[: rgb.shape[0], : rgb.shape[1]]
        noisy: Image = np.clip(rgb.astype(np.int16) + noise, 0, 255).astype(np.uint8)
        return noisy


def _grain_tile(spec: SceneSpec) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]] | None:
    if spec.finish.grain < 0.3:
        return None
    rng = np.random.default_rng(spec.backdrop)
    noise = rng.normal(0, spec.finish.grain, (spec.height + 8, spec.width + 8, 1))
    return np.round(noise + rng.normal(0, spec.finish.grain * 0.4, (*noise.shape[:2], 3))).astype(np.int16)


def _ground_shade(joints: Joints) -> Piece:
    """The soft dark spot below a person's feet."""
    (x0, y0), (x1, y1) = joints.ankle
    x, y, u = (x0 + x1) / 2, max(y0, y1) + 0.035 * joints.unit, joints.unit
    half = abs(x1 - x0) / 2 + 0.13 * u
    black = [skia.Color(0, 0, 0, 110), skia.Color(0, 0, 0, 0)]
    matrix = skia.Matrix()
    matrix.setAll(1, 0, x, 0, 0.22, y, 0, 0, 1)
    shader = skia.GradientShader.MakeRadial(center=(0, 0), radius=half, colors=black, localMatrix=matrix)
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(x - half, y - half * 0.22, x + half, y + half * 0.22))
    return Piece(path, skia.Paint(Shader=shader, AntiAlias=True), solid=False)


def _mix(pair: tuple[float, float], share: float) -> float:
    return pair[0] + (pair[1] - pair[0]) * share
