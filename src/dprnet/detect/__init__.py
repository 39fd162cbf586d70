"""Frames -> detections (paper, section 3.1): garments with class, three quality scores and an instance embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dprnet.detect.detector import Detector
    from dprnet.detect.model import DetectorConfig, DetectorNetwork

__all__ = ["Detector", "DetectorConfig", "DetectorNetwork"]


def __getattr__(name: str) -> object:
    # torch is loaded when a detector is wanted, not when the package is imported.
    if name == "Detector":
        from dprnet.detect.detector import Detector

        return Detector
    if name in ("DetectorConfig", "DetectorNetwork"):
        from dprnet.detect import model

        return getattr(model, name)
    raise AttributeError(f"module 'dprnet.detect' has no attribute '{name}'")
