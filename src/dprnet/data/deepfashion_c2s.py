"""DeepFashion consumer-to-shop: photos that users took of garments, and the shop's photos of the same items.

    Img/img/TOPS/T_Shirt/id_00000218/{shop_01.jpg, comsumer_01.jpg}      "comsumer" is how the files are called
    Eval/list_eval_partition.txt           count, header, then: consumer shop item_id train|val|test
    Anno/list_bbox_consumer2shop.txt       count, header, then: image clothes_type source_type x_1 y_1 x_2 y_2
    Anno/list_landmarks_consumer2shop.txt  count, header, then: image clothes_type variation_type (visibility x y) ...
    Anno/list_item_consumer2shop.txt       count, then one id a line
    Anno/list_attr_{cloth,items}.txt       count, header, then: name type; item_id and a value (1, -1, 0) an attribute

Identity is the item; one garment may come under several ids, which nothing in the lists tells (``dprnet check`` names
items that share a photo). Consumer photos are of
domain ``video`` (they are the queries), shop photos of domain ``shop``.

Two protocols are in use, and papers mix them (paper, section 4.3): queries and gallery of the test split, or of
validation and test together; and queries are counted as rows of the partition (a photo with two shop photos counts
twice, as published) or as photos. :func:`protocol` gives all four.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from dprnet.core.classes import COARSE_CLASSES, UNLABELLED
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.deepfashion_lists import Seen, attributes_of, box_of, quality_of, read_list
from dprnet.data.labelled import Photo
from dprnet.data.protocols import Protocol, unique
from dprnet.data.splits import check_split

log = logging.getLogger(__name__)

PARTITION = "Eval/list_eval_partition.txt"
BOXES = "Anno/list_bbox_consumer2shop.txt"
LANDMARKS = "Anno/list_landmarks_consumer2shop.txt"
ITEMS = "Anno/list_item_consumer2shop.txt"
ATTRIBUTES = "Anno/list_attr_cloth.txt"
ITEM_ATTRIBUTES = "Anno/list_attr_items.txt"
PAIRS = 195_540  # rows of the whole partition
PUBLISHED = {"test": (47_434, 11_312), "val+test": (95_961, 22_669)}
"""Query rows and gallery photos (paper, section 4.3)."""
SPLITS: Mapping[str, str] = {"train": "train", "val": "validation", "test": "test"}
Which = Literal["test", "val+test"]
Counting = Literal["pairs", "images"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A row of the partition."""

    consumer: str
    shop: str
    item_id: str
    split: str
    """train, validation or test."""


class ConsumerToShop:
    """The data set in a folder; its lists are read when first asked for.

    Args:
        root: the folder that holds ``Eval``, ``Anno`` and ``Img``.

    Raises:
        MissingFile: there is no partition.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        if not (self.root / PARTITION).is_file():
            raise MissingFile(self.root / PARTITION, "no partition; is this the folder that holds Eval, Anno and Img?")

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """All rows of the partition, in order.

        Raises:
            BadDataset: a header, row or split is wrong (``dprnet check`` lists all).
        """
        found = []
        path = self.root / PARTITION
        for line, fields in read_list(path, ("image_pair_name_1", "image_pair_name_2", "item_id", "evaluation_status")):
            if len(fields) != 4 or fields[3] not in SPLITS:
                raise BadDataset(path, f"line {line}: wanted consumer, shop, item_id and train|val|test, got {fields}")
            found.append(Pair(fields[0], fields[1], fields[2], SPLITS[fields[3]]))
        return tuple(found)

    @cached_property
    def boxes(self) -> Mapping[str, tuple[tuple[float, float, float, float], int]]:
        """Corners (pixels) and clothes_type by image; empty where there is no list of boxes."""
        path = self.root / BOXES
        if not path.is_file():
            log.warning("%s is not there: whole photos are taken", path)
            return {}
        found = {}
        for line, fields in read_list(path, ("image_name", "clothes_type", "source_type", "x_1", "y_1", "x_2", "y_2")):
            found[fields[0]] = (box_of(path, line, fields), int(fields[1]))
        return found

    @cached_property
    def seen(self) -> Mapping[str, Seen]:
        """Quality by image; empty where there is no list of landmarks."""
        path = self.root / LANDMARKS
        if not path.is_file():
            return {}
        found = {}
        for line, fields in read_list(path, ("image_name", "clothes_type", "variation_type")):
            found[fields[0]] = quality_of(path, line, fields)
        return found

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes (303 in the whole data set); empty where there is no list of them."""
        path = self.root / ATTRIBUTES
        if not path.is_file():
            return ()
        # A name may hold spaces; its type stands last.
        return tuple(" ".join(fields[:-1]) for _, fields in read_list(path, ("attribute_name", "attribute_type")))

    @cached_property
    def item_attributes(self) -> Mapping[str, tuple[int, ...]]:
        """Of each item a value an attribute: 1 has it, -1 has it not, 0 nobody knows; empty where there is no list."""
        path = self.root / ITEM_ATTRIBUTES
        if not path.is_file():
            return {}
        count = len(self.attributes)
        rows = read_list(path, ("item_id", "attribute_labels"))
        return {fields[0]: attributes_of(path, line, fields, count) for line, fields in rows}

    def path(self, image: str) -> Path:
        """The file of an image as the lists name it; ``Summer_Suit`` and ``Summer_Wear`` stand for one another."""
        for name in (image, image.replace("Summer_Suit", "Summer_Wear"), image.replace("Summer_Wear", "Summer_Suit")):
            for folder in (self.root / "Img", self.root):
                if (folder / name).is_file():
                    return folder / name
        return self.root / "Img" / image

    def photo(self, image: str, item_id: str, *, shop: bool) -> Photo:
        """A photo of an item."""
        box, kind = self.boxes.get(image, (None, 0))
        viewpoint = known.viewpoint if (known := self.seen.get(image)) else UNLABELLED
        domain: Literal["shop", "video"] = "shop" if shop else "video"
        return Photo(self.path(image), box, f"deepfashion/{item_id}", coarse(image, kind), domain, viewpoint)

    def photos(self, split: str) -> list[Photo]:
        """Every photo of a split once, consumer and shop, for training.

        Raises:
            BadDataset: a list is wrong.
        """
        wanted, rows = check_split(split), dict[tuple[str, str, bool], None]()
        for pair in self.pairs:
            if pair.split == wanted:
                rows[pair.consumer, pair.item_id, False] = rows[pair.shop, pair.item_id, True] = None
        return [self.photo(image, item, shop=shop) for image, item, shop in rows]

    def protocol(self, which: Which = "test", counting: Counting = "pairs") -> Protocol:
        """Queries and gallery as published.

        Args:
            which: ``test``, or ``val+test``.
            counting: ``pairs``: a query is a row of the partition, as published; ``images``: each photo once.

        Raises:
            BadDataset: the whole data set gives other numbers than were published, so a file must be damaged.
        """
        splits = {"test"} if which == "test" else {"validation", "test"}
        rows = [pair for pair in self.pairs if pair.split in splits]
        known: dict[tuple[str, str, bool], Photo] = {}

        def photo(image: str, item: str, shop: bool) -> Photo:
            if (image, item, shop) not in known:
                known[image, item, shop] = self.photo(image, item, shop=shop)
            return known[image, item, shop]

        queries = tuple(photo(pair.consumer, pair.item_id, False) for pair in rows)
        gallery = unique(photo(pair.shop, pair.item_id, True) for pair in rows)
        if len(self.pairs) == PAIRS and (len(queries), len(gallery)) != PUBLISHED[which]:
            raise BadDataset(
                self.root / PARTITION,
                f"{which}: {len(queries)} queries and {len(gallery)} gallery photos; published are {PUBLISHED[which]}",
            )
        asked = queries if counting == "pairs" else unique(queries)
        return Protocol(f"DeepFashion C2S {which}, queries by {counting}", asked, gallery)


def coarse(image: str, clothes_type: int = 0) -> int:
    """Index into COARSE_CLASSES by the folders of an image's path, else by its clothes_type (ours), or -1.

    >>> [coarse(f"img/{name}/id_1/shop_01.jpg") for name in ("TOPS/T_Shirt", "TROUSERS/Shorts", "DRESSES/Skirt")]
    [0, 3, 4]
    """
    words = image.lower()
    for part, name in (
        ("shorts", "shorts"), ("skirt", "skirt"), ("coat", "outerwear"), ("jacket", "outerwear"),
        ("dress/", "dress"), ("dresses/", "dress"), ("trousers/", "trousers"), ("pants", "trousers"),
        ("jeans", "trousers"), ("leggings", "trousers"), ("tops/", "top"),
    ):  # fmt: skip
        if part in words:
            return COARSE_CLASSES.index(name)
    return {1: COARSE_CLASSES.index("top"), 3: COARSE_CLASSES.index("dress")}.get(clothes_type, UNLABELLED)


def photos(root: Path | str, split: str) -> list[Photo]:
    """Every photo of a split once; see :class:`ConsumerToShop`."""
    return ConsumerToShop(root).photos(split)
