"""Crops and photos -> embeddings: the trained network behind one call."""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dprnet.core import int8
from dprnet.core.bundle import Bundle
from dprnet.core.config import parse_settings
from dprnet.core.errors import BadBundle, BadVector
from dprnet.core.graphs import Runtime as RuntimeName
from dprnet.core.graphs import chosen
from dprnet.core.lanes import Idle, in_order
from dprnet.core.records import FloatArray, Image
from dprnet.embed.config import EmbedderConfig, prepare
from dprnet.embed.runtime import GRAPH, GraphRuntime, Runtime, TorchRuntime, as_batch, openvino_runtime
from dprnet.embed.shares import as_views

if TYPE_CHECKING:
    import torch

    from dprnet.embed.model import EmbedderNetwork

log = logging.getLogger(__name__)

__all__ = ["Embedder", "as_batch", "export_weights", "licence_of", "load_weights", "prepare", "ready_made"]

TIMM = "timm:"
OPEN_CLIP = "open_clip:"
BATCH = 32  # ours: images a call of torch; larger is no faster on a CPU
LANE_BATCH = 8  # ours: images a call of OpenVINO; few, so that a handful of garments keeps every core busy


class Embedder:
    """Turns images of garments into vectors; equal garments lie close."""

    identity: str
    """``name@hash``; what a gallery records and insists on."""
    size: int
    """D, numbers of a vector."""

    def __init__(
        self,
        network: EmbedderNetwork | TorchRuntime | GraphRuntime,
        identity: str,
        device: torch.device | str = "cpu",
        batch: int | None = None,
    ) -> None:
        if not isinstance(network, (TorchRuntime, GraphRuntime)):
            network = TorchRuntime(network, device)
        self.runtime: Runtime = network
        self.config = network.config
        self.identity = identity
        self.size = network.size
        self.batch = batch or (BATCH if network.name == "torch" else LANE_BATCH)

    @classmethod
    def from_bundle(
        cls, bundle: Bundle, device: torch.device | str = "cpu", *, runtime: RuntimeName | str = "auto"
    ) -> Embedder:
        """The embedder of a bundle.

        Args:
            runtime: ``torch``, ``openvino``, ``int8``, or ``auto``: OpenVINO on a CPU where it is installed, with the
                bundle's int8 graph where it loses next to nothing.

        Raises:
            BadBundle: the bundle has none, or its weights are not those of its settings.
            BadRecipe: an unknown runtime.
            MissingExtra: OpenVINO was asked for and is not there.
        """
        config = parse_settings(dict(bundle.settings("embedder")), EmbedderConfig, f"{bundle.name}.embedder")

        def build() -> EmbedderNetwork:
            from dprnet.embed.model import EmbedderNetwork

            network = EmbedderNetwork(config)
            load_weights(network, bundle.weights("embedder"), str(bundle.folder))
            return network

        if chosen(runtime, str(device)) != "torch":
            identity = {"weights": bundle.check_weights("embedder")}
            ready = int8.ready(bundle, "embedder", (GRAPH,), runtime)
            return cls(openvino_runtime(config, identity, build, int8=ready), bundle.embedder_identity)
        return cls(build(), bundle.embedder_identity, device)

    @classmethod
    def from_name(cls, name: str, *, pretrained: bool = True, device: torch.device | str = "cpu") -> Embedder:
        """Any timm or open_clip model as it is: its own vectors, no fc, nothing of ours trained.

        Args:
            name: ``timm:resnet18``, ``open_clip:hf-hub:Marqo/marqo-fashionSigLIP``, ``open_clip:ViT-B-32/TAG``.
            pretrained: fetch its weights (a network or a cache); False begins at random.
            device: where it runs.

        Raises:
            BadRecipe: there is no such model, or its weights cannot be fetched.
            MissingExtra: open_clip is not installed.
        """
        network = ready_made(name, pretrained=pretrained)
        # Said at the level that a user sees: these are somebody else's weights, and some forbid selling with them.
        log.warning("%s: licence of its weights: %s", name, licence_of(name))
        return cls(network, f"{name}@{_digest(network)}", device)

    @property
    def network(self) -> EmbedderNetwork:
        """The network itself, where torch runs it.

        Raises:
            AttributeError: another runtime does.
        """
        if not isinstance(self.runtime, TorchRuntime):
            raise AttributeError(f"the embedder is run by {self.runtime.name}; take runtime='torch' for its network")
        network: EmbedderNetwork = self.runtime.network
        return network

    def __call__(self, images: Iterable[Image], *, idle: Idle | None = None) -> FloatArray:
        """Images (uint8 RGB (H, W, 3), upright, any size) -> (N, D) float32, each row of length 1.

        Images are taken from the iterable a batch at a time. Nothing in, (0, D) out.

        Args:
            idle: counts the seconds spent waiting for images.

        Raises:
            BadVector: the network answered with NaN or infinity (damaged weights).
            ValueError: an image that is not uint8 (H, W, 3).
        """
        parts = list(self.stream(images, idle=idle))
        return np.concatenate(parts) if parts else np.zeros((0, self.size), np.float32)

    def views(self, images: Iterable[Image], *, idle: Idle | None = None) -> FloatArray:
        """As ``__call__``, for garments in frames of a video that ask for shop photos: weighed as such views are.

        The same vectors where a bundle's embedder has only one weighing.
        """
        return as_views(self(images, idle=idle), self.config)

    def stream(self, images: Iterable[Image], *, idle: Idle | None = None) -> Iterator[FloatArray]:
        """As ``__call__``, but the vectors of each batch as they are made: (B, D)."""
        yield from in_order(self._vectors, self._batches(images), self.runtime.lanes, idle=idle)

    def one_batch(self, images: Sequence[Image]) -> FloatArray:
        """As ``__call__``, of at most some ``batch`` images and in the calling thread.

        For who brings the threads: as many as ``runtime.lanes`` may call at once.
        """
        return self._vectors((0, list(images))) if images else np.zeros((0, self.size), np.float32)

    def _batches(self, images: Iterable[Image]) -> Iterator[tuple[int, list[Image]]]:
        """Some images, and how many came before them."""
        source = iter(images)
        done = 0
        while taken := list(itertools.islice(source, self.batch)):
            yield done, taken
            done += len(taken)

    def _vectors(self, batch: tuple[int, list[Image]]) -> FloatArray:
        before, images = batch
        vectors = self.runtime(np.stack([prepare(_checked(image), self.config) for image in images]))
        wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1) | (np.abs(vectors).sum(axis=1) == 0))
        if len(wrong):
            raise BadVector(
                f"image {before + int(wrong[0])}",
                f"the embedder {self.identity} gave no finite vector; its weights are damaged, take another bundle",
            )
        return vectors


def ready_made(name: str, *, pretrained: bool) -> EmbedderNetwork:
    """A timm or open_clip model as an embedder network without an fc, at the image size that was stated for it."""
    from dprnet.embed.model import EmbedderNetwork

    config = EmbedderConfig(backbone=name, size=0, image_size=_stated_size(name))
    return EmbedderNetwork(config, pretrained=pretrained)


def licence_of(name: str) -> str:
    """The licence that timm or a model's card states for its weights, or ``not stated``."""
    if name.startswith(OPEN_CLIP):
        from dprnet.embed import openclip

        return openclip.licence_of(name.removeprefix(OPEN_CLIP))
    import timm

    known = timm.get_pretrained_cfg(name.removeprefix(TIMM), allow_unregistered=True)
    return str(known.license) if known is not None and known.license else "not stated"


def _stated_size(name: str) -> int:
    if name.startswith(OPEN_CLIP):
        from dprnet.embed import openclip

        return openclip.stated_size(name.removeprefix(OPEN_CLIP))
    import timm

    known = timm.get_pretrained_cfg(name.removeprefix(TIMM), allow_unregistered=True)
    return int(known.input_size[-1]) if name.startswith(TIMM) and known else 224


def export_weights(network: EmbedderNetwork) -> dict[str, NDArray[Any]]:
    """The arrays of a network by name, for ``core.bundle.save_pretrained``."""
    return {name: value.detach().cpu().contiguous().numpy() for name, value in network.state_dict().items()}


def load_weights(network: EmbedderNetwork, weights: Mapping[str, NDArray[Any]], thing: str) -> None:
    """Put stored arrays (float16 or float32) into a network.

    Raises:
        BadBundle: a name or shape differs from the network's, or a number is NaN or infinite.
    """
    for name, value in weights.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise BadBundle(thing, f"the embedder's weights '{name}' hold NaN or infinity; fetch or train it again")
    try:
        network.load_state_dict({name: _tensor(value) for name, value in weights.items()})
    except RuntimeError as error:
        sentence = " ".join(str(error).split())[:200]
        raise BadBundle(thing, f"the embedder's weights do not fit its settings: {sentence}") from None


def _tensor(value: NDArray[Any]) -> torch.Tensor:
    import torch

    return torch.from_numpy(value.astype(np.float32) if value.dtype.kind == "f" else value)


def _checked(image: Image) -> Image:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f"an image must be uint8 of shape (H, W, 3), got {image.dtype} {image.shape}")
    return image


def _digest(network: EmbedderNetwork) -> str:
    found = hashlib.sha256(network.config.model_dump_json().encode())
    for name, value in export_weights(network).items():
        found.update(name.encode())
        found.update(value.tobytes())
    return found.hexdigest()[:12]
