"""How a body is held: named poses, steps of the walk, and what lies between two of them."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Pose:
    """Angles in radians. Arms and legs: (right, left) of the body."""

    arm_out: tuple[float, float] = (0.2, 0.2)
    arm_fore: tuple[float, float] = (0.05, 0.05)
    hand_out: tuple[float, float] = (0.14, 0.14)
    hand_fore: tuple[float, float] = (0.2, 0.2)
    leg_out: tuple[float, float] = (0.06, 0.06)
    leg_fore: tuple[float, float] = (0.0, 0.0)
    knee: tuple[float, float] = (0.03, 0.03)
    lean: float = 0.0
    """Sideways, positive to the body's left."""
    nod: float = 0.0

    def towards(self, other: Pose, share: float) -> Pose:
        """A pose between two, eased."""
        s = share * share * (3 - 2 * share)
        pairs = {name: _mix(getattr(self, name), getattr(other, name), s) for name in PAIRS}
        lean = self.lean + (other.lean - self.lean) * s
        return Pose(**pairs, lean=lean, nod=self.nod + (other.nod - self.nod) * s)

    def mirrored(self) -> Pose:
        """The same with left and right swapped."""
        pairs = {name: (getattr(self, name)[1], getattr(self, name)[0]) for name in PAIRS}
        return Pose(**pairs, lean=-self.lean, nod=self.nod)


PAIRS = ("arm_out", "arm_fore", "hand_out", "hand_fore", "leg_out", "leg_fore", "knee")


def _mix(a: tuple[float, float], b: tuple[float, float], s: float) -> tuple[float, float]:
    return a[0] + (b[0] - a[0]) * s, a[1] + (b[1] - a[1]) * s


POSES: dict[str, Pose] = {
    "stand": Pose(),
    "model": Pose(arm_out=(0.3, 0.24), hand_out=(0.2, 0.16), leg_out=(0.03, 0.12), lean=0.03),
    "apart": Pose(arm_out=(0.35, 0.35), hand_out=(0.3, 0.3), leg_out=(0.14, 0.14)),
    "hip": Pose(arm_out=(0.85, 0.2), hand_out=(-0.65, 0.14), hand_fore=(0.25, 0.2), lean=-0.05, leg_out=(0.02, 0.14)),
    "hips": Pose(arm_out=(0.85, 0.85), hand_out=(-0.65, -0.65), hand_fore=(0.25, 0.25)),
    "crossed": Pose(arm_out=(0.25, 0.25), arm_fore=(0.3, 0.3), hand_out=(-1.25, -1.3), hand_fore=(1.35, 1.15)),
    "folded": Pose(arm_out=(0.15, 0.15), arm_fore=(0.1, 0.1), hand_out=(-0.75, -0.75), hand_fore=(0.7, 0.7)),
    "phone": Pose(arm_out=(0.25, 0.12), arm_fore=(0.55, 0.05), hand_out=(-0.3, 0.05), hand_fore=(2.2, 0.2)),
    "wave": Pose(arm_out=(1.1, 0.2), hand_out=(2.5, 0.14), hand_fore=(0.3, 0.2)),
    "point": Pose(arm_out=(0.15, 1.35), hand_out=(0.05, 1.5), hand_fore=(0.2, 0.2)),
    "chin": Pose(arm_out=(0.2, 0.1), arm_fore=(0.35, 0.1), hand_out=(-0.55, -0.9), hand_fore=(2.1, 1.2)),
    "pockets": Pose(arm_out=(0.38, 0.38), arm_fore=(-0.15, -0.15), hand_out=(-0.3, -0.3), hand_fore=(0.35, 0.35)),
    "carry": Pose(arm_out=(0.2, 0.1), arm_fore=(-0.1, 0.05), hand_out=(-0.1, 0.05), hand_fore=(1.45, 0.15)),
    "hair": Pose(arm_out=(1.5, 0.12), hand_out=(3.4, 0.05), hand_fore=(0.4, 0.2), lean=0.06),
    "up": Pose(arm_out=(2.4, 2.4), hand_out=(2.9, 2.9), hand_fore=(0.1, 0.1)),
}


def walking(phase: float, stride: float = 0.42) -> Pose:
    """A step of the walk; ``phase`` in turns."""
    swing = math.sin(2 * math.pi * phase)
    bend = math.cos(2 * math.pi * phase)
    return Pose(
        arm_fore=(-swing * stride * 0.9, swing * stride * 0.9),
        hand_fore=(-swing * stride + 0.35, swing * stride + 0.35),
        leg_fore=(swing * stride, -swing * stride),
        knee=(max(0.05, 0.75 * max(0.0, bend)), max(0.05, 0.75 * max(0.0, -bend))),
        leg_out=(0.03, 0.03),
        lean=0.02 * bend,
    )
