"""The image tower of any open_clip model as a backbone: ``open_clip:NAME``, used as it is or as a start for training.

NAME is what open_clip takes:

    hf-hub:Marqo/marqo-fashionSigLIP     a model on the Hugging Face hub
    local-dir:/path/to/folder            a folder with open_clip_config.json and its weights
    ViT-B-32/laion2b_s34b_b79k           one of open_clip's own, with the tag of its weights
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dprnet.core.errors import BadRecipe, MissingExtra
from dprnet.embed.backbone import OPEN_CLIP, Backbone

log = logging.getLogger(__name__)

HUB, FOLDER = "hf-hub:", "local-dir:"
CONFIG = "open_clip_config.json"
NOT_STATED = "not stated"


class OpenClip(Backbone):
    """Images -> the vectors of an open_clip image tower, as a map of one cell; the text tower is left behind.

    Args:
        name: without ``open_clip:``.
        pretrained: fetch the weights (a network, a cache or a folder); False begins at random.

    Raises:
        MissingExtra: open_clip is not installed.
        BadRecipe: no such model, or its weights cannot be had.
    """

    def __init__(self, name: str, *, pretrained: bool) -> None:
        library = _library()
        model_name, tag = _parts(name)
        if pretrained and tag is None and not name.startswith((HUB, FOLDER)):
            known = ", ".join(library.list_pretrained_tags_by_model(model_name)) or "none"
            raise BadRecipe(f"{OPEN_CLIP}{name}", f"name the weights as {model_name}/TAG; known tags are {known}")
        try:
            model = library.create_model(
                model_name,
                pretrained=tag if pretrained else None,
                load_weights=pretrained,
                require_pretrained=pretrained,
            )
        except Exception as error:  # the hub, its cache and open_clip itself raise nearly every type there is
            raise BadRecipe(
                f"{OPEN_CLIP}{name}", f"open_clip cannot make it: {' '.join(str(error).split())[:200]}"
            ) from None
        tower = model.visual
        super().__init__(tower.preprocess_cfg["mean"], tower.preprocess_cfg["std"])
        self.model = tower
        size = stated_size(name)
        was = tower.training
        with torch.no_grad():
            tower.eval()
            self.channels = (self._vectors(torch.zeros(1, 3, size, size)).shape[1],)
        tower.train(was)

    def maps(self, x: Tensor) -> list[Tensor]:
        """One map of one cell."""
        return [self._vectors(x)[:, :, None, None]]

    def _vectors(self, x: Tensor) -> Tensor:
        found: Any = self.model(x)
        # Captioning models hand out their tokens too.
        vectors: Tensor = found[0] if isinstance(found, tuple) else found
        return vectors


def stated_size(name: str) -> int:
    """Side of the square that a model was made for, in pixels.

    Raises:
        MissingExtra: open_clip is not installed.
        BadRecipe: no such model, or its description cannot be had.
    """
    model_name, _ = _parts(name)
    try:
        if name.startswith(FOLDER):
            described = json.loads((Path(name.removeprefix(FOLDER)) / CONFIG).read_text(encoding="utf-8"))["model_cfg"]
        elif name.startswith(HUB):
            from huggingface_hub import hf_hub_download

            fetched = hf_hub_download(name.removeprefix(HUB), CONFIG)
            described = json.loads(Path(fetched).read_text(encoding="utf-8"))["model_cfg"]
        else:
            described = _library().get_model_config(model_name)
        size = described["vision_cfg"]["image_size"]
        return int(size[0] if isinstance(size, list | tuple) else size)
    except MissingExtra:
        raise
    except Exception as error:
        told = " ".join(str(error).split())[:200]
        raise BadRecipe(
            f"{OPEN_CLIP}{name}", f"its description cannot be had ({type(error).__name__}: {told})"
        ) from None


def licence_of(name: str) -> str:
    """The licence that a model's card on the hub names; ``not stated`` where nobody says, or the hub is not reached.

    >>> licence_of("ViT-B-32/laion2b_s34b_b79k")
    'not stated'
    """
    if not name.startswith(HUB):
        return NOT_STATED
    try:
        from huggingface_hub import model_info

        card = model_info(name.removeprefix(HUB)).card_data
    except Exception as error:
        log.info("no card of %s: %s", name, error)
        return NOT_STATED
    return str(card.license) if card is not None and card.license else NOT_STATED


def _parts(name: str) -> tuple[str, str | None]:
    """Model and tag of the weights.

    >>> _parts("ViT-B-32/openai"), _parts("hf-hub:Marqo/marqo-fashionSigLIP")
    (('ViT-B-32', 'openai'), ('hf-hub:Marqo/marqo-fashionSigLIP', None))
    """
    if name.startswith((HUB, FOLDER)):
        return name, None
    model, _, tag = name.partition("/")
    return model, tag or None


def _library() -> Any:
    try:
        import open_clip
    except ImportError:
        raise MissingExtra("open_clip", "open_clip models need it; install dprnet[clip]") from None
    return open_clip
