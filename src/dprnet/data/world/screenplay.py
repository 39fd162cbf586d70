"""Who wears what and what happens: scenes drawn from a generator, for single frames and for whole videos."""

from __future__ import annotations

import math

from dprnet.data.world.cast import Cast
from dprnet.data.world.garments import Garment
from dprnet.data.world.poses import POSES
from dprnet.data.world.props import BAGS, PROPS
from dprnet.data.world.seeds import Rng, between, chance, choose, rng_of
from dprnet.data.world.shapes import Light
from dprnet.data.world.staging import Actor, Beat, Finish, SceneSpec, Shot

STILL_SIZES = ((480, 640), (640, 480), (512, 512), (400, 600), (576, 432), (450, 800), (600, 400))
VIDEO_SIZES = ((480, 640), (480, 640), (640, 480))
FRAMES_OF_A_SOURCE = 6


def still_scenes(cast: Cast, split: str, seed: int, frames: int = FRAMES_OF_A_SOURCE) -> list[SceneSpec]:
    """Single frames of the same people: each with its own place, poses, camera and light."""
    return [_still(rng_of(split, seed, cast.name, "still", k), cast, k) for k in range(frames)]


def _still(rng: Rng, cast: Cast, number: int) -> SceneSpec:
    width, height = STILL_SIZES[int(rng.integers(len(STILL_SIZES)))]
    people = [k for k in range(len(cast.bodies)) if len(cast.bodies) == 1 or chance(rng, 0.75)] or [0]
    numbers = [sum(len(o) for o in cast.outfits[:k]) for k in range(len(cast.outfits))]
    nearness = choose(rng, {"far": 2.0, "full": 5.5, "near": 2.5})
    low, high = {"far": (0.25, 0.7), "full": (0.7, 1.05), "near": (1.05, 1.7)}[nearness]
    size = between(rng, low, high)
    spread = between(rng, 0.28, 0.7)
    order = list(rng.permutation(len(people)))
    actors = []
    for place, k in zip(order, people, strict=True):
        x = (float(place) - (len(people) - 1) / 2) * spread + between(rng, -0.08, 0.08)
        beat = Beat(0.0, _action(rng), x, _yaw(rng))
        depth = between(rng, 0.8, 1.0)
        wear = int(rng.integers(2**31))
        actors.append(
            Actor(cast.bodies[k], cast.outfits[k], numbers[k], (beat,), cast.tucked[k], choose(rng, BAGS), depth, wear)
        )
    target = actors[int(rng.integers(len(actors)))]
    level = (
        between(rng, 0.42, 0.58)
        if size < 1.0
        else between(rng, 0.62, 0.82)
        if chance(rng, 0.65)
        else between(rng, 0.25, 0.5)
    )
    free = max(0.05, width / (size * height) / 2 - 0.2) if chance(rng, 0.8) else 0.45 * width / (size * height)
    x = target.beats[0].x + between(rng, -free, free) * 0.8
    shot = Shot(0.0, (size, size), (level, level), (x, x))
    props = tuple(_prop(rng) for _ in range(int(chance(rng, 0.3)) + int(chance(rng, 0.08))))
    # A garment that nobody wears is on show in some frames: the third viewpoint has to be learned as well.
    hung = _hung(rng, cast.hung, size, x, level, width / height) if cast.hung is not None and chance(rng, 0.7) else ()
    light = Light(between(rng, -0.9, 0.9), between(rng, 0.45, 0.85))
    name = f"{cast.name}_{number:04d}"
    backdrop = int(rng.integers(2**31))
    return SceneSpec(
        name,
        width,
        height,
        1.0,
        tuple(actors),
        (shot,),
        backdrop,
        light,
        _finish(rng, 1.0),
        props,
        hung,
        sum(map(len, cast.outfits)),
    )


def _hung(
    rng: Rng, garment: Garment, size: float, x: float, level: float, ratio: float
) -> tuple[tuple[Garment, float, float], ...]:
    side = 1 if chance(rng, 0.5) else -1
    at = x + side * between(rng, 0.25, 0.8) * ratio / size / 2
    return ((garment, at, level + between(rng, 0.05, 0.35) / size),)


def _action(rng: Rng) -> str:
    if chance(rng, 0.25):
        return "walk"
    return choose(rng, {name: 1.0 if name not in {"stand", "model"} else 3.0 for name in POSES})


def _yaw(rng: Rng) -> float:
    if chance(rng, 0.58):
        return between(rng, -0.7, 0.7)
    return between(rng, -math.pi, math.pi) if chance(rng, 0.6) else math.pi + between(rng, -0.6, 0.6)


def _prop(rng: Rng) -> tuple[str, float, float, int]:
    return choose(rng, PROPS), between(rng, 0.05, 0.95), between(rng, 0.12, 0.5), int(rng.integers(2**31))


def _finish(rng: Rng, strength: float) -> Finish:
    cast = 0.12 * strength
    gain = between(rng, 0.78, 1.15)
    gains = tuple(gain * (1 + between(rng, -cast, cast)) for _ in range(3))
    return Finish(
        gain=(gains[0], gains[1], gains[2]),
        gamma=between(rng, 0.75, 1.35),
        grain=between(rng, 0.5, 8) if chance(rng, 0.7) else 0.0,
        blur=between(rng, 0.3, 1.8) if chance(rng, 0.4) else 0.0,
    )


def video_scene(cast: Cast, split: str, seed: int, seconds: float) -> SceneSpec:
    """A video of a cast: people walk, turn, gesture, leave and come back; the camera zooms, pans and cuts.

    Twice everybody stands where the camera sees them whole, once with and once without a coat: nearly every garment
    has a good view somewhere, as a garment that somebody wants to show has.
    """
    rng = rng_of(split, seed, cast.name, "video")
    width, height = VIDEO_SIZES[int(rng.integers(len(VIDEO_SIZES)))]
    length = between(rng, seconds * 2 / 3, seconds * 4 / 3)
    shown = (between(rng, 0.0, 0.22) * length, between(rng, 0.68, 0.82) * length)
    change = between(rng, 0.4, 0.6) * length
    spread = between(rng, 0.5, 0.62)
    actors = []
    first = 0
    for k, (body, outfit) in enumerate(zip(cast.bodies, cast.outfits, strict=True)):
        home = (k - (len(cast.bodies) - 1) / 2) * spread
        leaves = chance(rng, 0.4 if len(cast.bodies) > 1 else 0.2)
        beats = _beats(rng, length, home, leaves, shown)
        coat = (0.0, change) if chance(rng, 0.5) else (change, math.inf)
        wear, depth = int(rng.integers(2**31)), between(rng, 0.88, 1.0)
        bag = choose(rng, BAGS) if chance(rng, 0.5) else ""
        actors.append(Actor(body, outfit, first, beats, cast.tucked[k], bag, depth, wear, coat))
        first += len(outfit)
    props: tuple[tuple[str, float, float, int], ...] = ()
    if chance(rng, 0.25):
        at = between(rng, 0.0, 0.12)
        props = (
            (
                choose(rng, PROPS),
                at if chance(rng, 0.5) else 1 - at,
                between(rng, 0.12, 0.35),
                int(rng.integers(2**31)),
            ),
        )
    light = Light(between(rng, -0.9, 0.9), between(rng, 0.5, 0.85))
    # Wide enough for all of them, with their elbows.
    group = min(0.86, width / height / ((len(actors) - 1) * spread + 0.62))
    shots = _shots(rng, length, actors, shown, group)
    backdrop = int(rng.integers(2**31))
    return SceneSpec(cast.name, width, height, length, tuple(actors), shots, backdrop, light, _finish(rng, 0.8), props)


SHOWN_S = 1.6
"""Seconds for which everybody stands to be seen (ours: three key frames at two a second)."""
SHOWING = {"stand": 3.0, "model": 3.0, "apart": 1.0, "hip": 2.0, "wave": 1.0}


def _beats(rng: Rng, length: float, home: float, leaves: bool, shown: tuple[float, float]) -> tuple[Beat, ...]:
    beats: list[Beat] = []
    x = home + between(rng, -0.3, 0.3)
    first, second = shown
    _wander(rng, beats, 0.0, first, x, home)
    _show(rng, beats, first, home)
    time = first + SHOWN_S
    if leaves and second - time > 4.0:
        side = 1 if chance(rng, 0.5) else -1
        start = time + between(rng, 0.0, 0.3) * (second - time - 4.0)
        _wander(rng, beats, time, start, home, home)
        back = second - between(rng, 1.3, 1.9)
        beats.append(Beat(start, "walk", home, side * math.pi / 2))
        beats.append(Beat(start + between(rng, 1.3, 1.9), "stand", home + side * 2.2, side * math.pi / 2))
        beats.append(Beat(back, "walk", home + side * 2.2, -side * math.pi / 2))
    else:
        _wander(rng, beats, time, second, home, home)
    _show(rng, beats, second, home)
    _wander(rng, beats, second + SHOWN_S, length, home, home)
    beats.append(Beat(length, "stand", beats[-1].x, between(rng, -0.5, 0.5)))
    return tuple(beats)


def _show(rng: Rng, beats: list[Beat], time: float, home: float) -> None:
    yaw = between(rng, -0.5, 0.5)
    action = choose(rng, SHOWING)
    beats.append(Beat(time, action, home, yaw))
    beats.append(Beat(time + SHOWN_S - 0.1, action, home, yaw + between(rng, -0.2, 0.2)))


def _wander(rng: Rng, beats: list[Beat], time: float, end: float, x: float, home: float) -> None:
    """Beats from a time until shortly before another."""
    while time < end - 0.6:
        if chance(rng, 0.3):
            goal = home + between(rng, -0.35, 0.35)
            beats.append(Beat(time, "walk", x, math.pi / 2 * (1 if goal > x else -1) * between(rng, 0.45, 1.0)))
            x = goal
        else:
            beats.append(Beat(time, _action(rng), x, _yaw(rng)))
        time += between(rng, 1.1, 2.8)


def _shots(rng: Rng, length: float, actors: list[Actor], shown: tuple[float, float], group: float) -> tuple[Shot, ...]:
    shots: list[Shot] = []
    time = 0.0
    while time < length - 0.6:
        coming = next((start for start in shown if abs(start - time) < 0.15), None)
        if coming is not None:
            end = min(length, coming + SHOWN_S + between(rng, 0.2, 1.5))
            size = group * between(rng, 0.93, 1.0)
            shots.append(Shot(time, (size, size * between(rng, 0.97, 1.0)), (0.5, 0.5), (0.0, 0.0)))
        else:
            following = min((start for start in shown if start > time), default=length)
            end = min(following, time + between(rng, 2.0, 5.0))
            if following - end < 0.8:
                end = following
            shots.append(_free_shot(rng, actors, time, end))
        time = end
    return tuple(shots)


def _free_shot(rng: Rng, actors: list[Actor], time: float, end: float) -> Shot:
    here = [actor for actor in actors if abs(actor.at(time + 0.5)[2]) < 1.0] or actors
    actor = here[int(rng.integers(len(here)))]
    kind = choose(rng, {"full": 4.0, "wide": 1.2, "upper": 2.0, "lower": 0.8, "zoom": 1.5})
    sizes, level = {
        "full": ((between(rng, 0.72, 0.88),) * 2, 0.5),
        "wide": ((between(rng, 0.42, 0.62),) * 2, 0.52),
        "upper": ((between(rng, 1.15, 1.6),) * 2, 0.72),
        "lower": ((between(rng, 1.1, 1.4),) * 2, 0.34),
        "zoom": ((between(rng, 0.6, 0.85), between(rng, 1.1, 1.5)), 0.6),
    }[kind]
    if chance(rng, 0.5):
        sizes = sizes[::-1]
    drift = between(rng, -0.12, 0.12)
    level += between(rng, -0.03, 0.03)
    middle = sum(a.at(time)[2] for a in here) / len(here)
    start, stop = (actor.at(t)[2] for t in (time + 0.2, end - 0.2))
    if max(abs(start), abs(stop)) > 1.0:  # the camera does not follow those who leave
        start = stop = min(0.9, max(-0.9, middle))
    elif kind in {"wide", "full"} and chance(rng, 0.5):
        start = stop = middle
    return Shot(time, (sizes[0], sizes[1]), (level, level + drift * 0.3), (start + drift, stop - drift))
