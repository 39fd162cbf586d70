"""Paints and fonts: what everything of the world is drawn with."""

from __future__ import annotations

from pathlib import Path

import skia

from dprnet.data.world.colours import Colour


def fill(colour: Colour, alpha: float = 1.0) -> skia.Paint:
    """A paint that fills with one colour."""
    return skia.Paint(Color4f=skia.Color4f(*colour, alpha), AntiAlias=True)


def line(colour: Colour, width: float, alpha: float = 1.0) -> skia.Paint:
    """A paint that draws a line with round ends."""
    paint = fill(colour, alpha)
    paint.setStyle(skia.Paint.kStroke_Style)
    paint.setStrokeWidth(width)
    paint.setStrokeCap(skia.Paint.kRound_Cap)
    paint.setStrokeJoin(skia.Paint.kRound_Join)
    return paint


def typeface(bold: bool = True) -> skia.Typeface:
    """A font that comes with matplotlib, so that words look the same on every machine."""
    import matplotlib as mpl

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSerif-Italic.ttf"
    return skia.Typeface.MakeFromFile(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name))
