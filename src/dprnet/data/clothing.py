"""The clothing data set: phone photos of single garments that nobody wears, sent in by many people.

Nearly every photo is a garment of its own, so the identity is the photo; all photos of a sender stay in one split,
because a sender may have sent one garment twice.
"""

from __future__ import annotations

import logging
from pathlib import Path

from dprnet.core.classes import CLOTHING, VIEWPOINTS
from dprnet.core.errors import BadDataset, MissingFile
from dprnet.data.labelled import Photo, coarse_index
from dprnet.data.splits import check_split, sender_rule, split_of
from dprnet.data.tables import read_table

log = logging.getLogger(__name__)

COLUMNS = ("image", "sender_id", "label", "kids")
UNUSABLE = ("Skip", "Not sure", "Other")
NO_GARMENT_OF_OURS = ("Shoes", "Hat")
NOT_WORN = VIEWPOINTS.index("not_worn")


def photos(root: Path | str, split: str, *, only_garments: bool = False) -> list[Photo]:
    """The photos of a split, in the order of images.csv; without those labelled Skip, Not sure or Other.

    Args:
        root: the folder that holds ``clothing``, or ``clothing`` itself.
        split: ``train``, ``validation`` or ``test``; by sender.
        only_garments: leave out shoes and hats too (their label is -1).

    Raises:
        MissingFile, BadDataset: the table is missing or wrong.
    """
    folder, wanted = folder_of(root), check_split(split)
    splits = split_of("clothing")
    found = []
    for _, row in read_table(folder / "images.csv", COLUMNS):
        # A sender that is new since the split files were made follows the rule they were made by.
        its_split = splits.get(row["sender_id"]) or sender_rule(row["sender_id"])
        label = coarse_index("clothing", row["label"])
        if its_split != wanted or row["label"] in UNUSABLE or (only_garments and label < 0):
            continue
        found.append(
            Photo(
                path=folder / "images" / f"{row['image']}.jpg",
                box_xyxy=None,
                instance=f"clothing/{row['image']}",
                label=label,
                domain="shop",
                viewpoint=NOT_WORN,
            )
        )
    log.info("clothing %s: %d photos", wanted, len(found))
    return found


def folder_of(root: Path | str) -> Path:
    """The folder of the data set: ``root/clothing``, or ``root`` where that holds images.csv."""
    root = Path(root)
    return root if (root / "images.csv").is_file() else root / "clothing"


def check_clothing(root: Path | str) -> list[str]:
    """All that is wrong with the files of clothing, as sentences with file, line and value; empty when all is well."""
    folder = folder_of(root)
    try:
        rows = read_table(folder / "images.csv", COLUMNS)
    except (BadDataset, MissingFile) as error:
        return [str(error)]
    known = {*CLOTHING, *UNUSABLE, *NO_GARMENT_OF_OURS}
    problems = []
    seen: dict[str, int] = {}
    for line, row in rows:
        where = f"images.csv line {line}"
        if row["label"] not in known:
            problems.append(f"{where}: label '{row['label']}' is unknown; known are {', '.join(sorted(known))}")
        if not (folder / "images" / f"{row['image']}.jpg").is_file():
            problems.append(f"{where}: images/{row['image']}.jpg does not exist")
        if row["image"] in seen:
            problems.append(f"{where}: image '{row['image']}' again, first in line {seen[row['image']]}")
        seen.setdefault(row["image"], line)
    return problems
