"""Figure 9: Recall@K of picking one view against using several (paper, section 4.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dprnet.evaluate.baselines import Method, dprnet, rank
from dprnet.evaluate.bootstrap import Interval
from dprnet.evaluate.compare import Ranks, compare_methods
from dprnet.evaluate.figures import plain
from dprnet.evaluate.groups import Grouping, answering, groups_of
from dprnet.evaluate.reproduce.artefact import Artefact, Claim, Table, above, interval_text
from dprnet.evaluate.reproduce.curves import COLOURS, MARKERS, bars, new_figure, save_figure
from dprnet.evaluate.reproduce.study import Study
from dprnet.evaluate.reproduce.teaching import all_methods

RIVALS = ("AsymNet", "Avg", "Max", "Last", "Max-detector-score")
OURS, TRACKER, ORACLE = "DPRNet", "IoU tracker, best view", "Oracle best view"
# In the order of the colours: ours, what the paper compares with, then the others; the oracle is grey.
DRAWN = (OURS, "AsymNet", "Avg", "Max", "Last", "SEAM", "Max-detector-score", ORACLE, "Avg-desc", "Whole-frame mean",
         TRACKER, "Largest box", "Medoid view")  # fmt: skip
NEAR = 0.05  # ours: how far below the oracle a picker may lie
GROUPINGS: Mapping[Grouping, str] = {
    "picked": "Our clusters that were picked (headline): the same queries for every method",
    "seen": "All our clusters, also those of which no view passes the filter (DPRNet with --fallback best)",
    "true": "Appendix: the detections of each true instance (an advantage that nobody has in practice)",
}
QUALITIES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # ours: edges of the bins of true quality


def figure9(study: Study, out: Path) -> Artefact:
    """Every method on the same frames, detections, embedder and gallery."""
    methods, learned, notes = all_methods(study)
    found: dict[Grouping, Ranks] = {name: _ranks(study, methods, name) for name in GROUPINGS}
    found["picked"] = _with_tracker(study, found["picked"])
    headline = found["picked"]
    videos = len(headline.videos)
    claims = [
        _with_note(above(OURS, name, headline.difference(OURS, name, 1), f"DPRNet above {name}", videos), name, learned)
        if name in headline.ranks
        else Claim(published=f"DPRNet above {name}", ours=f"{name} was not trained", holds=None)
        for name in RIVALS
    ]
    claims.append(_order(headline))
    claims.append(_near_the_oracle(headline.difference(OURS, ORACLE, 1)))
    return Artefact(
        name="figure9",
        title="Recall@K of video-to-shop methods",
        published="DPRNet > AsymNet > Avg, Max, Last (the order; the figure's numbers cannot be read).",
        claims=tuple(claims),
        tables=(
            *(_table(title, found[name], study) for name, title in GROUPINGS.items()),
            _by_class(headline),
            _by_quality(study),
        ),
        pictures=(_draw(headline, study.settings.ks, out / "figure9.png"),),
        notes=(
            f"{len(headline.garments)} garments with an item in {videos} videos, one frame every "
            f"{study.settings.every}, {len(study.shelf)} items. Over all garments: one that was missed is a miss for "
            "every method (the whole-frame mean needs no detector and answers for all). A cluster answers for the true "
            "instance that most of its views show, for every method alike.",
            *notes,
        ),
        figures=plain({name: _values(ranks, study) for name, ranks in found.items()}),
    )


def _ranks(
    study: Study, methods: Mapping[str, Sequence[Method]], grouping: Grouping, *, best_only: bool = False
) -> Ranks:
    seen, frames = study.at(study.settings.every)
    parts = (seen, frames, study.vectors, study.shelf, study.picking, methods)
    return compare_methods(*parts, grouping=grouping, best_only=best_only, progress=study.progress)


def _with_tracker(study: Study, ranks: Ranks) -> Ranks:
    tracked = _ranks(study, {TRACKER: [dprnet]}, "tracks", best_only=True)
    return replace(ranks, ranks={**ranks.ranks, **tracked.ranks})


def _with_note(claim: Claim, name: str, learned: int) -> Claim:
    """AsymNet is only as good as what it learned from: say how much that was."""
    if name != "AsymNet":
        return claim
    sentence = f"AsymNet learned its similarity from {learned} garments; from thousands it would come nearer."
    return claim.model_copy(update={"difference": f"{claim.difference} {sentence}".strip()})


def _order(ranks: Ranks) -> Claim:
    published = "AsymNet above Avg, Max and Last"
    if "AsymNet" not in ranks.ranks:
        return Claim(published=published, ours="AsymNet was not trained", holds=None)
    each = {name: ranks.difference("AsymNet", name, 1) for name in ("Avg", "Max", "Last")}
    ours = ", ".join(f"AsymNet less {name}: {one.value:+.3f}" for name, one in each.items())
    if all(one.low > 0 for one in each.values()):
        return Claim(published=published, ours=ours, holds=True)
    sentence = (
        "AsymNet learns its similarity from pairs alone and here from few garments; Avg, Max and Last use the "
        "embedder's cosine as it is, which was trained for just this."
    )
    return Claim(published=published, ours=ours, holds=None if any(one.high > 0 for one in each.values()) else False,
                 difference=sentence)  # fmt: skip


def _near_the_oracle(less: Interval) -> Claim:
    holds = True if less.value >= -NEAR else False if less.high < -NEAR else None
    sentence = (
        ""
        if holds
        else (
            "Some other view of the cluster would have been a better query: the scores do not tell which view this "
            "embedder needs (see recall by true quality below)."
        )
    )
    if holds is None:
        sentence += " The interval also contains losses below the limit: too few videos to tell."
    return Claim(
        published=f"(ours) DPRNet within {NEAR} of the Oracle at Recall@1",
        ours=f"DPRNet less Oracle: {less}",
        holds=holds,
        difference=sentence,
    )


def _sorted(ranks: Ranks) -> list[str]:
    return sorted(ranks.ranks, key=lambda name: (name != OURS, -np.nan_to_num(ranks.recall(name, 1).value)))


def _table(title: str, ranks: Ranks, study: Study) -> Table:
    rows = []
    for name in _sorted(ranks):
        cells = [interval_text(ranks.recall(name, k)) for k in study.settings.ks]
        less = ranks.difference(name, OURS, 1)
        against = "" if name == OURS else f"{less.value:+.3f} [{less.low:+.3f}, {less.high:+.3f}]"
        rows.append((name, *cells, interval_text(ranks.recall(name, 1, asked_only=True)), against))
    heads = ("method", *(f"Recall@{k}" for k in study.settings.ks), "Recall@1 of those asked", "less DPRNet, paired")
    asked = int(ranks.asked.sum())
    return Table(title=f"{title}; {asked} of {len(ranks.asked)} garments asked", columns=heads, rows=tuple(rows))


def _by_class(ranks: Ranks) -> Table:
    classes = ranks.per_class(OURS, 1)
    names = [name for name in (OURS, "Avg", ORACLE) if name in ranks.ranks]
    each = {name: ranks.per_class(name, 1) for name in names}
    rows = tuple((label, *(interval_text(each[name][label]) for name in names)) for label in classes)
    return Table(title="Recall@1 by class, over all garments", columns=("class", *names), rows=rows)


def _by_quality(study: Study) -> Table:
    """Recall@1 of every single view, by its true quality: whether a better view is a better query at all."""
    seen, frames = study.at(study.settings.every)
    hits: list[tuple[float, bool]] = []
    for video in seen:
        name = video.truth.name
        groups = answering(groups_of(video, study.picking, "true", frames[name]), video.detections)
        for number in video.truth.counted:
            group, items = groups.get(number), video.truth.right_items(number)
            if group is None or not items:
                continue
            rows = video.detections[group.rows]
            similarity = study.shelf.similarity(study.vectors(name, rows.frame_index, rows.boxes_xyxy))
            right = [study.shelf.index(item) for item in items]
            quality = video.truth.quality[video.views[group.rows]]
            hits += [(float(q), rank(s[None], right) == 1) for q, s in zip(quality, similarity, strict=True)]
    cells = []
    for low, high in pairwise(QUALITIES):
        inside = [hit for quality, hit in hits if low <= quality < high or quality == high == QUALITIES[-1]]
        share = f"{np.mean(inside):.3f}" if inside else "-"
        cells.append((f"{low:.1f} to {high:.1f}", str(len(inside)), share))
    heads = ("true quality of the view", "views", "right item first")
    return Table(title="Is a better view a better query? Every single view by itself", columns=heads, rows=tuple(cells))


def _draw(ranks: Ranks, ks: tuple[int, ...], path: Path) -> str:
    figure = new_figure(11.5, 5.0)
    lines, dots = figure.subplots(1, 2, width_ratios=(1, 1.1))
    for name in _sorted(ranks):
        values = [ranks.recall(name, k).value for k in ks]
        style = {"linestyle": "--", "markerfacecolor": "white"} if name == ORACLE else {}
        number = DRAWN.index(name)  # a method looks the same in every run, whatever its rank
        lines.plot(ks, values, marker=MARKERS[number], color=COLOURS[number], label=name,
                   linewidth=2.4 if name == OURS else 1.2, markersize=5, zorder=3 if name == OURS else 2,
                   **style)  # fmt: skip
    lines.set(xlabel="K", ylabel="Recall@K over all garments", ylim=(0, 1.02), xticks=ks)
    lines.grid(alpha=0.3)
    figure.legend(*lines.get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize="small")
    recalls = {name: ranks.recall(name, 1) for name in ranks.ranks}
    bars(dots, recalls, "Recall@1, 95 % interval over videos", OURS, ORACLE)
    return save_figure(figure, path)


def _values(ranks: Ranks, study: Study) -> dict[str, Any]:
    each: dict[str, Any] = {}
    for name in ranks.ranks:
        each[name] = {
            "recall": {k: ranks.recall(name, k) for k in study.settings.ks},
            "recall_of_asked": {k: ranks.recall(name, k, asked_only=True) for k in study.settings.ks},
            "dprnet_less_this_at_1": ranks.difference(OURS, name, 1),
            "ranks": ranks.ranks[name],
        }
    return {"methods": each, "garments": ranks.garments, "asked": ranks.asked}
