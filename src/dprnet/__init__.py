"""Detect, Pick and Retrieve: the clothes worn in a video, each once, in its best view, found in a catalogue.

>>> import dprnet
>>> sorted(dprnet.__all__)
['Gallery', 'VideoToShop', '__version__']
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dprnet.gallery import Gallery
    from dprnet.pipeline import VideoToShop

__version__ = "0.1.0"
__all__ = ["Gallery", "VideoToShop", "__version__"]

_LAZY = {"VideoToShop": "dprnet.pipeline", "Gallery": "dprnet.gallery"}  # torch takes seconds to import


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'dprnet' has no attribute '{name}'; it offers {', '.join(sorted(__all__))}")
