"""Figure 5: views of one garment a row with their three scores, the pick marked (paper, section 4.2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dprnet.core.classes import COARSE_CLASSES, QUALITIES
from dprnet.core.images import cut_out, shrink
from dprnet.core.records import Image, IntArray
from dprnet.evaluate.groups import Group, groups_of
from dprnet.evaluate.metrics import balanced_accuracy
from dprnet.evaluate.picking import shown_instances
from dprnet.evaluate.reproduce.artefact import Artefact, Claim, Table
from dprnet.evaluate.reproduce.curves import sheet
from dprnet.evaluate.reproduce.study import Study
from dprnet.evaluate.seen import Seen

ROWS, COLUMNS = 5, 6  # ours; the paper shows some rows of one video each
SIDE = 240  # ours: pixels


def figure5(study: Study, out: Path) -> Artefact:
    """The garments whose views differ most in quality, one a video."""
    seen, frames = study.at(study.settings.every)
    chosen = []
    for video in seen:
        groups = groups_of(video, study.picking, "picked", frames[video.truth.name])
        known = [part for group in groups if (part := _of_one_garment(video, group)) is not None]
        wide = [(group, _spread(video, group)) for group in known if len(group.rows) >= COLUMNS]
        if wide:
            chosen.append((video, *max(wide, key=lambda pair: pair[1])))
    chosen.sort(key=lambda one: -one[2])
    rows, titles = [], []
    for video, group, _ in chosen[:ROWS]:
        found = video.detections
        shown = _evenly(video, group)
        images = _crops(study, video, shown)
        texts = [_text(video, int(row)) for row in shown]
        rows.append([(image, text, row == group.rows[group.best])
                     for image, text, row in zip(images, texts, shown, strict=True)])  # fmt: skip
        titles.append(f"{video.truth.name}, {COARSE_CLASSES[int(found.labels[shown[0]])]}")
    pictures = (sheet(rows, titles, out / "figure5.png"),) if rows else ()
    return Artefact(
        name="figure5",
        title="Scores of the views of a garment",
        published="Examples: the three scores follow what the eye sees of viewpoint, occlusion and crop.",
        claims=(_agreement(seen),),
        tables=(_accuracy(seen),),
        pictures=pictures,
        notes=(
            "Each row is one garment of one video (of those that were picked, the ones whose views differ most); below "
            "each view P(frontal), "
            "P(slight occlusion), P(not cropped), and in brackets what is true. The pick has a frame.",
        ),
        figures={"rows": titles},
    )


def _of_one_garment(video: Seen, group: Group) -> Group | None:
    """The views that truly show the garment of the pick: only of those is known what the scores should say."""
    shown = shown_instances(video)[group.rows]
    best = int(group.rows[group.best])
    if shown[group.best] < 0:
        return None
    rows = group.rows[shown == shown[group.best]]
    return Group(rows, int(np.flatnonzero(rows == best)[0]), int(shown[group.best]))


def _spread(video: Seen, group: Group) -> float:
    overall = video.detections.overall[group.rows]
    return float(overall.max() - overall.min())


def _evenly(video: Seen, group: Group) -> IntArray:
    """The pick and five more views over the range of the quality, in order of time."""
    order = group.rows[np.argsort(video.detections.overall[group.rows], kind="stable")]
    others = order[order != group.rows[group.best]]
    places = np.unique(np.linspace(0, len(others) - 1, COLUMNS - 1).round().astype(int))
    rows = np.append(others[places], group.rows[group.best])
    return rows[np.argsort(video.detections.time_s[rows], kind="stable")]


def _crops(study: Study, video: Seen, rows: IntArray) -> list[Image]:
    from dprnet.decode import frames_at

    found = video.detections
    frames = {f.index: f.image for f in frames_at(study.shopset.video_path(video.truth.name),
                                                  found.frame_index[rows].tolist())}  # fmt: skip
    return [shrink(cut_out(frames[int(found.frame_index[row])], found.boxes_xyxy[row]), SIDE) for row in rows]


def _text(video: Seen, row: int) -> str:
    found, truth, view = video.detections, video.truth, int(video.views[row])
    scores = found.quality[row]
    true = (
        "frontal" if truth.frontal[view] else "turned",
        f"{truth.occluded[view]:.0%} covered",
        f"{truth.cut_off[view]:.0%} cut off",
    )
    lines = [f"{name} {score:.2f} ({what})" for name, score, what in zip(QUALITIES, scores, true, strict=True)]
    return "\n".join([f"{found.time_s[row]:.1f} s", *lines])


def _truths(seen: list[Seen]) -> dict[str, tuple[IntArray, IntArray]]:
    """Of every detection that shows a garment: whether it is truly good, and whether its score says so."""
    good: dict[str, list[IntArray]] = {name: [] for name in QUALITIES}
    said: dict[str, list[IntArray]] = {name: [] for name in QUALITIES}
    for video in seen:
        rows = np.flatnonzero(video.views >= 0)
        views, truth = video.views[rows], video.truth
        true = (truth.frontal[views], truth.occluded[views] < 0.2, truth.cut_off[views] <= 0.05)
        for column, name in enumerate(QUALITIES):
            good[name].append(true[column].astype(np.int64))
            said[name].append((video.detections.quality[rows, column] > 0.5).astype(np.int64))
    return {name: (np.concatenate(good[name]), np.concatenate(said[name])) for name in QUALITIES}


def _accuracy(seen: list[Seen]) -> Table:
    rows = tuple(
        (name, str(len(good)), f"{good.mean():.3f}" if len(good) else "-", f"{balanced_accuracy(good, said):.3f}")
        for name, (good, said) in _truths(seen).items()
    )
    columns = ("score", "views", "truly good", "balanced accuracy at 0.5")
    return Table(title="How well the scores tell good views from others", columns=columns, rows=rows)


def _agreement(seen: list[Seen]) -> Claim:
    each = {name: balanced_accuracy(good, said) for name, (good, said) in _truths(seen).items()}
    worst = min(each, key=lambda name: each[name])
    holds = bool(each[worst] >= 0.75)
    sentence = "" if holds else f"The {worst} score is weak at 0.5: {each[worst]:.2f}, where 0.5 is guessing."
    ours = ", ".join(f"{name} {value:.2f}" for name, value in each.items())
    return Claim(published="The scores are accurate (shown by examples)", ours=f"balanced accuracy: {ours}",
                 holds=holds, difference=sentence)  # fmt: skip
