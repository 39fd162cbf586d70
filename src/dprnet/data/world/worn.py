"""A garment on a body in one moment: its measures, where its edges run, its key landmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dprnet.data.world.colours import luminance, mixed, scaled
from dprnet.data.world.fabric import Fabric
from dprnet.data.world.figure import FOREARM, HIP_HEIGHT, UPPER_ARM, Body, Joints, Point
from dprnet.data.world.garments import Garment
from dprnet.data.world.shapes import Light

# Half width and depth in front of necklines, in body heights.
NECKLINES = {
    "crew": (0.043, 0.022),
    "v": (0.045, 0.085),
    "scoop": (0.056, 0.07),
    "boat": (0.074, 0.018),
    "square": (0.066, 0.07),
    "heart": (0.066, 0.06),
    "turtle": (0.036, 0.002),
    "shirt": (0.04, 0.04),
    "polo": (0.04, 0.035),
    "hood": (0.046, 0.03),
    "lapel": (0.045, 0.11),
    "stand": (0.042, 0.006),
}


LANDMARKS = {
    "upper": ("neck_left", "neck_right", "neck_front", "shoulder_left", "shoulder_right", "cuff_right", "cuff_left"),
    "hem": ("hem_left", "hem_right"),
    "waist": ("waist_left", "waist_right"),
    "legs": ("crotch", "cuff_right", "cuff_left"),
}


@dataclass(frozen=True)
class Worn:
    """One garment on one body in one moment."""

    garment: Garment
    fabric: Fabric
    body: Body
    joints: Joints
    light: Light
    owner: int
    start: float = 0.62
    """Height at which a skirt or trousers begin to show (lower under a top that is not tucked in)."""
    layer: float = 0.0
    """Room for what is worn underneath, in body heights."""

    @property
    def ease(self) -> float:
        """Room between body and cloth, in body heights."""
        return self.garment.ease + self.layer

    @property
    def right(self) -> Point:
        """Unit vector across the trunk, to the right of the picture."""
        return -self.joints.trunk[1], self.joints.trunk[0]

    def edges(self, level: float) -> tuple[Point, Point]:
        """Left and right end of the cloth at a height (body heights above the floor), on the screen."""
        joints, garment = self.joints, self.garment
        if level >= HIP_HEIGHT:
            half = (
                self.body.half(level, joints.yaw) + self.ease * (0.75 if level > 0.6 and garment.flare > 1.2 else 1)
            ) * joints.unit
            x, y = joints.axis(level)
            nx, ny = self.right
            return (x - nx * half, y - ny * half), (x + nx * half, y + ny * half)
        share = min(1.0, (HIP_HEIGHT - level) / max(0.05, HIP_HEIGHT - garment.length))
        hip = self.body.half(HIP_HEIGHT, joints.yaw) + self.ease
        half = hip * (1 + (garment.flare - 1) * share) * joints.unit
        legs = [joints.leg_at(side, level) for side in (0, 1)]
        x, y = (legs[0][0] + legs[1][0]) / 2, (legs[0][1] + legs[1][1]) / 2
        room = (0.05 - 0.03 * min(1.0, (HIP_HEIGHT - level) / 0.25) + 0.006 + self.ease * 0.5) * joints.unit
        left = min(x - half, min(leg[0] for leg in legs) - room)
        right = max(x + half, max(leg[0] for leg in legs) + room)
        return (left, y), (right, y)


def landmarks(worn: Worn) -> list[Point]:
    """Key landmarks on the screen, in the order of :func:`landmark_names` of the garment."""
    garment, joints = worn.garment, worn.joints
    low = worn.edges(garment.length)
    if garment.upper:
        half, depth = NECKLINES[garment.neckline]
        x, y = joints.axis(0.835)
        nx, ny = worn.right
        u = joints.unit
        wide = half * u * max(0.4, abs(math.cos(joints.yaw)))
        down = depth if math.cos(joints.yaw) > 0 else 0.012
        front = joints.axis(0.835 - down)
        points = [(x - nx * wide, y - ny * wide), (x + nx * wide, y + ny * wide), front]
        points += shoulders(worn)
        points += [_sleeve_end(worn, side) for side in (0, 1)]
        return [*points, *low]
    waist = worn.edges(worn.start)
    if garment.coarse == "skirt":
        return [*waist, *low]
    return [*waist, joints.axis(0.462), joints.leg_at(0, garment.length), joints.leg_at(1, garment.length)]


def landmark_names(garment: Garment) -> tuple[str, ...]:
    """Names of the key landmarks of a garment's class (a subset of DeepFashion2's; left and right of the picture,
    but sleeves and trouser legs of the body)."""
    if garment.upper:
        return LANDMARKS["upper"] + LANDMARKS["hem"]
    return LANDMARKS["waist"] + (LANDMARKS["hem"] if garment.coarse == "skirt" else LANDMARKS["legs"])


def edge_ink(garment: Garment) -> tuple[float, float, float]:
    """The colour of its seams and edges."""
    base = garment.print.colours[0]
    return scaled(base, 0.45) if luminance(base) > 0.15 else mixed(base, (0.5, 0.5, 0.55), 0.5)


def _sleeve_end(worn: Worn, side: int) -> Point:
    joints, cover = worn.joints, worn.garment.sleeve * (UPPER_ARM + FOREARM)
    first = min(1.0, cover / UPPER_ARM)
    a, b = joints.shoulder[side], joints.elbow[side]
    if cover > UPPER_ARM:
        first, a, b = (cover - UPPER_ARM) / FOREARM, b, joints.wrist[side]
    return a[0] + (b[0] - a[0]) * first, a[1] + (b[1] - a[1]) * first


def shoulders(worn: Worn) -> tuple[Point, Point]:
    """Ends of the shoulder seams, left and right of the picture."""
    joints, body, u = worn.joints, worn.body, worn.joints.unit
    wide = (0.094 if body.woman else 0.110) * (0.5 + 0.5 * body.width) + 0.004 + worn.layer
    share = 1.0 if worn.garment.sleeve > 0 else 0.72 if not worn.garment.straps else 0.6
    half = math.hypot(wide * share * math.cos(joints.yaw), 0.045 * math.sin(joints.yaw)) * u
    x, y = joints.axis(0.812 + worn.layer * 0.5)
    nx, ny = worn.right
    return (x - nx * half, y - ny * half), (x + nx * half, y + ny * half)
