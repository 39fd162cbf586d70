"""Everything that is odd in a copy of DeepFashion2, as sentences with file and value; nothing is trained.

One pass, a file at a time. Beside what a reader refuses it lists the data set's known traps: a style without a partner,
two garments under one (pair_id, style), garments without landmarks, category names that differ between copies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image as Pil

from dprnet.core.errors import DprnetError
from dprnet.data.deepfashion2 import annotation_stems, split_folder
from dprnet.data.deepfashion2_files import CATEGORIES, LANDMARKS, Annotation, Item, read_annotation

MOST_OF_A_KIND = 5  # ours: what is wrong once is often wrong everywhere; five examples and a count say it
EDGE = 2.0  # ours: pixels by which a box may leave its image
MOST_OUTSIDE = 0.25  # ours: share of a garment's landmarks that may lie beside its box
ZOOMS = ("unknown", "none", "medium", "large")


@dataclass(slots=True)
class Checked:
    """What a pass over a split found."""

    images: int = 0
    garments: int = 0
    problems: list[str] = field(default_factory=list)
    crops: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Garments by (zoom_in, crop label)."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Problems by kind, all of them."""

    def cropped(self, zoom_in: int) -> float:
        """Share of cropped among the garments of a zoom_in whose crop label is known; NaN where there are none."""
        counts = [self.crops[zoom_in, crop] for crop in (0, 1)]
        return counts[1] / sum(counts) if sum(counts) else float("nan")

    def told(self) -> str:
        """Size, and the cross-check of the crop rule: cropped garments of each zoom_in."""
        shares = ", ".join(
            f"{name} {self.cropped(zoom):.0%}" for zoom, name in enumerate(ZOOMS) if self.cropped(zoom) >= 0
        )
        return f"{self.images} images, {self.garments} garments, cropped by zoom_in: {shares or 'none is labelled'}"

    def say(self, kind: str, sentence: str) -> None:
        """Note a problem; of each kind the first few are kept as sentences."""
        self.kinds[kind] += 1
        if self.kinds[kind] <= MOST_OF_A_KIND:
            self.problems.append(sentence)

    def close(self) -> None:
        """Add a line for each kind of which more were found than are listed."""
        for kind, count in self.kinds.items():
            if count > MOST_OF_A_KIND:
                self.problems.append(f"and {count - MOST_OF_A_KIND} more: {kind}")


@dataclass(slots=True)
class _Pair:
    """What is known of one (pair_id, style)."""

    first: str
    images: int = 0
    categories: set[int] = field(default_factory=set)


def check_deepfashion2(root: Path | str, split: str = "train") -> Checked:
    """Read all annotations and image headers of a split.

    Raises:
        MissingFile: no such folder.
        BadDataset: no annotation file at all.
    """
    folder = split_folder(root, split)
    found = Checked()
    pairs: dict[tuple[int, int], _Pair] = {}
    for stem in annotation_stems(folder):
        name = f"annos/{stem}.json"
        found.images += 1
        try:
            read = read_annotation(folder / name)
        except DprnetError as error:
            found.say("files that cannot be used", f"{name}: {error.sentence}")
            continue
        size = _size(folder, stem, found)
        for item in read.items:
            found.garments += 1
            found.crops[item.zoom_in, item.crop] += 1
            for kind, sentence in _odd(item, size):
                found.say(kind, f"{name}: {item.key}.{sentence}")
        _note_pairs(read, name, pairs, found)
    _check_pairs(pairs, found)
    if found.cropped(3) <= found.cropped(1):
        share = f"{found.cropped(3):.0%} of zoom_in 3 against {found.cropped(1):.0%} of zoom_in 1"
        found.say("crop rule", f"the landmarks call {share} cropped; wanted more of the first: do they mean the same?")
    found.close()
    return found


def _size(folder: Path, stem: str, found: Checked) -> tuple[int, int] | None:
    try:
        with Pil.open(folder / "image" / f"{stem}.jpg", formats=("JPEG",)) as opened:
            return opened.size
    except FileNotFoundError:
        found.say("missing images", f"image/{stem}.jpg: is annotated, but there is no such image")
    except Exception as error:  # Pillow raises nearly every type there is on broken files
        found.say("damaged images", f"image/{stem}.jpg: no JPEG, or a damaged one ({type(error).__name__})")
    return None


def _odd(item: Item, size: tuple[int, int] | None) -> Iterator[tuple[str, str]]:
    """(kind, sentence) of what a reader accepts all the same."""
    wanted = CATEGORIES[item.category_id - 1]
    if item.category_name != wanted:
        told = f"category_name {item.category_name!r} is not '{wanted}', which category_id {item.category_id} means"
        yield "category names that differ (category_id counts)", told
    if not any(item.visibility):
        yield "garments without landmarks (crop unlabelled)", "landmarks: none is labelled"
    elif len(item.visibility) != LANDMARKS[item.category_id - 1]:
        told = f"landmarks: {len(item.visibility)} of them; category {item.category_id} has "
        yield "numbers of landmarks", f"{told}{LANDMARKS[item.category_id - 1]}"
    x1, y1, x2, y2 = item.box_xyxy
    if size and (min(x1, y1) < -EDGE or x2 > size[0] + EDGE or y2 > size[1] + EDGE):
        told = f"bounding_box {list(item.box_xyxy)} leaves the image of {size[0]} x {size[1]} pixels"
        yield "boxes outside their image", f"{told}; wanted corners x1 y1 x2 y2"
    if item.outside > MOST_OUTSIDE:
        told = f"bounding_box {list(item.box_xyxy)} does not hold {item.outside:.0%} of its landmarks"
        yield "boxes beside their landmarks", f"{told}; wanted corners x1 y1 x2 y2, not left top width height"


def _note_pairs(read: Annotation, name: str, pairs: dict[tuple[int, int], _Pair], found: Checked) -> None:
    here: set[tuple[int, int]] = set()
    for item in read.items:
        if not item.style:
            continue
        pair = pairs.setdefault((read.pair_id, item.style), _Pair(name))
        if (item.style, item.category_id) in here:
            told = f"{item.key} is style {item.style} of pair {read.pair_id}, as another item of this file"
            found.say("two boxes of one garment in one image", f"{name}: {told}")
        elif item.style not in {style for style, _ in here}:
            pair.images += 1
        here.add((item.style, item.category_id))
        pair.categories.add(item.category_id)


def _check_pairs(pairs: dict[tuple[int, int], _Pair], found: Checked) -> None:
    for (pair_id, style), pair in pairs.items():
        where = f"{pair.first}: pair_id {pair_id}, style {style}"
        if len(pair.categories) > 1:
            told = f"is given to categories {', '.join(map(str, sorted(pair.categories)))}; each is its own garment"
            found.say("two garments under one (pair_id, style)", f"{where} {told}")
        if pair.images == 1:
            found.say("styles above 0 without a partner", f"{where} has no partner in any other image")
