"""How a gallery is searched, and which engine fits which size; read without FAISS."""

from __future__ import annotations

from typing import Literal, cast

from dprnet.core.config import Settings

Kind = Literal["exact", "hnsw", "ivf"]
SearchKind = Literal["auto", "exact", "hnsw", "ivf", "store"]
"""``auto``: an index of the kind that fits the gallery's size; ``store``: none, the server that keeps it answers."""


class IndexConfig(Settings):
    """How a gallery is searched."""

    kind: SearchKind = "auto"
    photos: Literal["best", "centroid"] = "best"  # ours: an item is as similar as its most similar photo
    exact_up_to: int = 50_000  # ours: vectors; 2 ms a query at 20,000 photos of 256 numbers grow with their number
    hnsw_up_to: int = 2_000_000  # ours: vectors; 2.5 GB at 256 numbers
    recall: float = 0.95  # issue: recall@10 against exact search
    recall_queries: int = 400  # ours; of 200 the effort that was found varied fourfold
    hnsw_links: int = 32  # HNSW's usual
    hnsw_build: int = 80  # ours
    store_effort: int = 100  # ours: vectors that a server's graph keeps in view; nobody measures the recall there

    def kind_for(self, vectors: int) -> Kind:
        """The engine for so many vectors."""
        if self.kind not in {"auto", "store"}:
            return cast(Kind, self.kind)
        return "exact" if vectors <= self.exact_up_to else "hnsw" if vectors <= self.hnsw_up_to else "ivf"
