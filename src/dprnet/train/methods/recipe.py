"""The terms on which the methods of Table 2 are compared, and what makes each method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import Field, field_validator

from dprnet.core.config import Settings
from dprnet.core.errors import BadRecipe
from dprnet.data.photo_batch import BatchAugmentSettings
from dprnet.train.methods.attention import Vam, VamSettings
from dprnet.train.methods.base import Method, Trunk
from dprnet.train.methods.ensemble import Dreml, DremlSettings
from dprnet.train.methods.graph import Grnet, GrnetSettings
from dprnet.train.methods.grid import Gsn, GsnSettings
from dprnet.train.methods.landmarks import FashionNet, FashionNetSettings
from dprnet.train.methods.marks import LANDMARKS
from dprnet.train.methods.matching import Kpm, KpmSettings
from dprnet.train.methods.triplets import (
    Ctl,
    CtlSettings,
    Dprnet,
    DprnetSettings,
    NegTriplet,
    TripletSettings,
    TripletSS,
)
from dprnet.train.retrieval import SamplingSettings
from dprnet.train.shots import PhotoSource

Recalls = Mapping[int, float]
"""Recall@K by K, in percent."""


@dataclass(frozen=True, slots=True)
class Published:
    """A row as others printed it."""

    title: str
    recalls: Recalls
    """DeepFashion consumer-to-shop."""
    source: str = "paper, table 2"


METHODS: Mapping[str, Published] = {
    "fashionnet": Published("FashionNet", {1: 7.0, 20: 18.8, 50: 22.8}),
    "vam": Published("VAM + ImgDrop", {1: 13.7, 20: 43.9, 50: 56.9}),
    "triplet_ss": Published("Triplet-SS", {1: 16.0, 20: 45.0, 50: 54.0}),
    "dreml": Published("DREML", {1: 18.6, 20: 51.0, 50: 59.1}),
    "kpm": Published("KPM", {1: 21.3, 20: 54.1, 50: 65.2}),
    "negtriplet": Published("NegTriplet", {1: 23.0, 20: 60.9, 50: 72.0}),
    "gsn": Published("GSN", {1: 25.0, 20: 47.0, 50: 57.0}),
    "grnet": Published("GRNet", {1: 25.7, 20: 64.4, 50: 75.0}),
    "dprnet": Published(
        "DPRNet", {1: 34.2, 20: 72.3, 50: 80.7}, "paper, table 2, test (val + test: 26.8 / 66.0 / 75.5)"
    ),
    "ctl": Published("CTL", {1: 37.3, 20: 77.7, 50: 85.0}, "newer than the paper; not checked by us"),
}


class TrunkSettings(Settings):
    """What every method stands on."""

    backbone: Literal["mobilenet_v2", "resnet50"] = "mobilenet_v2"  # ours; the paper does not state it
    size: int = Field(default=256, ge=2, le=8192)  # ours, as in the embedder
    image_size: int = Field(default=128, ge=32, le=1024)  # ours, as in the embedder
    batch_norm: Literal["folded", "frozen", "live"] = "folded"  # ours; for weights that come without statistics
    start: str = "$DPRNET_DATA/weights/mobilenet_v2_imagenet.safetensors"  # ImageNet; none: random
    frozen_stages: int = Field(default=0, ge=0, le=4)  # the first ones stay as they start; at 2 twice as fast


class Terms(Settings):
    """What is the same for every method; the comparison is worth nothing without."""

    data: tuple[PhotoSource, ...] = Field(
        default=(PhotoSource(kind="luma", weight=0.5), PhotoSource(kind="clothing", weight=0.5)), min_length=1
    )  # ours: the photos at hand; a set of the made-up world is named by its path
    trunk: TrunkSettings = TrunkSettings()
    sampling: SamplingSettings = SamplingSettings()
    augment: BatchAugmentSettings = BatchAugmentSettings()
    cache_size: int = Field(default=160, ge=32)  # ours: px, squares kept in memory
    head_lr: float = Field(default=1.0, gt=0)  # ours: of all that is not the backbone, relative
    weight_decay: float = Field(default=5e-4, ge=0)  # re-id strong baseline
    warmup: float = Field(default=0.05, ge=0, lt=1)  # ours: share of the steps
    clip: float = Field(default=5.0, gt=0)  # ours: length of the gradient, at most
    precision: Literal["32", "bf16"] = "32"
    most_photos: int = Field(default=0, ge=0)  # of each source, the first so many; 0: all


class MethodOptions(Settings):
    """What each method has of its own."""

    fashionnet: FashionNetSettings = FashionNetSettings()
    vam: VamSettings = VamSettings()
    triplet_ss: TripletSettings = TripletSettings()
    dreml: DremlSettings = DremlSettings()
    kpm: KpmSettings = KpmSettings()
    negtriplet: TripletSettings = TripletSettings()
    gsn: GsnSettings = GsnSettings()
    grnet: GrnetSettings = GrnetSettings()
    dprnet: DprnetSettings = DprnetSettings()
    ctl: CtlSettings = CtlSettings()


class Table2Recipe(Settings):
    """One comparison: which methods, on what terms, for how long."""

    methods: tuple[str, ...] = tuple(METHODS)
    images: int = Field(default=40_000, ge=1)  # ours: a training's photos, about six minutes on two cores
    rates: tuple[float, ...] = Field(default=(1e-4, 3.5e-4), min_length=1)  # ours: learning rates tried for each method
    trial_images: int = Field(default=8_000, ge=1)  # ours: photos of a trial; the best rate on validation is taken
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)  # ours
    short: int = Field(default=100, ge=1)  # ours: photos of the short list that pair-wise methods order
    luma: bool = True  # ours: measure on luma, its products of the test split, in the folder that DPRNET_DATA names
    test: tuple[str, ...] = ()  # further sets to measure on (paths of video-to-shop sets)
    validation: tuple[str, ...] = ()  # further sets to choose the learning rate on
    thin: tuple[int, int] | None = None  # queries and wrong gallery photos of each task, at most; None: all
    terms: Terms = Terms()
    options: MethodOptions = MethodOptions()
    device: str = "auto"  # auto, cpu, cuda

    @classmethod
    def quick(cls) -> Self:
        """A few steps a method on a few photos: shows that every row runs, and nothing else."""
        terms = Terms(sampling=SamplingSettings(p=4, k=2), most_photos=40, cache_size=64,
                      trunk=TrunkSettings(image_size=64))  # fmt: skip
        options = MethodOptions(dreml=DremlSettings(members=2, meta=4))
        return cls(images=24, rates=(1e-4, 3.5e-4), trial_images=8, seeds=(0,), short=10, thin=(8, 24), terms=terms,
                   options=options)  # fmt: skip

    @field_validator("methods")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in METHODS:
                raise ValueError(f"unknown method '{name}', expecting some of {', '.join(METHODS)}")
        return names


class UnitRecipe(Settings):
    """One training: a method, a seed, a learning rate."""

    method: str
    seed: int
    lr: float
    images: int
    terms: Terms
    options: dict[str, Any]
    """Those of the method."""


def unit_of(recipe: Table2Recipe, method: str, *, seed: int, lr: float, images: int) -> UnitRecipe:
    """The recipe of one training of a comparison."""
    options = getattr(recipe.options, method).model_dump(mode="json")
    return UnitRecipe(method=method, seed=seed, lr=lr, images=images, terms=recipe.terms, options=options)


def make_method(name: str, trunk: Trunk, classes: int, options: MethodOptions, attributes: int = 0) -> Method:
    """A method on its trunk.

    Args:
        name: a key of METHODS.
        trunk: the common backbone with its fc.
        classes: training instances, N.
        options: of all methods; its own are taken.
        attributes: of the training photos, A; only FashionNet asks.

    Raises:
        BadRecipe: unknown method.
    """
    o = options
    makers = {
        "fashionnet": lambda: FashionNet(trunk, classes, attributes, len(LANDMARKS), o.fashionnet),
        "vam": lambda: Vam(trunk, classes, o.vam),
        "triplet_ss": lambda: TripletSS(trunk, o.triplet_ss),
        "dreml": lambda: Dreml(trunk, classes, o.dreml),
        "kpm": lambda: Kpm(trunk, classes, o.kpm),
        "negtriplet": lambda: NegTriplet(trunk, o.negtriplet),
        "gsn": lambda: Gsn(trunk, o.gsn),
        "grnet": lambda: Grnet(trunk, classes, o.grnet),
        "dprnet": lambda: Dprnet(trunk, classes, o.dprnet),
        "ctl": lambda: Ctl(trunk, classes, o.ctl),
    }
    if name not in makers:
        raise BadRecipe("methods", f"unknown method '{name}', expecting some of {', '.join(METHODS)}")
    made: Method = makers[name]()  # type: ignore[no-untyped-call]
    return made
