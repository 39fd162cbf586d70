"""The coarse classes, the quality labels, and the one table that maps every data set onto them."""

from __future__ import annotations

from collections.abc import Mapping

# The pools of the paper (section 3.2, "coarse-grained class") and the classes of the tiny bundle.
COARSE_CLASSES = ("top", "outerwear", "trousers", "shorts", "skirt", "dress")

# Index 0 is always the good one: quality = P(index 0) of each.
VIEWPOINTS = ("frontal", "side_or_back", "not_worn")  # DeepFashion2: 2, 3, 1
OCCLUSIONS = ("slight", "medium", "heavy")  # DeepFashion2: 1, 2, 3
CROPS = ("whole", "cropped")  # the paper, section 4.1
QUALITIES = ("viewpoint", "occlusion", "crop")  # the columns of every quality array

UNLABELLED = -1
IGNORE = "ignore"  # a garment that exists but is no class of ours: neither right nor wrong for a detector

# Occlusion: fraction of the garment's area that is covered. Crop: fraction outside the image.
MEDIUM_OCCLUSION = 0.2
HEAVY_OCCLUSION = 0.5
CROPPED = 0.05


def occlusion_class(covered: float) -> int:
    """Index into OCCLUSIONS of a covered fraction of the area, in [0, 1].

    >>> [occlusion_class(f) for f in (0.0, 0.19, 0.2, 0.5)]
    [0, 0, 1, 2]
    """
    return 0 if covered < MEDIUM_OCCLUSION else 1 if covered < HEAVY_OCCLUSION else 2


def crop_class(cut_off: float) -> int:
    """Index into CROPS of the fraction of the area that lies outside the image, in [0, 1].

    >>> [crop_class(f) for f in (0.0, 0.05, 0.06)]
    [0, 0, 1]
    """
    return int(cut_off > CROPPED)


def _table(**groups: str) -> dict[str, str]:
    return {name: coarse for coarse, names in groups.items() for name in names.split("|")}


# DeepFashion2, category 1 to 13.
DEEPFASHION2: Mapping[str, str] = _table(
    top="short sleeve top|long sleeve top|vest|sling",
    outerwear="short sleeve outwear|long sleeve outwear",
    shorts="shorts",
    trousers="trousers",
    skirt="skirt",
    dress="short sleeve dress|long sleeve dress|vest dress|sling dress",
)

# Clothing Co-Parsing, names of labels.txt; all other names are no garment of ours.
CCP: Mapping[str, str] = _table(
    top="blouse|bodysuit|hoodie|jumper|shirt|sweater|sweatshirt|t-shirt|top|vest",
    outerwear="blazer|cape|cardigan|coat|jacket",
    trousers="jeans|leggings|pants",
    shorts="shorts",
    skirt="skirt",
    dress="dress",
    ignore="suit|romper",
)

# The luma catalogue, column `category`.
LUMA: Mapping[str, str] = _table(
    top="men hoodie/sweatshirt|women hoodie/sweatshirt|men tee|women tee|men tank|women tank|women bra",
    outerwear="men jacket|women jacket",
    trousers="men pants|women pants",
    shorts="men shorts|women shorts",
)

# The clothing data set, column `label`; the names not listed here are no garment of ours.
CLOTHING: Mapping[str, str] = _table(
    top="T-Shirt|Longsleeve|Shirt|Undershirt|Polo|Hoodie|Top|Blouse|Body",
    outerwear="Outwear|Blazer",
    trousers="Pants",
    shorts="Shorts",
    skirt="Skirt",
    dress="Dress",
)

SOURCES: Mapping[str, Mapping[str, str]] = {
    "deepfashion2": DEEPFASHION2,
    "ccp": CCP,
    "luma": LUMA,
    "clothing": CLOTHING,
}


def coarse_class(source: str, name: str) -> str | None:
    """The coarse class of a data set's own category name, ``"ignore"``, or None where it is no garment of ours.

    >>> coarse_class("ccp", "jeans"), coarse_class("ccp", "romper"), coarse_class("ccp", "hat")
    ('trousers', 'ignore', None)
    """
    return SOURCES[source].get(name)


def class_index(name: str) -> int:
    """Index into COARSE_CLASSES.

    >>> class_index("dress")
    5
    """
    return COARSE_CLASSES.index(name)
