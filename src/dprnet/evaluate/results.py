"""What ``dprnet evaluate detection|instances|clips`` measured, as one page of Markdown for the documentation.

Read from the JSON files that those verbs wrote, so that no figure is typed by hand; beside each what was aimed at.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dprnet.core.errors import BadReport
from dprnet.evaluate.reproduce.markdown import PICTURES, small_png, table_lines
from dprnet.report.json_report import write_whole

NAME = "measured.md"
AIMS: Mapping[str, float] = {"viewpoint": 0.90, "occlusion": 0.85, "crop": 0.95}
"""Balanced accuracy of the scoring branches on the made-up test set (ours)."""
FRONT_BACK_AIM = 0.85  # ours: on the shop photos of the test products
CLUSTERING_AIM = 0.90  # ours: F1 of the instance branch, and above every other way
STREET_AIMS: Mapping[str, float] = {"ap50_large": 0.75, "ap_large": 0.45}
"""Average precision on street photos, over the classes with 25 boxes or more (ours)."""


@dataclass(frozen=True, slots=True)
class Part:
    """One section: the file it is read from, its picture, and the command that writes both."""

    title: str
    file: str
    picture: str
    command: str


PARTS = (
    Part("Detector and scores, made-up test videos", "detection-videos.json", "branches.png",
         "dprnet evaluate detection out/world/test --plot {folder}/branches.png"),
    Part("Detector and scores, real photos", "detection.json", "",
         'dprnet evaluate detection "$DPRNET_DATA"'),
    Part("Telling garments apart", "instances.json", "instances.png",
         "dprnet evaluate instances out/world/test --validation out/world/validation "
         "--plot {folder}/instances.png"),
    Part("Picking on real people", "clips.json", "clips.png",
         'dprnet evaluate clips "$DPRNET_DATA/videos" --sheet {folder}/clips.png'),
)  # fmt: skip


def write_results(
    figures: Path, folder: Path, *, bundle: str = "tiny", identity: str = "", machine: str = "", date: str = ""
) -> Path:
    """Write ``measured.md`` and its pictures.

    Args:
        figures: folder of the JSON files and pictures, by the names in :data:`PARTS`; what is not there is said to be.
        folder: where to write.
        bundle: as it was named on the command line.
        identity: of the bundle that was measured.
        machine, date: where and when.

    Returns:
        The page's path.

    Raises:
        BadReport: a file of figures is damaged.
        BadImage: a picture is.
    """
    lines = ["# Measured", "", "Written by `dprnet evaluate results`; do not edit.", ""]
    lines += [f"Bundle {identity or bundle}{''.join(f', {part}' for part in (machine, date) if part)}.", ""]
    for part in PARTS:
        found = _read(figures / part.file)
        command = part.command.format(folder=figures) + f" --bundle {bundle} --out {figures / part.file}"
        lines += [f"## {part.title}", "", "```sh", command, "```", ""]
        if found is None:
            lines += ["Not measured.", ""]
            continue
        if part.picture and (figures / part.picture).is_file():
            write_whole(folder / PICTURES / part.picture, small_png(figures / part.picture))
            lines += [f"![{part.title}]({PICTURES}/{part.picture})", ""]
        try:
            lines += [*_SECTIONS[part.file](found), "", f"Detector {found['detector']}.", ""]
        except (KeyError, TypeError, AttributeError) as error:
            raise BadReport(figures / part.file, f"lacks {error}; write it again with `{command}`") from None
    path = folder / NAME
    write_whole(path, ("\n".join(lines).rstrip() + "\n").encode())
    return path


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadReport(path, f"is no file of figures ({type(error).__name__}); write it again") from None


def _videos(found: Mapping[str, Any]) -> Iterator[str]:
    return _detection(found, AIMS, {})


def _street(found: Mapping[str, Any]) -> Iterator[str]:
    return _detection(found, {}, STREET_AIMS)


def _detection(
    found: Mapping[str, Any], branch_aims: Mapping[str, float], box_aims: Mapping[str, float]
) -> Iterator[str]:
    names = {"ap50": "AP50, six classes", "ap": "AP, six classes", "ap50_large": "AP50, classes with 25 boxes or more",
             "ap_large": "AP, classes with 25 boxes or more"}  # fmt: skip
    yield from table_lines(
        (f"{found['images']:,} images", "figure", "aim"),
        [
            (name, _between(found[key], found[f"{key}_interval"]), _aim(found[key], box_aims.get(key)))
            for key, name in names.items()
        ],
    )
    yield ""
    yield from _branches(found["branches"], branch_aims)
    front_back = found.get("front_back")
    if front_back:
        value = front_back["balanced_accuracy"]
        yield ""
        yield f"Front against back on {front_back['boxes']} shop photos: {_between(value, front_back['interval'])}"
        yield f"(aim {_aim(value, FRONT_BACK_AIM)})."


def _branches(branches: Mapping[str, Any], aims: Mapping[str, float]) -> Iterator[str]:
    rows = []
    for name, branch in branches.items():
        if not branch["boxes"]:
            rows.append((name, "0", "no labels", "", "", ""))
            continue
        value = branch["balanced_accuracy"]
        rows.append(
            (name, f"{branch['boxes']:,}", _between(value, branch["interval"]), _aim(value, aims.get(name)),
             _figure(_good_or_not(branch["confusion"])),
             ", ".join(f"{label.replace('_', ' ')} {share:.3f}" for label, share in branch["recalls"].items()))
        )  # fmt: skip
    heads = ("score", "boxes", "balanced accuracy", "aim", "good view or not", "of each class right")
    yield from table_lines(heads, rows)
    yield ""
    yield "*Good view or not*: balanced accuracy of the first class against the others, the one thing that picking asks"
    yield "(at limits of its own)."


def _good_or_not(confusion: list[list[int]]) -> float:
    """Balanced accuracy of the first class against all others, judged as the branch judged.

    >>> _good_or_not([[9, 1, 0], [2, 3, 0], [0, 0, 5]])
    0.85
    """
    good, others = confusion[0], [sum(column) for column in zip(*confusion[1:], strict=True)]
    if not sum(good) or not sum(others):
        return math.nan
    return float((good[0] / sum(good) + 1 - others[0] / sum(others)) / 2)


def _instances(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['views']:,} views in {found['videos']} videos, one frame every {found['every']}; the cut of each way"
    yield "is fitted on the validation videos. The instance branch is to lie above every other way, too."
    yield ""
    rows = []
    for way in found["methods"]:
        less = way["behind_first"]
        against = f"{less['value']:+.3f} [{less['low']:+.3f}, {less['high']:+.3f}]" if less else ""
        rows.append(
            (way["name"], f"{way['cut']:.2f}", _interval(way["f1"]), _aim(way["f1"]["value"], None if less else
             CLUSTERING_AIM), _interval(way["adjusted_rand"]), _figure(way["auc"]), against)
        )  # fmt: skip
    heads = ("way", "cut", "clustering F1", "aim", "adjusted Rand index", "area of same/different", "F1 less this")
    yield from table_lines(heads, rows)


def _clips(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{len(found['clips'])} clips, {found['garments']} garments that count, {found['annotated_views']} boxes"
    yield "annotated by eye; too few garments, and far too few people, for intervals."
    yield ""
    picked, good = found["picked_with_good_view"], found["with_good_view"]
    balanced = found["balanced_accuracy"]
    missed = [f"{reason} {count}" for reason, count in found["missed"].items() if count]
    rows = [
        ("R_pick", _figure(found["r_pick"])),
        ("garments with a good view that are picked", f"{picked} of {good}"),
        ("R_duplication", _figure(found["r_duplication"])),
        ("R_optimal", _figure(found["r_optimal"])),
        ("precision of picks", _figure(found["precision"])),
        ("not picked, and why", ", ".join(missed) or "none"),
        *((f"balanced accuracy, {name}", _figure(value)) for name, value in balanced.items()),
        ("agreement of two passes, boxes (IoU)", _figure(found["agreement"]["iou"])),
    ]
    yield from table_lines(("what", "figure"), rows)
    yield ""
    counts = ("instances", "picked", "duplicated", "optimal", "picks", "right")
    each = [(name, *(str(clip[key]) for key in counts)) for name, clip in found["clips"].items()]
    yield from table_lines(("clip", *counts), each)


_SECTIONS: Mapping[str, Any] = {
    "detection-videos.json": _videos,
    "detection.json": _street,
    "instances.json": _instances,
    "clips.json": _clips,
}


def _aim(value: float | None, aim: float | None) -> str:
    """
    >>> _aim(0.9, 0.85), _aim(0.8, 0.85), _aim(0.8, None)
    ('0.85: reached', '0.85: missed', '')
    """
    return "" if aim is None or value is None else f"{aim:.2f}: {'reached' if value >= aim else 'missed'}"


def _figure(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _between(value: float | None, ends: list[float | None]) -> str:
    return _figure(value) if None in ends else f"{_figure(value)} [{_figure(ends[0])}, {_figure(ends[1])}]"


def _interval(found: Mapping[str, float]) -> str:
    return _between(found["value"], [found["low"], found["high"]])
