"""Figure 5: views of one garment a row with their three scores, the pick marked (paper, section 4.2)."""

from __future__ import annotations

import math
from pathlib import Path

from dprnet.evaluate.groups import groups_of
from dprnet.evaluate.reproduce.artefact import Artefact, Claim, Table
from dprnet.evaluate.reproduce.study import Study
from dprnet.evaluate.score_sheet import COLUMNS, balanced, good_and_said, of_one_garment, score_sheet, spread
from dprnet.evaluate.seen import Seen

ROWS = 5  # ours


def figure5(study: Study, out: Path) -> Artefact:
    """The garments whose views differ most in quality, one a video."""
    seen, frames = study.at(study.settings.every)
    chosen = []
    for video in seen:
        groups = groups_of(video, study.picking, "picked", frames[video.truth.name])
        known = [part for group in groups if (part := of_one_garment(video, group)) is not None]
        wide = [group for group in known if len(group.rows) >= COLUMNS]
        if wide:
            chosen.append((video, max(wide, key=lambda group: spread(video, group))))
    chosen.sort(key=lambda row: -spread(*row))
    titles = score_sheet(chosen[:ROWS], study.shopset.video_path, out / "figure5.png")
    return Artefact(
        name="figure5",
        title="Scores of the views of a garment",
        published="Examples: the three scores follow what the eye sees of viewpoint, occlusion and crop.",
        claims=(_agreement(seen),),
        tables=(_accuracy(seen),),
        pictures=("figure5.png",) if titles else (),
        notes=(
            "Each row is one garment of one video (of those that were picked, the ones whose views differ most); below "
            "each view P(frontal), P(slight occlusion), P(not cropped), and in brackets what is true. The pick has a "
            "frame.",
        ),
        figures={"rows": titles},
    )


def _accuracy(seen: list[Seen]) -> Table:
    each = balanced(seen)
    rows = tuple(
        (name, str(len(good)), f"{good.mean():.3f}" if len(good) else "-", f"{each[name]:.3f}")
        for name, (good, _) in good_and_said(seen).items()
    )
    columns = ("score", "views", "truly good", "balanced accuracy at 0.5")
    return Table(title="How well the scores tell good views from others", columns=columns, rows=rows)


def _agreement(seen: list[Seen]) -> Claim:
    each = {name: value for name, value in balanced(seen).items() if not math.isnan(value)}
    published = "The scores are accurate (shown by examples)"
    if not each:
        return Claim(published=published, ours="-", holds=None, difference="No view of this set is labelled.")
    worst = min(each, key=lambda name: each[name])
    holds = bool(each[worst] >= 0.75)
    sentence = "" if holds else f"The {worst} score is weak at 0.5: {each[worst]:.2f}, where 0.5 is guessing."
    ours = ", ".join(f"{name} {value:.2f}" for name, value in each.items())
    return Claim(published=published, ours=f"balanced accuracy: {ours}", holds=holds, difference=sentence)
