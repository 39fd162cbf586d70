"""How much each part of an embedding counts: one weighing between shop photos, another when a video asks (ours).

A photo on white shows its colours as they are, and two photos of one product agree in them; a frame shows them in its
own light. So colours count for more between two photos than between a frame and a photo. The vectors of shop photos
are the same for both; only the asking vector differs, and the cosine of the two is, up to a factor of the asker, the
mean of the parts' cosines weighed with the asker's shares.

Shape legend
    N  vectors    D  their numbers
"""

from __future__ import annotations

import numpy as np

from dprnet.core.records import FloatArray
from dprnet.embed.config import EmbedderConfig


def as_views(vectors: FloatArray, config: EmbedderConfig) -> FloatArray:
    """Vectors (N, D) of length 1 as shop photos have them -> (N, D) of length 1 with the shares of views in videos.

    >>> config = EmbedderConfig(shades=1, shades_share=0.5, view_shades_share=0.2)
    >>> photo = np.array([[0.5**0.5, 0.5**0.5]], np.float32)  # one number trained, one of colours, half and half
    >>> view = as_views(photo, config)
    >>> bool(np.allclose(view / view.sum(), [[0.8, 0.2]]))
    True
    """
    views, photos = config.view_shares, config.shares
    if views == photos:
        return vectors
    sizes = (vectors.shape[1] - config.kept - config.shades, config.kept, config.shades)
    weights = [view / photo if photo else 0.0 for view, photo in zip(views, photos, strict=True)]
    weighed = vectors * np.repeat(np.array(weights, np.float32), sizes)
    found: FloatArray = weighed / np.linalg.norm(weighed, axis=1, keepdims=True)
    return found
