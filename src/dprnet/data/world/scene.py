"""A scene: who wears what, what they do, what the camera sees. A frame is a function of the scene and a time alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import skia

from dprnet.core.records import Image
from dprnet.data.world.backdrop import Backdrop, make_backdrop
from dprnet.data.world.fabric import SIZES, Fabric, make_fabric
from dprnet.data.world.figure import POSES, Body, Joints, Pose, joints_of, walking
from dprnet.data.world.garments import Garment
from dprnet.data.world.person import Dressed, person_pieces, wear
from dprnet.data.world.props import carried, foreground
from dprnet.data.world.shapes import Light, Piece
from dprnet.data.world.worn import Worn


@dataclass(frozen=True)
class Beat:
    """What an actor does from a time on."""

    start: float
    action: str
    """Name of a pose, or ``walk``."""
    x: float
    """Place at the start, in body heights from the middle of the scene."""
    yaw: float
    """Radians; at the start."""


@dataclass(frozen=True)
class Actor:
    """A person of the scene."""

    body: Body
    outfit: tuple[Garment, ...]
    first: int
    """Number of the first garment within the scene; the others follow."""
    beats: tuple[Beat, ...]
    tucked: bool
    bag: str
    depth: float
    """Factor on the size: below 1 further away."""
    seed: int
    coat: tuple[float, float] = (0.0, math.inf)
    """Seconds between which outerwear is worn; otherwise it has been taken off."""

    def worn(self, time: float) -> list[tuple[int, Garment]]:
        """The garments worn at a time, with their numbers within the scene."""
        on = self.coat[0] <= time < self.coat[1]
        return [
            (self.first + k, garment) for k, garment in enumerate(self.outfit) if on or garment.coarse != "outerwear"
        ]

    def at(self, time: float) -> tuple[Pose, float, float]:
        """Pose, yaw (radians) and place (body heights) at a time."""
        k = max((i for i, beat in enumerate(self.beats) if beat.start <= time), default=0)
        beat = self.beats[k]
        if k + 1 == len(self.beats):
            return self._pose(beat, time), beat.yaw, beat.x
        after = self.beats[k + 1]
        share = min(1.0, max(0.0, (time - beat.start) / (after.start - beat.start)))
        turn = math.atan2(math.sin(after.yaw - beat.yaw), math.cos(after.yaw - beat.yaw))
        yaw = beat.yaw + turn * max(0.0, share * 2 - 1) ** 2
        if beat.action != "walk":
            yaw = beat.yaw + turn * (share * share * (3 - 2 * share))
        pose = self._pose(beat, time).towards(self._pose(after, time), max(0.0, (share - 0.72) / 0.28))
        return pose, yaw, beat.x + (after.x - beat.x) * share

    def _pose(self, beat: Beat, time: float) -> Pose:
        if beat.action == "walk":
            return walking(time * 0.95 + self.seed % 7 / 7)
        pose = POSES[beat.action]
        if self.seed % 2:
            pose = pose.mirrored()
        sway = 0.02 * math.sin(time * 1.7 + self.seed % 11)
        return pose.towards(POSES["stand"], 0.05 + 2 * abs(sway))


@dataclass(frozen=True)
class Shot:
    """What the camera does from a time on: from one framing to another."""

    start: float
    size: tuple[float, float]
    """A body's height as a share of the frame's height, at start and end."""
    level: tuple[float, float]
    """Height in the middle of the frame, in body heights above the floor."""
    x: tuple[float, float]
    """Place in the middle of the frame."""


@dataclass(frozen=True)
class Finish:
    """What the camera and its software do to the picture."""

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    grain: float = 0.0
    """Standard deviation of the noise, in grey levels."""
    blur: float = 0.0
    """Pixels."""


@dataclass(frozen=True)
class SceneSpec:
    """Everything of a scene; small, and the same in every process."""

    name: str
    width: int
    height: int
    seconds: float
    actors: tuple[Actor, ...]
    shots: tuple[Shot, ...]
    backdrop: int
    light: Light
    finish: Finish
    props: tuple[tuple[str, float, float, int], ...] = ()
    """Things in the foreground: kind, place (share of the width), size (share of the height), seed."""
    hung: tuple[tuple[Garment, float, float], ...] = ()
    """Garments on show that nobody wears: garment, place, height of the shoulders."""
    hung_first: int = 0
    """Number of the first of them within the scene."""


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
