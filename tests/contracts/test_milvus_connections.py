"""What connections to a Milvus server a gallery holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dprnet.core.errors import MissingFile
from dprnet.gallery.card import SCHEMA, GalleryCard
from dprnet.gallery.milvus import MilvusStore

pytestmark = pytest.mark.slow
CARD = GalleryCard(SCHEMA, "tiny@1", 4, "cosine", "2026-01-01T00:00:00+00:00", "whole")


def connections() -> dict[str, int]:
    from pymilvus.client.connection_manager import ConnectionManager

    told = ConnectionManager.get_instance().get_stats()
    return {name: told[f"{name}_connections"] for name in ("shared", "dedicated")}


def test_a_gallery_shares_no_connection_with_other_clients_and_leaves_none(servers: Any, tmp_path: Path) -> None:
    """Another client of the process asks the server so often whether it is there that it hangs up on it."""
    from pymilvus import MilvusClient

    address = servers.address("milvus", tmp_path)
    other = MilvusClient(address.split("#")[0].replace("milvus:", "http:"))
    before = connections()
    assert before["shared"] >= 1
    with pytest.raises(MissingFile):
        MilvusStore.open(address)
    assert connections() == before
    store = MilvusStore.create(address, CARD)
    assert connections() == before | {"dedicated": before["dedicated"] + 1}
    store.close()
    assert connections() == before
    other.close()
