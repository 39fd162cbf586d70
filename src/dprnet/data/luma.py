"""The luma catalogue: photos of products in several colours, front and back.

The identity is product and colour; the same product in another colour is the hardest wrong answer (``Photo.item``
holds the product). Where only the main photo was dyed by hand, the other views show another colour and are left out;
so are photos of whole outfits, which show more than the product.
"""

from __future__ import annotations

import logging
from pathlib import Path

from dprnet.core.classes import LUMA, UNLABELLED
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.labelled import Photo, coarse_index
from dprnet.data.splits import check_split, luma_test_rule, split_of
from dprnet.data.tables import read_table

log = logging.getLogger(__name__)

INDEX_COLUMNS = ("file", "product", "category", "colour", "view")
PAIR_COLUMNS = ("product", "colour", "main", "back", "ab_distance", "likely_recoloured")
VIEWPOINT = {"main": 0, "back": 1}  # index into VIEWPOINTS; the other views (alt1 ...) differ from product to product
OUTFIT = "outfit"


def photos(root: Path | str, split: str) -> list[Photo]:
    """The photos of a split, in the order of index.csv.

    Args:
        root: the folder that holds ``luma``, or ``luma`` itself.
        split: ``train``, ``validation`` or ``test`` (40 products, 42 clean front/back pairs); by product.

    Raises:
        MissingFile, BadDataset: a table is missing or wrong; a product that no split holds.
    """
    folder, wanted = folder_of(root), check_split(split)
    pairs_table = read_table(folder / "front_back_pairs.csv", PAIR_COLUMNS)
    dyed = {(row["product"], row["colour"]) for _, row in pairs_table if row["likely_recoloured"] == "1"}
    splits = split_of("luma")
    found = []
    for line, row in read_table(folder / "index.csv", INDEX_COLUMNS):
        product = row["product"]
        if product not in splits:
            raise BadDataset(folder / "index.csv", f"line {line}: product '{product}' is in no split")
        other_colour = row["view"] != "main" and (product, row["colour"]) in dyed
        if splits[product] != wanted or other_colour or row["view"] == OUTFIT:
            continue
        found.append(
            Photo(
                path=folder / row["file"],
                box_xyxy=None,
                instance=f"luma/{product}-{row['colour']}",
                label=coarse_index("luma", row["category"]),
                domain="shop",
                viewpoint=VIEWPOINT.get(row["view"], UNLABELLED),
                item=f"luma/{product}",
            )
        )
    log.info("luma %s: %d photos of %d products", wanted, len(found), len({photo.item for photo in found}))
    return found


def pairs(root: Path | str, split: str) -> list[tuple[Photo, Photo]]:
    """The clean front/back pairs of a split: (main, back), one garment each.

    Raises:
        MissingFile, BadDataset: as :func:`photos`.
    """
    folder = folder_of(root)
    by_path = {photo.path: photo for photo in photos(root, split)}
    found = []
    for _, row in read_table(folder / "front_back_pairs.csv", PAIR_COLUMNS):
        main, back = by_path.get(folder / row["main"]), by_path.get(folder / row["back"])
        if row["likely_recoloured"] == "0" and main is not None and back is not None:
            found.append((main, back))
    return found


def folder_of(root: Path | str) -> Path:
    """The folder of the data set: ``root/luma``, or ``root`` where that holds index.csv."""
    root = Path(root)
    return root if (root / "index.csv").is_file() else root / "luma"


def check_luma(root: Path | str) -> list[str]:
    """All that is wrong with the files of luma, as sentences with file, line and value; empty when all is well."""
    folder = folder_of(root)
    try:
        index = read_table(folder / "index.csv", INDEX_COLUMNS)
        table = read_table(folder / "front_back_pairs.csv", PAIR_COLUMNS)
    except (BadDataset, MissingFile) as error:
        return [str(error)]
    problems = []
    splits = split_of("luma")
    for line, row in index:
        where = f"index.csv line {line}"
        if not (folder / row["file"]).is_file():
            problems.append(f"{where}: '{row['file']}' does not exist")
        if row["category"] not in LUMA:
            problems.append(f"{where}: category '{row['category']}' is unknown; known are {', '.join(LUMA)}")
        if row["product"] not in splits:
            problems.append(f"{where}: product '{row['product']}' is in no split")
    files = {row["file"] for _, row in index}
    for line, row in table:
        where = f"front_back_pairs.csv line {line}"
        problems += [
            f"{where}: {name} '{row[name]}' is not in index.csv" for name in ("main", "back") if row[name] not in files
        ]
        if row["likely_recoloured"] not in {"0", "1"}:
            problems.append(f"{where}: likely_recoloured '{row['likely_recoloured']}' is neither 0 nor 1")
    for product in sorted(luma_test_rule(row for _, row in table)):
        if splits.get(product, "test") != "test":
            problems.append(f"front_back_pairs.csv: product '{product}' belongs to the test split by its rule")
    return problems
