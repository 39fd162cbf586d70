"""Fit a bundle on validation data: what the verbs ``calibrate picking``, ``input`` and ``proposals`` call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dprnet.core.bundle import Bundle
from dprnet.core.config import parse_settings
from dprnet.core.progress import SILENT, Progress
from dprnet.core.records import Frame
from dprnet.data import ccp
from dprnet.data.shopset import ShopSet
from dprnet.detect import Detector
from dprnet.evaluate.calibrate import Calibration, calibrate_picking, save_picking
from dprnet.evaluate.detection import evaluate_detection
from dprnet.evaluate.detection.sweep import Knob, Measure, SweepFit, save_sweep, sweep
from dprnet.evaluate.detection.videos import evaluate_videos
from dprnet.evaluate.seen import detector_identity, seen_by
from dprnet.evaluate.stills import Stills
from dprnet.pick import PickConfig


def calibrate_bundle(
    folder: Path,
    data: Path,
    photos: Path | None = None,
    *,
    every: str = "0.5s",
    device: str = "cpu",
    either: Sequence[str] = (),
    cache: Path | None = None,
    progress: Progress = SILENT,
) -> Calibration:
    """Fit the settings of picking on the videos of a validation set and store them in the bundle of a folder.

    What the detector hands on is fitted before, by :func:`calibrate_detector`.

    Args:
        folder: of the bundle.
        data: validation set.
        photos: folder of the real data; the limits are fitted on the validation photos of ``ccp`` too.
        either: pairs of classes that one garment may be seen as, such as ``"top,outerwear"``; taken as given.

    Raises:
        BadRecipe: a pair that names no two coarse classes.
        BadDataset: videos or photos show no garment to fit on.
    """
    base = parse_settings({"either": [pair.split(",") for pair in either]}, PickConfig, "calibrate picking")
    bundle = Bundle.from_pretrained(folder)
    shopset = ShopSet.open(data)
    seen = seen_by(bundle, shopset, every, device=device, cache=cache, progress=progress)
    done = calibrate_picking(
        seen,
        stills=None if photos is None else _stills(photos, bundle, device, base),
        base=base,
        set_id=shopset.id,
        detector=detector_identity(bundle),
        every=every,
        progress=progress,
    )
    save_picking(bundle.folder, done)
    return done


def calibrate_detector(
    folder: Path,
    data: Path,
    knob: Knob,
    photos: Path | None = None,
    *,
    device: str = "cpu",
    progress: Progress = SILENT,
) -> SweepFit:
    """Fit a setting that trades the detector's precision for time, and store it in the bundle of a folder.

    Args:
        folder: of the bundle.
        data: validation set; its videos are looked at once a second.
        photos: folder of the real data; the validation photos of ``ccp`` count as much as the set.
        knob: which setting.
        device: where the detector runs.
        progress: shows the values done.
    """
    bundle, shopset = Bundle.from_pretrained(folder), ShopSet.open(data)
    measures: dict[str, Measure] = {shopset.id: lambda detector: evaluate_videos(detector, shopset).ap50}
    if photos is not None:
        street = ccp.labelled_images(photos, "validation")
        measures["ccp"] = lambda detector: evaluate_detection(detector, street, bootstrap=1).ap50
    done = sweep(bundle, measures, knob, device=device, progress=progress)
    save_sweep(bundle.folder, done)
    return done


def _stills(photos: Path, bundle: Bundle, device: str, base: PickConfig) -> Stills:
    street = ccp.labelled_images(photos, "validation")
    frames = (Frame(image.load(), index=number, time_s=0.0) for number, image in enumerate(street))
    found = list(Detector.from_bundle(bundle, device=device)(frames))
    return Stills.of_photos(found, [image.truth for image in street], base.either)
