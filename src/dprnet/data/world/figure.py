"""A body: proportions, and where its joints are on the screen in a pose.

Lengths are in body heights. The body's own axes: x to its left, y up, z to the front; at yaw 0 it faces the viewer, at
90 degrees it looks to the right of the picture. Screen coordinates are pixels, y down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from dprnet.data.world.colours import HAIR, SKIN, Colour, jitter
from dprnet.data.world.poses import Pose
from dprnet.data.world.seeds import Rng, between, chance, choose

Point = tuple[float, float]

# Heights above the floor and half widths (to the side, to the front) of a trunk, lowest first.
_LEVELS = (0.40, 0.475, 0.53, 0.58, 0.635, 0.69, 0.735, 0.775, 0.815, 0.84)
_MAN = (
    (0.082, 0.090, 0.091, 0.087, 0.083, 0.090, 0.098, 0.100, 0.100, 0.036),
    (0.055, 0.062, 0.062, 0.058, 0.055, 0.060, 0.064, 0.060, 0.048, 0.032),
)
_WOMAN = (
    (0.084, 0.095, 0.097, 0.087, 0.072, 0.078, 0.087, 0.086, 0.086, 0.031),
    (0.056, 0.066, 0.066, 0.056, 0.050, 0.058, 0.070, 0.058, 0.043, 0.029),
)
UPPER_ARM, FOREARM, HAND = 0.165, 0.145, 0.075
THIGH, SHIN = 0.245, 0.245
HIP_HEIGHT, NECK_HEIGHT = 0.53, 0.84


@dataclass(frozen=True)
class Body:
    """What stays the same of a person."""

    woman: bool
    width: float
    """Factor on all widths (0.88 slim to 1.2 stout)."""
    skin: Colour
    hair: Colour
    hair_style: str
    shoes: Colour
    shoe_style: str
    size: float
    """Factor on the height."""
    bare: bool = False
    """A shop's mannequin: no face, no hair."""

    @classmethod
    def draw(cls, rng: Rng) -> Body:
        """A person at random."""
        woman = chance(rng, 0.55)
        styles = {"long": 4.0, "bob": 3.0, "bun": 2.0, "tail": 2.0, "short": 1.0, "curly": 1.5}
        if not woman:
            styles = {"short": 6.0, "bald": 1.0, "curly": 1.0, "cap": 1.5, "long": 0.5}
        return cls(
            woman=woman,
            width=between(rng, 0.9, 1.17),
            skin=jitter(rng, SKIN[int(rng.integers(len(SKIN)))], 0.01, 0.08, 0.03),
            hair=jitter(rng, HAIR[int(rng.integers(len(HAIR)))], 0.01, 0.1, 0.03),
            hair_style=choose(rng, styles),
            shoes=((0.9, 0.9, 0.9), (0.1, 0.1, 0.11), (0.35, 0.22, 0.14), (0.6, 0.15, 0.15))[int(rng.integers(4))],
            shoe_style=choose(rng, {"sneaker": 4.0, "boot": 2.0, "low": 2.0}),
            size=between(rng, 0.92, 1.06),
        )

    def half(self, level: float, yaw: float) -> float:
        """Half width of the trunk on the screen at a height, seen from an angle (radians)."""
        side, front = _WOMAN if self.woman else _MAN
        w = float(np.interp(level, _LEVELS, side)) * self.width
        d = float(np.interp(level, _LEVELS, front)) * self.width
        return math.hypot(w * math.cos(yaw), d * math.sin(yaw))


@dataclass(frozen=True)
class Joints:
    """A posed body on the screen; pairs are (right, left) of the body; depth is towards the viewer, body heights."""

    unit: float
    """Pixels of one body height."""
    yaw: float
    """Radians in (-pi, pi]."""
    pelvis: Point
    neck: Point
    head: Point
    shoulder: tuple[Point, Point]
    elbow: tuple[Point, Point]
    wrist: tuple[Point, Point]
    hand: tuple[Point, Point]
    hip: tuple[Point, Point]
    knee: tuple[Point, Point]
    ankle: tuple[Point, Point]
    toe: tuple[Point, Point]
    arm_depth: tuple[float, float]
    leg_depth: tuple[float, float]
    trunk: Point = field(default=(0.0, -1.0))
    """Unit vector from pelvis to neck."""

    def axis(self, level: float) -> Point:
        """Middle of the trunk at a height (body heights above the floor)."""
        share = (level - HIP_HEIGHT) / (NECK_HEIGHT - HIP_HEIGHT)
        px, py = self.pelvis
        return px + (self.neck[0] - px) * share, py + (self.neck[1] - py) * share

    def leg_at(self, side: int, level: float) -> Point:
        """Middle of a leg at a height it would have when standing."""
        hip, knee, ankle = self.hip[side], self.knee[side], self.ankle[side]
        down = HIP_HEIGHT - level
        if down <= THIGH:
            return _between(hip, knee, max(0.0, down / THIGH))
        return _between(knee, ankle, min(1.15, (down - THIGH) / SHIN))


def _between(a: Point, b: Point, share: float) -> Point:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def joints_of(body: Body, pose: Pose, yaw: float, foot: Point, unit: float) -> Joints:
    """Where the joints are, with the floor below the body at ``foot`` and ``unit`` pixels a body height."""
    unit *= body.size
    cos, sin = math.cos(yaw), math.sin(yaw)
    rise = max(_leg_height(pose, side) for side in (0, 1))
    floor = HIP_HEIGHT - 0.04 - rise

    def screen(x: float, y: float, z: float) -> Point:
        return foot[0] + unit * (x * cos + z * sin), foot[1] - unit * (y - floor)

    tilt = pose.lean
    up = (math.sin(tilt), math.cos(tilt), 0.0)

    def trunk(level: float, x: float, z: float = 0.0) -> tuple[float, float, float]:
        far = level - HIP_HEIGHT
        return up[0] * far + x * math.cos(tilt), HIP_HEIGHT + up[1] * far - x * math.sin(tilt), z

    wide = (0.085 if body.woman else 0.101) * (0.5 + 0.5 * body.width)
    arms = [_chain(trunk(0.79, s * wide), s, pose, i) for i, s in enumerate((-1.0, 1.0))]
    legs = [_leg((s * 0.05 * body.width, HIP_HEIGHT, 0.0), s, pose, i) for i, s in enumerate((-1.0, 1.0))]

    def depth(p: tuple[float, float, float]) -> float:
        return -p[0] * sin + p[2] * cos

    def pair(chains: list[list[tuple[float, float, float]]], k: int) -> tuple[Point, Point]:
        return screen(*chains[0][k]), screen(*chains[1][k])

    pelvis, neck = screen(0, HIP_HEIGHT, 0), screen(*trunk(NECK_HEIGHT, 0))
    length = math.hypot(neck[0] - pelvis[0], neck[1] - pelvis[1]) or 1.0
    head = trunk(0.925, 0.0, 0.012 + 0.03 * math.sin(pose.nod))
    return Joints(
        unit=unit,
        yaw=math.atan2(sin, cos),
        pelvis=pelvis,
        neck=neck,
        head=screen(*head),
        shoulder=pair(arms, 0),
        elbow=pair(arms, 1),
        wrist=pair(arms, 2),
        hand=pair(arms, 3),
        hip=pair(legs, 0),
        knee=pair(legs, 1),
        ankle=pair(legs, 2),
        toe=pair(legs, 3),
        arm_depth=(_arm_depth(arms[0], depth), _arm_depth(arms[1], depth)),
        leg_depth=(depth(legs[0][1]) + depth(legs[0][2]), depth(legs[1][1]) + depth(legs[1][2])),
        trunk=((neck[0] - pelvis[0]) / length, (neck[1] - pelvis[1]) / length),
    )


def _arm_depth(chain: list[tuple[float, float, float]], depth: object) -> float:
    assert callable(depth)
    return 0.4 * float(depth(chain[1])) + 0.6 * float(depth(chain[2]))


def _chain(shoulder: tuple[float, float, float], s: float, pose: Pose, i: int) -> list[tuple[float, float, float]]:
    upper = _direction(s, pose.arm_out[i], pose.arm_fore[i])
    fore = _direction(s, pose.hand_out[i], pose.hand_fore[i])
    elbow = _add(shoulder, upper, UPPER_ARM)
    wrist = _add(elbow, fore, FOREARM)
    return [shoulder, elbow, wrist, _add(wrist, fore, HAND)]


def _leg(hip: tuple[float, float, float], s: float, pose: Pose, i: int) -> list[tuple[float, float, float]]:
    knee = _add(hip, _direction(s, pose.leg_out[i], pose.leg_fore[i]), THIGH)
    shin = _direction(s, pose.leg_out[i] * 0.4, pose.leg_fore[i] - pose.knee[i])
    ankle = _add(knee, shin, SHIN)
    return [hip, knee, ankle, (ankle[0] + s * 0.015, ankle[1] - 0.03, ankle[2] + 0.085)]


def _leg_height(pose: Pose, i: int) -> float:
    thigh = math.cos(pose.leg_out[i]) * math.cos(pose.leg_fore[i]) * THIGH
    return thigh + math.cos(pose.leg_out[i] * 0.4) * math.cos(pose.leg_fore[i] - pose.knee[i]) * SHIN


def _direction(s: float, out: float, fore: float) -> tuple[float, float, float]:
    return s * math.sin(out), -math.cos(out) * math.cos(fore), math.cos(out) * math.sin(fore)


def _add(p: tuple[float, float, float], d: tuple[float, float, float], far: float) -> tuple[float, float, float]:
    return p[0] + d[0] * far, p[1] + d[1] * far, p[2] + d[2] * far
