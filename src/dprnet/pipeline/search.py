"""The flow on one page, as in the paper's figure 2: decode -> detect -> pick -> embed -> match -> report.

Frames stream: what is kept while a video runs is one record of detections, no pixels. After picking, only the frames
of the best views (and of some that lost, where a page shows them) are decoded a second time, at full size.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import numpy as np

from dprnet.core.bundle import Bundle
from dprnet.core.config import parse_settings
from dprnet.core.graphs import Runtime
from dprnet.core.lanes import Idle
from dprnet.core.progress import SILENT, Progress, Stopwatch
from dprnet.core.records import Detections, Embeddings, Matches, Picks, Report
from dprnet.decode import DecodeLimits, Every, prepare
from dprnet.decode.spool import Spool
from dprnet.detect import Detector
from dprnet.embed.embedder import Embedder
from dprnet.gallery import Gallery, IndexConfig, SearchKind, matching_of
from dprnet.pick import PickConfig, pick
from dprnet.pipeline.crops import Cutter, lost_views
from dprnet.pipeline.joining import in_order_of_a_report, side_by_side, unpicked
from dprnet.pipeline.looking import Looking, Seen
from dprnet.pipeline.matching import check_filter, matched
from dprnet.report import Pictures, read_photos

Until = Literal["detect", "pick", "embed"]
Fallback = Literal["best"]

EVERY = "0.5s"  # ours: a garment in view for a second is looked at twice
ITEMS = 5  # ours: what fits beside a garment on a page; recall is reported up to 5
LOST_PER_GARMENT = 6  # ours


class VideoToShop:
    """Finds the clothes worn in videos in a shop's catalogue; loads its networks once, then works per call."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        gallery: Gallery | Path | str | None = None,
        kind: SearchKind = "auto",
        device: str = "cpu",
        runtime: Runtime | str = "auto",
        limits: DecodeLimits | None = None,
    ) -> None:
        prepare()  # loads while the networks do
        self.bundle = bundle
        self.detector = Detector.from_bundle(bundle, device=device, runtime=runtime)
        self.embedder = Embedder.from_bundle(bundle, device=device, runtime=runtime)
        self.picking = parse_settings(dict(bundle.settings("picking")), PickConfig, f"{bundle.name}.picking")
        self.matching = matching_of(bundle)
        self.limits = limits or DecodeLimits()
        self.gallery = self._opened(gallery, kind)

    @classmethod
    def from_pretrained(
        cls,
        bundle: str | Path | Bundle = "tiny",
        *,
        gallery: Gallery | Path | str | None = None,
        kind: SearchKind = "auto",
        device: str = "cpu",
        runtime: Runtime | str = "auto",
        limits: DecodeLimits | None = None,
    ) -> Self:
        """Load a bundle and, if one is named, a gallery that was made with it.

        Args:
            kind: what searches a gallery that is given by its address: an index in memory, or (``store``) the server
                that keeps it.
            runtime: what runs the networks: ``torch``, ``openvino``, or ``auto`` (OpenVINO on a CPU where it is
                installed).

        Raises:
            MissingFile: no such bundle or gallery.
            BadBundle: damaged, or newer than this version reads.
            BadGallery: built by another embedder, or its store does not search.
        """
        loaded = bundle if isinstance(bundle, Bundle) else Bundle.from_pretrained(bundle)
        return cls(loaded, gallery=gallery, kind=kind, device=device, runtime=runtime, limits=limits)

    def in_gallery(self, gallery: Gallery | Path | str, *, kind: SearchKind = "auto") -> Self:
        """The same networks, searching in another gallery."""
        other = copy.copy(self)
        other.gallery = self._opened(gallery, kind)
        return other

    def search(
        self,
        videos: Path | str | Sequence[Path | str],
        *,
        every: Every | str = EVERY,
        as_one: bool = False,
        until: Until | None = None,
        fallback: Fallback | None = None,
        items: int = ITEMS,
        where: str = "",
        clip: bool = False,
        progress: Progress = SILENT,
    ) -> Report:
        """Search one or several videos.

        Args:
            every: how often a frame is looked at, such as ``"0.5s"`` or ``"15f"``.
            as_one: one set of garments over all the videos (clips of one scene) instead of one set a video.
            until: stop after this stage; after ``detect`` every detection stands for itself and none is picked.
            fallback: ``"best"`` also matches garments none of whose views passes the limits.
            items: how many catalogue items a garment gets at most.
            where: only catalogue items that pass this filter (see :mod:`dprnet.gallery.filters`).
            clip: of a video over a limit, search the part before it; also where the limits themselves say so.

        Returns:
            One report. A video that could not be read is a source of status ``failed`` with the reason as its note.

        Raises:
            DprnetError: none of the videos could be read.
            BadFilter: the filter cannot be read, or names a column that no item has.
        """
        return self.search_shown(
            videos,
            every=every,
            as_one=as_one,
            until=until,
            fallback=fallback,
            items=items,
            where=where,
            clip=clip,
            progress=progress,
            lost=0,
        )[0]

    def search_shown(
        self,
        videos: Path | str | Sequence[Path | str],
        *,
        every: Every | str = EVERY,
        as_one: bool = False,
        until: Until | None = None,
        fallback: Fallback | None = None,
        items: int = ITEMS,
        where: str = "",
        clip: bool = False,
        progress: Progress = SILENT,
        lost: int = LOST_PER_GARMENT,
    ) -> tuple[Report, Pictures]:
        """:meth:`search`, and the pictures that a page shows: up to ``lost`` views a garment that were not picked."""
        paths = [Path(video) for video in ([videos] if isinstance(videos, (str, Path)) else videos)]
        step = Every.parse(every)
        limits = self.limits.model_copy(update={"clip": True}) if clip else self.limits
        check_filter(self.gallery, where)
        watch = Stopwatch()

        with Spool(limits) as spool:
            seen = Looking(self.detector, step, limits, watch, progress).at(paths, spool)
            sources = [one.source for one in seen]
            with watch("pick"):
                picks = self._pick(seen, as_one, until)
            pictures, embeddings = Pictures(), None
            if until not in {"detect", "pick"}:
                wanted = np.flatnonzero(~picks.doubtful if fallback == "best" else picks.picked)
                idle = Idle()
                with watch("embed"):
                    files = [one.file for one in seen]
                    cutter = Cutter(files, picks, wanted, lost_views(picks, lost), limits, progress)
                    vectors = self.embedder.views(cutter.crops(), idle=idle)
                    embeddings = Embeddings(vectors, tuple(str(garment) for garment in cutter.order))
                watch.of_these(idle.seconds, "crop", within="embed")
                for number, note in cutter.notes.items():
                    told = "; ".join(filter(None, (sources[number].note, note)))
                    sources[number] = replace(sources[number], status="partial", note=told)
                picks, pictures = replace(picks, crops=cutter.best_views()), Pictures(cutter.pictures)
        gallery = self.gallery if until is None else None
        with watch("match"):
            matches = matched(gallery, embeddings, picks, items=items, where=where, matching=self.matching)
        if lost:
            pictures = replace(pictures, photos=read_photos(matches, self._thumbnails(matches)))
        report = Report(
            sources=tuple(sources),
            picks=picks,
            matches=matches,
            seconds=watch.seconds,
            bundle=self.bundle.identity,
            gallery=_named(gallery),
            settings={
                "every": str(every),
                "as_one": as_one,
                "until": until,
                "fallback": fallback,
                "items": items,
                "where": where,
                "clip": limits.clip,
                "kind": gallery.kind if gallery is not None else None,
                "picking": self.picking.model_dump(mode="json"),
                "runtime": self.detector.runtime.name,
            },
            embeddings=embeddings,
        )
        return report, pictures

    def _opened(self, gallery: Gallery | Path | str | None, kind: SearchKind) -> Gallery | None:
        if isinstance(gallery, (str, Path)):
            return Gallery.open(gallery, embedder=self.embedder.identity, config=IndexConfig(kind=kind))
        if gallery is not None and gallery.embedder != self.embedder.identity:
            return Gallery.open(gallery.address, embedder=self.embedder.identity)  # refuses, saying what to do
        return gallery

    def _pick(self, seen: list[Seen], as_one: bool, until: Until | None) -> Picks:
        if until == "detect":
            return unpicked(Detections.concatenate([one.detections for one in seen]))
        if as_one:
            picks = pick(Detections.concatenate([one.detections for one in seen]), self.picking)
        else:
            picks = side_by_side([pick(one.detections, self.picking) for one in seen])
        return in_order_of_a_report(picks)

    def _thumbnails(self, matches: Matches) -> dict[tuple[str, str], bytes]:
        every = [match for items in matches.items for match in items]
        return self.gallery.thumbnails(every) if self.gallery is not None and every else {}


def _named(gallery: Gallery | None) -> str:
    return "" if gallery is None else f"{gallery.identity}, {len(gallery)} items"
