"""What happens in a scene, as plain values: who wears what, what they do, what the camera does."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dprnet.data.world.figure import Body
from dprnet.data.world.garments import Garment
from dprnet.data.world.poses import POSES, Pose, walking
from dprnet.data.world.shapes import Light


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
