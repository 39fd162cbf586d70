"""Cloth on arms and legs: sleeves, trouser legs."""

from __future__ import annotations

import math

import skia

from dprnet.data.world.figure import FOREARM, HIP_HEIGHT, SHIN, THIGH, UPPER_ARM, Point
from dprnet.data.world.paints import line
from dprnet.data.world.shapes import Piece, limb_paint, tube
from dprnet.data.world.worn import Worn, edge_ink


def sleeve_pieces(worn: Worn, side: int) -> list[Piece]:
    """One sleeve; nothing without sleeves."""
    garment, joints, u = worn.garment, worn.joints, worn.joints.unit
    cover = garment.sleeve * (UPPER_ARM + FOREARM)
    if cover <= 0:
        return []
    a, b, c = joints.shoulder[side], joints.elbow[side], joints.wrist[side]
    ease = min(worn.ease, 0.03) * 0.62
    wide = 1.0 if garment.sleeve > 0.6 else 1.25
    ra, rb, rc = ((0.031 + ease) * u, (0.024 + ease * wide) * u, (0.017 + ease * 0.8) * u)
    ink = line(edge_ink(garment), max(0.6, u * 0.002), 0.4)
    pieces: list[Piece] = []

    def bone(p: Point, q: Point, rp: float, rq: float, done: float, length: float, covered: float) -> None:
        share = min(1.0, covered / length)
        end = (p[0] + (q[0] - p[0]) * share, p[1] + (q[1] - p[1]) * share)
        re = rp + (rq - rp) * share
        path = tube(p, end, rp, re, round_end=share >= 1 and done == 0)
        paint = limb_paint(worn.fabric, worn.light, p, q, max(rp, re), done, length, u)
        pieces.append(Piece(path, paint, worn.owner))
        edges = (_side_line(p, end, rp * sign, re * sign) for sign in (-1, 1))
        pieces.extend(Piece(edge, ink, worn.owner, solid=False) for edge in edges)

    if cover > UPPER_ARM:
        bone(b, c, rb, rc, UPPER_ARM, FOREARM, cover - UPPER_ARM)
    bone(a, b, ra, rb, 0.0, UPPER_ARM, min(cover, UPPER_ARM))
    return pieces


def leg_pieces(worn: Worn, side: int) -> list[Piece]:
    """One leg of trousers or shorts."""
    garment, joints, u = worn.garment, worn.joints, worn.joints.unit
    hip, knee, ankle = joints.hip[side], joints.knee[side], joints.ankle[side]
    width = worn.body.width
    cover = HIP_HEIGHT - garment.length
    ra = (0.053 * width + worn.ease * 0.6) * u
    short = cover < THIGH
    rb = (
        (0.037 * width + worn.ease * (1.0 if not short else 1.4))
        * u
        * (garment.flare if short else max(1.0, garment.flare**0.5))
    )
    rc = max(0.022 * u, (0.031 * width + worn.ease) * garment.flare * u)
    pieces = []
    if not short:
        share = min(1.08, (cover - THIGH) / SHIN)
        end = (knee[0] + (ankle[0] - knee[0]) * share, knee[1] + (ankle[1] - knee[1]) * share)
        re = rb + (rc - rb) * share
        path = tube(knee, end, rb, re, round_end=False)
        pieces.append(
            Piece(path, limb_paint(worn.fabric, worn.light, knee, ankle, max(rb, re), THIGH, SHIN, u), worn.owner)
        )
    share = min(1.0, cover / THIGH)
    end = (hip[0] + (knee[0] - hip[0]) * share, hip[1] + (knee[1] - hip[1]) * share)
    re = ra + (rb - ra) * share
    # Under a top that is not tucked in, the leg begins where the top ends: nothing of it is hidden.
    hidden = min(0.9 * share, max(0.0, HIP_HEIGHT - worn.start) / THIGH)
    begin = (hip[0] + (knee[0] - hip[0]) * hidden, hip[1] + (knee[1] - hip[1]) * hidden)
    path = tube(begin, end, ra + (rb - ra) * hidden, re, round_end=not short, round_start=worn.start >= 0.58)
    pieces.append(Piece(path, limb_paint(worn.fabric, worn.light, hip, knee, ra, 0.0, THIGH, u), worn.owner))
    return pieces


def _side_line(a: Point, b: Point, ra: float, rb: float) -> skia.Path:
    """The edge of a limb, without its round ends."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    far = math.hypot(dx, dy) or 1e-6
    nx, ny = -dy / far, dx / far
    path = skia.Path()
    path.moveTo(a[0] + nx * ra + dx * 0.2, a[1] + ny * ra + dy * 0.2)
    path.lineTo(b[0] + nx * rb, b[1] + ny * rb)
    return path
