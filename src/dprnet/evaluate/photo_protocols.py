"""The published protocols of a retrieval data set, whatever its form: what ``dprnet evaluate protocol`` measures."""

from __future__ import annotations

from pathlib import Path

from dprnet.core.errors import BadDataset
from dprnet.data import pairs
from dprnet.data.deepfashion_c2s import PARTITION, ConsumerToShop
from dprnet.data.protocols import Protocol
from dprnet.data.street2shop import CATEGORIES, META, Street2Shop


def protocols_of(path: Path, split: str = "test") -> list[Protocol]:
    """Every protocol by which a data set is measured.

    - DeepFashion consumer-to-shop: test, and validation with test; each with queries counted as rows and as photos.
    - Street2Shop: one for each category, in the shop photos of that category.
    - A table of pairs: the street photos of a split in all shop photos.

    Raises:
        MissingFile, BadDataset: no data set in one of these forms, or a wrong entry in it.
    """
    if (path / PARTITION).is_file():
        whole = ConsumerToShop(path)
        return [whole.protocol(which, counting) for which in ("test", "val+test") for counting in ("pairs", "images")]
    if (path / META).is_dir():
        shops = Street2Shop(path)
        found = [shops.protocol(name) for name in CATEGORIES if (path / META / f"test_pairs_{name}.json").is_file()]
        return [one for one in found if one.queries and one.gallery]
    if path.is_file() and pairs.looks_like_pairs(path):
        return [pairs.protocol(path, split)]
    sentence = f"holds neither {PARTITION} (DeepFashion consumer-to-shop) nor {META} (Street2Shop), and is no "
    raise BadDataset(
        path, sentence + "of pairs (image, item_id, domain); videos and shops: `dprnet evaluate retrieval`"
    )
