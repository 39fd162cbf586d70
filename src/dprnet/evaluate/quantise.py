"""int8 graphs for a bundle: calibrated on validation photos (NNCF), their loss measured against torch, and kept in it.

A network's int8 graphs become what ``auto`` runs only where no figure is more than :data:`ALLOWED` below torch's.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dprnet.core import graphs, int8
from dprnet.core.bundle import SHIPPED, Bundle
from dprnet.core.errors import BadBundle, BadRecipe, MissingExtra
from dprnet.core.images import cut_out
from dprnet.core.records import FloatArray, Frame, Image
from dprnet.data import ccp, clothing, luma
from dprnet.data.labelled import LabelledImage
from dprnet.data.shopset import ShopSet
from dprnet.detect import Detector
from dprnet.embed.embedder import Embedder, prepare
from dprnet.evaluate.detection.figures import LOWEST_SCORE
from dprnet.evaluate.detection.precision import by_class, coco_precision, mean
from dprnet.evaluate.photo_sets import LoadedSets, load_sets, luma_sets, shopset_task
from dprnet.evaluate.retrieval import item_ranks, owners

log = logging.getLogger(__name__)

ALLOWED = 0.01  # ours: what AP or Recall@1 may lose
CALIBRATION = 200  # ours: images; NNCF's own default is 300, and ranges of activations settle earlier
SPLIT = "validation"
PARTS = ("detector", "embedder")

# What stays in float32: colours are counted in fine steps, the length of a vector must be its length, and the first two
# blocks work on few channels of very different ranges (with them in int8 the worst cosine to float32 was 0.88).
FLOAT = (
    *(".*colour.*", ".*shades.*", r".*network\.pools.*"),
    *(r"__module\.network/.*", r".*network\.kept/.*"),  # unit lengths; what ``kept`` does around its backbone
    r".*shrink.*",  # OpenVINO fuses what follows, number by channel, into the product, and then refuses to compile it
    *(r".*network\.fc.*", r".*\.turn.*", r".*imitation.*", r".*stages\.[01]\..*", r".*proposals.*"),
)


@dataclass(frozen=True, slots=True)
class Quantised:
    """What became of one network."""

    part: str
    figures: Mapping[str, tuple[float, float]]
    """By name: torch's, and that of the int8 graphs."""
    default: bool
    """Whether ``auto`` runs it."""
    megabytes: float
    """Of the files in the bundle."""

    @property
    def loss(self) -> float:
        """The largest loss of a figure."""
        return max(torch - ours for torch, ours in self.figures.values())


def quantise(
    bundle: Bundle, data: Path, shopset: Path | None = None, parts: Collection[str] = PARTS
) -> tuple[Quantised, ...]:
    """Make int8 graphs of the detector's backbone and of the embedder, measure them, and put them into the bundle.

    Calibrated on some validation photos of the folder of real data; measured on all of them, and on the garments of a
    set.

    Args:
        bundle: in a folder of one's own.
        shopset: a video-to-shop set, whose garments are also looked for in its shop: the real photos hold few queries.
        parts: which networks; the others stay in float32.

    Raises:
        BadRecipe: a part that no bundle has.
        BadBundle: a bundle of the package itself, which commands do not change.
        MissingExtra: NNCF or OpenVINO is not installed.
        MissingFile, BadDataset: the data is not there.
    """
    for part in sorted(set(parts) - set(PARTS)):
        raise BadRecipe("part", f"unknown '{part}'; known: {', '.join(PARTS)}")
    if bundle.folder.parent == SHIPPED:
        raise BadBundle(bundle.folder, "a bundle of the package is not changed; copy its folder and name the copy")
    if missing := [name for name in ("nncf", "openvino") if find_spec(name) is None]:
        raise MissingExtra("int8", f"{' and '.join(missing)} not installed; get it with: pip install 'dprnet[int8]'")
    done = []
    if "detector" in parts and bundle.settings("detector"):
        bundle, one = _detector(bundle, ccp.labelled_images(data, SPLIT))
        done.append(one)
    if "embedder" in parts and bundle.settings("embedder"):
        bundle, one = _embedder(bundle, data, shopset)
        done.append(one)
    return tuple(done)


def _detector(bundle: Bundle, images: Sequence[LabelledImage]) -> tuple[Bundle, Quantised]:
    from dprnet.detect.graphs import parts

    reference = Detector.from_bundle(bundle, runtime="torch")
    frames = [Frame(image.load(), number, 0.0) for number, image in enumerate(images)]
    seen = [reference.image(frame)[None] for frame in _some(frames, CALIBRATION)]
    first = quantised(graphs.converted(*parts(reference.network)["first"]), seen)
    truths = [image.truth for image in images]

    def precision(detector: Detector) -> tuple[float, float]:
        each = by_class(coco_precision(list(detector(frames, score_threshold=LOWEST_SCORE)), truths))
        return mean(each), mean(each[0])

    wanted = precision(reference)
    made = int8.save(bundle, "detector", {"first": first}, {}, default=False)
    found = precision(Detector.from_bundle(made, runtime="int8"))
    figures = {name: (w, f) for name, w, f in zip(("AP", "AP50"), wanted, found, strict=True)}
    return _kept(made, "detector", {"first": first}, figures)


def _embedder(bundle: Bundle, data: Path, shopset: Path | None) -> tuple[Bundle, Quantised]:
    from dprnet.embed.graphs import parts
    from dprnet.embed.runtime import GRAPH

    reference = Embedder.from_bundle(bundle, runtime="torch")
    config = reference.config
    seen = [prepare(image, config)[None] for image in _looks(data)]
    model = quantised(graphs.converted(*parts(reference.network)[GRAPH]), seen)
    made = int8.save(bundle, "embedder", {GRAPH: model}, {}, default=False)
    tasks = [*luma_sets(data, SPLIT), *([shopset_task(ShopSet.open(shopset))] if shopset else [])]
    loaded = load_sets(tasks, config.image_size, fit=config.fit, fill=config.fill)
    # Float32 graphs stand in for torch, which takes ten times as long: a test holds their vectors together.
    runs = [Embedder.from_bundle(made, runtime=name)(loaded.cache.images) for name in ("openvino", "int8")]
    figures = {
        "Recall@1": (_recall(loaded, runs[0], runs[0]), _recall(loaded, runs[1], runs[1])),
        "Recall@1 in a float32 gallery": (_recall(loaded, runs[0], runs[0]), _recall(loaded, runs[1], runs[0])),
    }
    return _kept(made, "embedder", {GRAPH: model}, figures)


def _recall(loaded: LoadedSets, queries: FloatArray, gallery: FloatArray) -> float:
    """Recall@1 over the queries of all tasks together: each task has few."""
    first = []
    for _, asked, sold in loaded.sets:
        owner, right = owners(loaded.photos(asked), loaded.photos(sold))
        first.append(item_ranks(queries[asked] @ gallery[sold].T, owner, right) <= 1)
    return float(np.concatenate(first).mean())


def _kept(
    bundle: Bundle, part: str, models: Mapping[str, Any], figures: Mapping[str, tuple[float, float]]
) -> tuple[Bundle, Quantised]:
    good = max(torch - ours for torch, ours in figures.values()) <= ALLOWED
    told = {name: {"torch": torch, "int8": ours} for name, (torch, ours) in figures.items()}
    made = int8.save(bundle, part, models, told, default=good)
    size = sum(path.stat().st_size for path in (made.folder / int8.FOLDER).glob(f"{part}-*")) / 1e6
    return made, Quantised(part, figures, good, size)


def quantised(model: Any, inputs: Sequence[NDArray[np.uint8]]) -> Any:
    """An OpenVINO model with its convolutions in int8, calibrated with inputs, each a batch.

    Convolutions take the range of a tensor as a whole, symmetric about 0; what :data:`FLOAT` names stays as it is.
    """
    with _silent():
        import nncf
        from openvino._offline_transformations import apply_moc_transformations

        # Without it weights stay behind a reshape and paddings apart, and depthwise convolutions run in float32 all the
        # same: it is what OpenVINO's own ``convert_model`` does, too.
        apply_moc_transformations(model, cf=True)
        return nncf.quantize(
            model,
            nncf.Dataset(list(inputs)),
            subset_size=len(inputs),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            ignored_scope=nncf.IgnoredScope(patterns=list(FLOAT), validate=False),
        )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """NNCF draws progress on stdout and tells its makers of its use; here it does neither."""
    before = os.environ.get("NNCF_CI")
    os.environ["NNCF_CI"] = "1"
    logging.getLogger("nncf").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        if before is None:
            del os.environ["NNCF_CI"]
        else:
            os.environ["NNCF_CI"] = before


def _looks(data: Path) -> Iterator[Image]:
    """What an embedder sees: shop photos, and garments cut out of street photos; half of each."""
    shop = [*luma.photos(data, SPLIT), *clothing.photos(data, SPLIT)]
    for photo in _some(shop, CALIBRATION // 2):
        yield photo.load(short_side=256)
    street = [(image, box) for image in ccp.labelled_images(data, SPLIT) for box in image.truth.boxes_xyxy]
    for image, box in _some(street, CALIBRATION // 2):
        yield cut_out(image.load(), box)


def _some(things: Sequence[Any], most: int) -> list[Any]:
    """At most so many of them, evenly spaced."""
    return [things[int(step)] for step in np.linspace(0, len(things) - 1, min(most, len(things))).round()]
