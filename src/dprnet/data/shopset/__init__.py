"""A video-to-shop set on disk: the made-up world, pasted scenes and sets that users annotate themselves.

    set.json            schema, id, name, split, generator, version, seed, settings
    videos/NAME.mp4     stills/NAME_0003.jpg        whole videos, or single frames with the same tables
    gallery/ITEM_k.jpg  catalogue.csv               the shop; several rows of one item_id are several photos
    instances.parquet   one row a garment of the set: video, class, item (or none), attributes
    frames.parquet      one row a garment and annotated frame: box, quality labels, fractions, landmarks
    stills.parquet      one row a single frame (only in sets of stills)
    ignored.parquet     regions in which a detection is neither right nor wrong (optional)

The layout is described column by column in docs/world.md; :func:`dprnet.data.shopset_check.check` lists what is wrong
with a set that was annotated by hand.
"""

from dprnet.data.shopset.reader import ShopSet
from dprnet.data.shopset.tables import FRAMES, IGNORED, INSTANCES, META, SCHEMA, STILLS, TABLES, read_meta, still_name
from dprnet.data.shopset.writer import ShopSetWriter
from dprnet.data.shopset_check import check

__all__ = [
    "FRAMES",
    "IGNORED",
    "INSTANCES",
    "META",
    "SCHEMA",
    "STILLS",
    "TABLES",
    "ShopSet",
    "ShopSetWriter",
    "check",
    "read_meta",
    "still_name",
]
