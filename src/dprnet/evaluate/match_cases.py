"""Picks that were searched, with what their first item truly is to them: the data that matching is calibrated on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dprnet.core.classes import COARSE_CLASSES
from dprnet.core.progress import Progress, Silent
from dprnet.core.records import IntArray, Match
from dprnet.data.shopset import ShopSet
from dprnet.evaluate.metrics import match_views
from dprnet.evaluate.picking import shown_instances
from dprnet.evaluate.seen import Seen
from dprnet.evaluate.video_to_shop import Search
from dprnet.gallery.decision import likeness
from dprnet.pick import PickConfig, pick
from dprnet.pipeline.categories import coarse_label

NONE, SIMILAR, EXACT = 0, 1, 2
NOTHING = -1  # the instance of a pick that shows no garment
CUT = ("sleeve", "length", "neckline")  # beside the class of DeepFashion2; what the world's catalogue tells of a cut
DEPTH = 20  # ours: items that are looked at behind the right one, where that is hidden


@dataclass(frozen=True, slots=True)
class MatchCase:
    """One pick and its first item."""

    video: str
    label: int
    """Coarse class as the detector says: index into COARSE_CLASSES."""
    similarity: float
    margin: float
    """To the next item; NaN where there is none."""
    relation: int
    """NONE, SIMILAR or EXACT: what the item truly is to the garment."""
    instance: int = NOTHING
    """The true garment that the pick shows, of whatever class, or NOTHING."""
    sold: bool = False
    """The shop has the garment."""
    hidden: bool = False
    """The shop has it, but its item was left out of the answers: what happens where a shop does not have it."""
    same_class: bool = True
    """The pick is of the garment's coarse class."""
    overall: float = 0.0
    """Overall quality of the pick: of two picks of a garment, the better one speaks for it."""


def match_cases(
    shopset: ShopSet,
    seen: Sequence[Seen],
    config: PickConfig,
    search: Search,
    *,
    hide: bool = False,
    progress: Progress | None = None,
) -> list[MatchCase]:
    """Every pick of the videos with the relation of its first item; picks in ignored regions are left out.

    A pick shows the true garment of its class that it overlaps most, or else that of any class: a jacket that was taken
    for a top still shows that jacket, and its item is found or not.

    Args:
        seen: detections and truth of each video.
        search: as :func:`dprnet.evaluate.video_to_shop.gallery_search` makes it.
        hide: also give each garment that the shop has as one that it does not have, its items left out of the answers.
    """
    looks = garment_looks(shopset)
    cases: list[MatchCase] = []
    for video in (progress or Silent()).track(seen, "searching", len(seen)):
        picks = pick(video.detections, config)
        best = picks.best[picks.picked]
        best = best[(video.views[best] >= 0) | ~video.ignored[best]]
        views = video.detections[best]
        found = search(shopset.video_path(video.truth.name), views, DEPTH) if len(best) else []
        strict, shown = shown_instances(video)[best], shown_in_any_class(video)[best]
        for row, items in enumerate(found):
            number = int(shown[row])
            right = video.truth.right_items(number)
            ways = [(False, items)]
            if hide and right:
                ways.append((True, [item for item in items if item.item_id not in right]))
            for hidden, answers in ways:
                if not answers:
                    continue
                similarity, margin = likeness(answers)
                cases.append(
                    MatchCase(
                        video=video.truth.name,
                        label=int(views.labels[row]),
                        similarity=similarity,
                        margin=margin,
                        relation=EXACT if answers[0].item_id in right else relation(looks.get(number), answers[0]),
                        instance=number,
                        sold=bool(right) and not hidden,
                        hidden=hidden,
                        same_class=bool(strict[row] == number),
                        overall=float(views.overall[row]),
                    )
                )
    return cases


def shown_in_any_class(seen: Seen) -> IntArray:
    """(N,) the true instance that each detection shows: of its own class, else of any, or NOTHING."""
    strict = shown_instances(seen)
    truth, found = seen.truth, seen.detections
    anything = np.full(len(truth.label), -1, np.int64)
    rows = match_views(found.frame_index, found.boxes_xyxy, found.labels, truth.frame_index, truth.boxes_xyxy, anything)
    loose = np.where(rows >= 0, truth.instance[rows], NOTHING) if len(truth.instance) else strict
    shown: IntArray = np.where(strict >= 0, strict, loose)
    return shown


def garment_looks(shopset: ShopSet) -> dict[int, Mapping[str, str]]:
    """Class, print and cut of each garment of a set, by instance; those that nobody described are left out."""
    looks: dict[int, Mapping[str, str]] = {}
    for row in shopset.instances.select(["instance", "label", "attributes"]).to_pylist():
        told = json.loads(row["attributes"]) if row["attributes"] else {}
        if row["label"] >= 0 and told:
            looks[row["instance"]] = {
                "coarse": COARSE_CLASSES[row["label"]],
                "category": str(told.get("class", "")),
                **{name: str(told.get(name, "")) for name in ("print", *CUT)},
            }
    return looks


def relation(garment: Mapping[str, str] | None, item: Match) -> int:
    """What an item that is not the garment's own is to it: SIMILAR where the coarse class is the same, and the print
    or the cut (class of DeepFashion2, sleeve, length and neckline), by what garment and catalogue say; else NONE.

    >>> shirt = {"coarse": "top", "category": "vest", "print": "dots", "sleeve": "none", "length": "", "neckline": "v"}
    >>> relation(shirt, Match("a", 0.9, category="vest", metadata={"print": "dots", "sleeve": "none"}))
    1
    >>> relation(shirt, Match("a", 0.9, category="vest", metadata={"print": "plain", "sleeve": "none"}))
    0
    >>> relation(shirt, Match("a", 0.9, category="skirt", metadata={"print": "dots"})), relation(None, Match("a", 0.9))
    (0, 0)
    """
    label = coarse_label(item.category)
    if garment is None or label is None or COARSE_CLASSES[label] != garment["coarse"]:
        return NONE
    same_print = bool(garment["print"]) and item.metadata.get("print", "") == garment["print"]
    same_cut = item.category == garment["category"] and all(
        item.metadata.get(name, "") == garment[name] for name in CUT
    )
    return SIMILAR if same_print or same_cut else NONE
