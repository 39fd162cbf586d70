"""Figure 10: what each scoring branch is worth, alone and together (paper, section 4.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from dprnet.core.classes import QUALITIES
from dprnet.core.records import Detections, FloatArray
from dprnet.evaluate.baselines import dprnet
from dprnet.evaluate.compare import Ranks, compare_methods
from dprnet.evaluate.figures import plain
from dprnet.evaluate.picking import PickingFigures, evaluate_picking
from dprnet.evaluate.reproduce.artefact import Artefact, Table, above, interval_text
from dprnet.evaluate.reproduce.curves import bars, new_figure, save_figure
from dprnet.evaluate.reproduce.study import Study
from dprnet.evaluate.seen import Seen

BRANCHES: tuple[tuple[str, ...], ...] = tuple(part for n in range(4) for part in combinations(QUALITIES, n))
ALL, NONE = "all three", "none"
Measured = tuple[PickingFigures, Ranks]


def figure10(study: Study, out: Path) -> Artefact:
    """Filter and best view with some of the branches switched off, everything else the same."""
    found = {name_of(branches): _measure(study, branches) for branches in BRANCHES}
    ranks = {name: one[1] for name, one in found.items()}
    together = replace(next(iter(ranks.values())), ranks={name: one.ranks["DPRNet"] for name, one in ranks.items()})
    rivals = (NONE, *QUALITIES)
    videos = len(study.shopset.videos)
    claims = [
        above(ALL, name, together.difference(ALL, name, 1), f"all three branches above {name}", videos)
        for name in rivals
    ]
    return Artefact(
        name="figure10",
        title="The scoring branches: none, each alone, pairs, all three",
        published="All three branches together are best, each alone is better than none (the numbers cannot be read).",
        claims=tuple(claims),
        tables=(_table(found, together),),
        pictures=(_draw(found, together, out / "figure10.png"),),
        notes=(
            "A branch that is switched off neither filters nor ranks. With none, the best view is the one of which "
            "the detector is most sure. Limits and cut distance stay as calibrated for all three together.",
        ),
        figures=plain(
            {
                name: {"recall": {k: together.recall(name, k) for k in study.settings.ks}, "picking": picking.counts}
                for name, (picking, _) in found.items()
            }
        ),
    )


def name_of(branches: Sequence[str]) -> str:
    """What a choice of branches is called.

    >>> name_of(()), name_of(("crop",)), name_of(("viewpoint", "occlusion", "crop"))
    ('none', 'crop', 'all three')
    """
    return NONE if not branches else ALL if len(branches) == len(QUALITIES) else " + ".join(branches)


def with_branches(detections: Detections, branches: Sequence[str]) -> Detections:
    """The detections as if only some of the three branches existed: the others say 1 of everything."""
    return replace(
        detections,
        viewpoint=detections.viewpoint if "viewpoint" in branches else _certain(detections.viewpoint),
        occlusion=detections.occlusion if "occlusion" in branches else _certain(detections.occlusion),
        crop=detections.crop if "crop" in branches else _certain(detections.crop),
    )


def _certain(probabilities: FloatArray) -> FloatArray:
    made = np.zeros_like(probabilities)
    made[:, 0] = 1
    return made


def _measure(study: Study, branches: Sequence[str]) -> Measured:
    seen, frames = study.at(study.settings.every)
    blind = [Seen(with_branches(video.detections, branches), video.truth, video.views, video.ignored) for video in seen]
    picking = evaluate_picking(blind, study.picking, set_id=study.shopset.id, every=study.settings.every)
    return picking, compare_methods(
        blind, frames, study.vectors, study.shelf, study.picking, {"DPRNet": [dprnet]}, best_only=True
    )


def _table(found: Mapping[str, Measured], together: Ranks) -> Table:
    rows = []
    for name, (picking, _) in found.items():
        less = together.difference(ALL, name, 1)
        against = "" if name == ALL else f"{less.value:+.3f} [{less.low:+.3f}, {less.high:+.3f}]"
        recalls = (interval_text(together.recall(name, k)) for k in (1, 5))
        rows.append((name, *recalls, against, interval_text(picking.r_optimal), interval_text(picking.r_pick)))
    heads = ("branches", "Recall@1", "Recall@5", "all three less this, Recall@1", "R_optimal", "R_pick")
    return Table(title="Scoring branches", columns=heads, rows=tuple(rows))


def _draw(found: Mapping[str, Measured], together: Ranks, path: Path) -> str:
    figure = new_figure(10.5, 3.9)
    left, right = figure.subplots(1, 2)
    bars(left, {name: together.recall(name, 1) for name in found}, "Recall@1 over all garments", ALL)
    bars(right, {name: one[0].r_optimal for name, one in found.items()}, "R_optimal of the picked", ALL)
    return save_figure(figure, path)
