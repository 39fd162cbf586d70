"""``dprnet calibrate matching``: what similarity and margin mean, fitted on validation videos, kept in the bundle."""

from __future__ import annotations

import csv
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dprnet.core.bundle import Bundle, save_pretrained
from dprnet.core.config import parse_settings
from dprnet.core.errors import BadDataset
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import Detections, Match
from dprnet.data.shopset import ShopSet
from dprnet.embed.embedder import Embedder
from dprnet.evaluate.figures import plain
from dprnet.evaluate.kept import keyed_folder
from dprnet.evaluate.match_cases import EXACT, MatchCase, match_cases
from dprnet.evaluate.match_figures import (
    DECISIONS,
    MatchFigures,
    ReliabilityBin,
    calibration_error,
    class_counts,
    match_figures,
    plot_reliability,
    reliability,
    speakers,
    threshold_curve,
)
from dprnet.evaluate.match_fit import (
    CaseTable,
    MatchFitConfig,
    case_table,
    exact_threshold,
    fit_curves,
    log_loss,
    unseen_probabilities,
    usual_margin,
    worthy_classes,
)
from dprnet.evaluate.seen import Seen, detector_identity, seen_by
from dprnet.evaluate.video_to_shop import Search, gallery_search
from dprnet.gallery import Gallery
from dprnet.gallery.decision import MatchingConfig
from dprnet.pick import PickConfig
from dprnet.pipeline import index

log = logging.getLogger(__name__)

FEWEST_CASES = 20  # ours: below that a fit means nothing


@dataclass(frozen=True, slots=True, eq=False)
class MatchCalibration:
    """The fitted settings, and how good they are on videos that each fit has not seen (one left out at a time)."""

    config: MatchingConfig
    cases: tuple[MatchCase, ...]
    table: CaseTable
    unseen: NDArray[np.float64]
    """(N, 3) probabilities of each case by a fit without its video."""
    log_loss: float
    """Of those, beside ``log_loss_floor`` of always saying the shares of the three."""
    log_loss_floor: float
    fit: MatchFitConfig

    @property
    def bars(self) -> Mapping[str, tuple[ReliabilityBin, ...]]:
        """Reliability of exact, and of similar or better, on unseen videos."""
        return {
            "exact": reliability(self.unseen[:, 2], self.table.relation == EXACT, self.table.weight),
            "similar or better": reliability(1 - self.unseen[:, 0], self.table.relation >= 1, self.table.weight),
        }

    @property
    def curve(self) -> list[tuple[float, float, float]]:
        """What each threshold of exact would give, as :func:`threshold_curve`."""
        sold = np.zeros(len(self.cases), bool)
        sold[[row for row in speakers(self.cases) if self.cases[row].sold]] = True
        return threshold_curve(self.unseen[:, 2], self.table.relation, sold, self.table.weight)

    def figures(self) -> dict[str, Any]:
        """The main figures, for the bundle's origin and for the one who typed the command."""
        used = [row for row in self.curve if row[0] >= self.config.exact_above]
        return {
            "precision_of_exact": used[0][1] if used else None,
            "exact_of_sold_picked": used[0][2] if used else 0.0,
            "log_loss": self.log_loss,
            "log_loss_floor": self.log_loss_floor,
            "calibration_error": {name: calibration_error(bars) for name, bars in self.bars.items()},
            "cases": len(self.cases),
            "hidden": sum(case.hidden for case in self.cases),
            "by_class": class_counts(self.cases),
        }

    def write_table(self, path: Path) -> None:
        """Write every case as CSV: what was seen, what is true, and what a fit without its video says."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer: Any = None
            for case, weight, row in zip(self.cases, self.table.weight, self.unseen.tolist(), strict=True):
                said = {f"p_{name}": round(value, 4) for name, value in zip(DECISIONS, row, strict=True)}
                values = {
                    **asdict(case),
                    "relation": DECISIONS[case.relation],
                    "weight": round(float(weight), 4),
                    **said,
                }
                if writer is None:
                    writer = csv.DictWriter(file, list(values))
                    writer.writeheader()
                writer.writerow(values)

    def plot(self, path: Path) -> None:
        """Draw the reliability diagram (PNG, SVG or PDF by suffix).

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        title = f"Matching on validation videos, each judged by a fit without it: {len(self.cases)} cases"
        plot_reliability(self.bars, self.curve, self.config.exact_above, path, title)


def calibrate_matching(
    cases: Sequence[MatchCase], embedder: str, *, fit: MatchFitConfig | None = None, where: str = "validation videos"
) -> MatchCalibration:
    """Fit the curves and the threshold of exact.

    Args:
        cases: as :func:`dprnet.evaluate.match_cases.match_cases` gives them with ``hide``; never of the test set.
        embedder: identity of what made the similarities.
        fit: how.
        where: the set's name, for messages.

    Raises:
        BadDataset: too few cases, or none that is exact, or only such.
    """
    fit = fit or MatchFitConfig()
    exact = sum(case.relation == EXACT for case in cases)
    videos = len({case.video for case in cases})
    if len(cases) < FEWEST_CASES or not 0 < exact < len(cases) or videos < 2:
        raise BadDataset(
            where, f"{len(cases)} picks of {videos} videos, {exact} with the right item first: too few to calibrate on"
        )
    table = case_table(cases, fit.without_item)
    classes = worthy_classes(table, fit)
    unseen = unseen_probabilities(table, fit, classes)
    pooled, own = fit_curves(table, fit, classes).settings()
    threshold = exact_threshold(unseen[:, 2], table, fit.precision)
    known = np.array([case.margin for case in cases], np.float64)
    config = MatchingConfig(
        embedder=embedder,
        pooled=pooled,
        classes=own,
        exact_above=round(threshold, 6),
        usual_margin=round(usual_margin(known), 6),
    )
    share = np.bincount(table.relation, table.weight, 3) / table.weight.sum()
    floor = log_loss(np.tile(share, (len(cases), 1)), table)
    return MatchCalibration(config, tuple(cases), table, unseen, log_loss(unseen, table), floor, fit)


def calibrate_matching_of(
    folder: Path,
    data: Path,
    *,
    fit: MatchFitConfig | None = None,
    every: str = "0.5s",
    device: str = "cpu",
    cache: Path | None = None,
    progress: Progress = SILENT,
) -> MatchCalibration:
    """Calibrate the matching of the bundle in a folder on a validation set, and store it there.

    Args:
        cache: keeps detections, and the set's gallery, for the next time.

    Raises:
        MissingFile: no bundle, or no set.
        BadDataset: too few picks to calibrate on.
    """
    bundle, shopset = Bundle.from_pretrained(folder), ShopSet.open(data)
    embedder = Embedder.from_bundle(bundle, device=device)
    seen = seen_by(bundle, shopset, every, device=device, cache=cache, progress=progress)
    with _gallery(shopset, embedder, cache, progress) as gallery:
        picking = parse_settings(dict(bundle.settings("picking")), PickConfig, f"{bundle.name}.picking")
        cases = match_cases(shopset, seen, picking, gallery_search(embedder, gallery), hide=True, progress=progress)
    done = calibrate_matching(cases, embedder.identity, fit=fit, where=str(data))
    save_matching(bundle, done, {"set": shopset.id, "detector": detector_identity(bundle), "every": every})
    return done


def save_matching(bundle: Bundle, done: MatchCalibration, of: Mapping[str, str]) -> Bundle:
    """Write fitted settings into a bundle (``settings.matching``), with where they came from; weights stay."""
    origin = {**of, "fit": done.fit.model_dump(), "figures": plain(done.figures())}
    settings = {"matching": done.config.model_dump(mode="json")}
    return save_pretrained(bundle.folder, bundle.name, settings, {}, origin={"matching": origin})


def evaluate_matching(
    shopset: ShopSet, seen: Sequence[Seen], picking: PickConfig, search: Search, config: MatchingConfig
) -> MatchFigures:
    """Decisions on the videos of a set, measured against its truth."""
    cases = match_cases(shopset, seen, picking, search)
    told = {(cases[row].video, cases[row].instance) for row in speakers(cases)}
    missed: Counter[str] = Counter()
    for video in seen:
        truth = video.truth
        missed[truth.name] += sum(
            bool(truth.right_items(number)) and (truth.name, number) not in told for number in truth.counted
        )
    return match_figures(cases, config, missed, [video.truth.name for video in seen])


def remembered(search: Search) -> Search:
    """A search that is asked once for the same views, for two measures over the same picks."""
    known: dict[tuple[Path, int, bytes], Sequence[Sequence[Match]]] = {}

    def asked(path: Path, views: Detections, k: int) -> Sequence[Sequence[Match]]:
        key = path, k, views.frame_index.tobytes() + views.boxes_xyxy.tobytes()
        if key not in known:
            known[key] = search(path, views, k)
        return known[key]

    return asked


@contextmanager
def _gallery(shopset: ShopSet, embedder: Embedder, cache: Path | None, progress: Progress) -> Iterator[Gallery]:
    with tempfile.TemporaryDirectory() as work:
        key = {"set": shopset.id, "embedder": embedder.identity}
        place = keyed_folder(cache, "gallery", key) if cache is not None else Path(work)
        index(shopset.catalogue_path, place / "gallery", embedder, progress=progress)
        with Gallery.open(place / "gallery", embedder=embedder.identity) as opened:
            yield opened
