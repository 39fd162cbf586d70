"""FAISS as this package calls it: imported when first needed, asked with parameters, told which vectors may be found.

Q  queries    K  wanted neighbours    D  numbers of a vector
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dprnet.core.records import BoolArray, FloatArray, IntArray

Neighbours = tuple[FloatArray, IntArray]
"""(Q, K) similarities, falling, and (Q, K) numbers of vectors; -1 where there are fewer."""

SEED = 20_211
TRAINED_ON = 100_000  # ours: vectors that lists and codes are fitted to
AT_ONCE = 100_000  # ours: vectors turned at once: all would be held twice, as they are and turned


def faiss() -> Any:
    """The library, imported when first searched; its own types know nothing of keyword arguments."""
    import faiss

    return faiss


def flagged(mask: BoolArray) -> Any:
    """Lets (places,) pass where the mask says so: each place that is met is looked up."""
    return faiss().IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def listed(places: IntArray) -> Any:
    """Lets some places pass: a flat index visits only these."""
    return faiss().IDSelectorArray(np.ascontiguousarray(places, np.int64))


def held(flat: Any) -> FloatArray:
    """(places, D) the vectors of a flat index where they lie; valid as long as the index."""
    vectors: FloatArray = faiss().rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)
    return vectors


def searched(index: Any) -> Any:
    """FAISS's own search of arrays. Where something has imported its extension for torch (pytorch-metric-learning
    does), that has put another in its place, which takes no parameters."""
    return getattr(index, "search_numpy", index.search)
