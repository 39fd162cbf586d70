"""Table 3: how fast query instances and gallery images become features, and how fast they are matched.

Two readings, one run. (a) Feature construction alone: AsymNet's image network is a VGG-16 of its own (the form public
code uses; random weights do for speed) followed by its LSTM over eight frames; ours a ResNet-50 on one picked view.
(b) With matching: AsymNet runs its similarity network on every pair of instance and item, ours a product of vectors.
Both sides use the best batch found, of construction and of matching: batches grow until one is slower than the last.
AsymNet's gallery part and frame part are computed once, not per pair.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import nn

from dprnet.core.config import Settings
from dprnet.evaluate.asymnet import AsymNet, AsymNetConfig

PUBLISHED = {"AsymNet": (0.625, 200.0), "DPRNet": (850.0, 850.0)}
"""Query instances/s and gallery images/s (paper, Table 3)."""
PUBLISHED_RATIO = PUBLISHED["DPRNet"][0] / PUBLISHED["AsymNet"][0]  # 1,360


class TimingSettings(Settings):
    """What is timed, and for how long."""

    seconds: float = Field(3.0, gt=0)  # ours: at least so long for each figure
    items: tuple[int, ...] = (2_000, 21_614, 100_000)  # 21,614: paper, Table 1; the others ours
    image_size: int = Field(224, ge=32)  # ours: usual for both networks
    size: int = Field(1024, ge=1)  # AsymNet: d of its image feature; ours the same, for a fair product
    hidden: int = Field(1024, ge=1)  # AsymNet: of its LSTM and its leaves
    asymnet_batches: tuple[int, ...] = (1, 2, 4, 8)  # ours
    ours_batches: tuple[int, ...] = (1, 8, 32)  # ours
    asymnet_blocks: tuple[int, ...] = (64, 256, 1024)  # ours: items that an instance is compared with at once
    ours_matched: tuple[int, ...] = (1, 16, 64)  # ours: instances that share one product of matrices


@dataclass(frozen=True, slots=True)
class Rate:
    """How many a second, and the batch that gave it."""

    per_second: float
    batch: int


@dataclass(frozen=True, slots=True)
class Matching:
    """One gallery size; both include the construction of the query's feature."""

    items: int
    asymnet_s: float
    """Seconds a query instance."""
    ours_s: float
    asymnet_block: int = 0
    """Items compared at once; 0 where nobody said."""
    ours_batch: int = 0
    """Instances matched at once, likewise."""

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.asymnet_s / self.ours_s


@dataclass(frozen=True, slots=True)
class Timing:
    """Table 3, measured."""

    asymnet_query: Rate
    ours_query: Rate
    asymnet_gallery: Rate
    ours_gallery: Rate
    matching: tuple[Matching, ...]
    passes_at: float | None
    """Items in the gallery from which on the published ratio is reached; None where never."""
    threads: int
    device: str

    @property
    def query_ratio(self) -> float:
        """Reading (a): how many times faster ours constructs a query's feature."""
        return self.ours_query.per_second / self.asymnet_query.per_second


def measure_timing(settings: TimingSettings, *, device: str = "cpu") -> Timing:
    """Time both methods in one run."""
    with torch.random.fork_rng(devices=()), torch.inference_mode():
        torch.manual_seed(0)
        image = (3, settings.image_size, settings.image_size)
        vgg, resnet = _vgg16(settings.size).to(device).eval(), _resnet50(settings.size).to(device).eval()
        asymnet = AsymNet(settings.size, AsymNetConfig(hidden=settings.hidden)).to(device).eval()
        frames = asymnet.config.frames

        def query(batch: int) -> None:
            features = vgg(torch.rand(batch * frames, *image, device=device))
            asymnet.frame_part(features.view(batch, frames, -1))

        seconds = settings.seconds
        asymnet_query = _best(query, settings.asymnet_batches, seconds, device)
        asymnet_gallery = _best(
            lambda n: asymnet.of_photo(vgg(torch.rand(n, *image, device=device))),
            settings.ours_batches,
            seconds,
            device,
        )
        ours = _best(lambda n: resnet(torch.rand(n, *image, device=device)), settings.ours_batches, seconds, device)
        block = _best_block(asymnet, settings, device)
        matching = tuple(
            _matching(asymnet, asymnet_query, ours, items, block, settings, device) for items in settings.items
        )
    # One network, one image either way: a query and a photo cost the same.
    return Timing(
        asymnet_query, ours, asymnet_gallery, ours, matching, passing(matching), torch.get_num_threads(), device
    )


def passing(matching: tuple[Matching, ...], ratio: float = PUBLISHED_RATIO) -> float | None:
    """Gallery size at which the ratio is reached, on straight lines through the smallest and the largest.

    >>> passing((Matching(0, 1.0, 0.1), Matching(1000, 101.0, 0.1)), 100.0).__round__(6)
    90.0
    >>> passing((Matching(0, 1.0, 0.1), Matching(1000, 2.0, 0.3)), 100.0) is None
    True
    """
    first, last = matching[0], matching[-1]
    if first.ratio >= ratio or len(matching) < 2:
        return float(first.items) if first.ratio >= ratio else None
    span = last.items - first.items
    theirs, mine = (last.asymnet_s - first.asymnet_s) / span, (last.ours_s - first.ours_s) / span
    gain = theirs - ratio * mine
    return None if gain <= 0 else first.items + (ratio * first.ours_s - first.asymnet_s) / gain


def _matching(
    network: AsymNet, theirs: Rate, ours: Rate, items: int, block: int, settings: TimingSettings, device: str
) -> Matching:
    mine = _our_match(items, settings, device)
    return Matching(
        items,
        1 / theirs.per_second + _asymnet_match(network, items, block, settings, device),
        1 / ours.per_second + 1 / mine.per_second,
        block,
        mine.batch,
    )


def _best_block(network: AsymNet, settings: TimingSettings, device: str) -> int:
    """How many items an instance is best compared with at once: the most pairs a second."""
    of_frames = network.frame_part(torch.rand(1, network.config.frames, settings.size, device=device))
    part = torch.rand(max(settings.asymnet_blocks), settings.hidden, device=device)
    return _best(
        lambda n: network.mixed(*network.leaves(of_frames, part[:n])), settings.asymnet_blocks, settings.seconds, device
    ).batch


def _asymnet_match(network: AsymNet, items: int, block: int, settings: TimingSettings, device: str) -> float:
    """Seconds to compare one instance with every item; the items' parts lie ready."""
    of_frames = network.frame_part(torch.rand(1, network.config.frames, settings.size, device=device))
    part = torch.rand(min(items, block), settings.hidden, device=device)

    def match(_: int) -> None:
        for start in range(0, items, block):
            network.mixed(*network.leaves(of_frames, part[: min(block, items - start)]))

    return 1 / _rate(match, 1, settings.seconds, device, warm=False)  # the search for the block has warmed it up


def _our_match(items: int, settings: TimingSettings, device: str) -> Rate:
    gallery = torch.rand(items, settings.size, device=device)
    asked = torch.rand(max(settings.ours_matched), settings.size, device=device)
    return _best(
        lambda n: torch.topk(asked[:n] @ gallery.T, min(50, items)), settings.ours_matched, settings.seconds, device
    )


def _best(work: Callable[[int], object], batches: tuple[int, ...], seconds: float, device: str) -> Rate:
    """The fastest batch; the search ends at the first that is slower than the one before it."""
    best = Rate(_rate(work, batches[0], seconds, device), batches[0])
    for batch in batches[1:]:
        rate = _rate(work, batch, seconds, device)
        if rate <= best.per_second:
            return best
        best = Rate(rate, batch)
    return best


def _rate(work: Callable[[int], object], batch: int, seconds: float, device: str, *, warm: bool = True) -> float:
    """How many a second, after one call to warm up unless that was done before."""
    if warm:
        work(batch)
        _finish(device)
    started, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < seconds or not done:
        work(batch)
        _finish(device)
        done += batch
    return done / spent if spent >= seconds else done / (time.perf_counter() - started)


def _finish(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _vgg16(size: int) -> nn.Module:
    """VGG-16 as AsymNet's image network: its last layer gives the feature."""
    from torchvision.models import vgg16

    network: nn.Module = vgg16(weights=None, num_classes=size)
    return network


def _resnet50(size: int) -> nn.Module:
    """ResNet-50, pooled, one fc (paper, figure 4)."""
    from torchvision.models import resnet50

    network: nn.Module = resnet50(weights=None, num_classes=size)
    return network
