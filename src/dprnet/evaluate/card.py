"""A bundle's card: what it is, what it was trained on, and what it reached, good and bad; all from files of the run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dprnet.core.bundle import CARD, Bundle
from dprnet.core.errors import BadBundle

FIGURES = ("picking", "video-to-shop", "detection", "retrieval")
# What the project's own recipes train on, with the terms of each (the table of the real data's description).
LICENCES: Mapping[str, str] = {
    "ccp": "Clothing Co-Parsing, 640 street photos (training split); Apache-2.0 as declared by its authors",
    "luma": "a shop catalogue, photos of 47 products (training split); OSL-3.0 / AFL-3.0",
    "clothing": "photos of single garments (training split); CC0 1.0",
    "stills": "the made-up world, frames drawn by `dprnet world make` (train split); this project, Apache-2.0",
    "pasted": "scenes pasted by `dprnet world paste` from the training splits above; their terms",
    "mobilenet_v2_imagenet": "start of both networks: MobileNetV2 trained on ImageNet; Apache-2.0",
}


def write_card(bundle: Bundle, figures: Path, *, machine: str = "", date: str = "") -> Path:
    """Write the card of a bundle from its manifest and the JSON files that ``dprnet evaluate`` wrote.

    Args:
        figures: folder with ``picking.json``, ``video-to-shop.json``, ``detection.json`` and ``retrieval.json``; what
            is not there is listed as not measured.
        machine, date: where and when the figures were measured.

    Returns:
        The card's path.

    Raises:
        BadBundle: a file of figures is damaged.
    """
    found = {name: _read(figures / f"{name}.json") for name in FIGURES}
    path = bundle.folder / CARD
    path.write_text("\n".join(_lines(bundle, found, machine, date)) + "\n", encoding="utf-8")
    return path


def _lines(bundle: Bundle, found: Mapping[str, Any], machine: str, date: str) -> Iterator[str]:
    yield f"# Model bundle `{bundle.name}`"
    yield ""
    yield f"Identity `{bundle.identity}`. Finds six coarse classes of clothes in video frames, scores each view for"
    yield "viewpoint, occlusion and crop, tells garments apart, and embeds the best view of each for retrieval."
    yield ""
    yield "## Training"
    yield ""
    for part in ("detector", "embedder"):
        yield from _training(part, bundle.manifest.get("origin", {}).get(part))
    yield "| data | terms |"
    yield "|---|---|"
    yield from (f"| `{name}` | {terms} |" for name, terms in LICENCES.items() if name in json.dumps(bundle.manifest))
    yield ""
    yield "## Fitted on the validation world"
    yield ""
    yield "| setting | value |"
    yield "|---|---|"
    yield from (f"| {name} | {value} |" for name, value in bundle.settings("picking").items())
    yield ""
    yield f"## Measured{f' on {date}' if date else ''}{f', {machine}' if machine else ''}"
    yield ""
    yield "Intervals are 95 %, by bootstrap over whole videos, images or queries. Nothing was trained or tuned on them."
    yield ""
    yield "| what | figure |"
    yield "|---|---|"
    yield from (f"| {name} | {figure} |" for name, figure in measured(found))
    yield ""
    yield "## Limits"
    yield ""
    yield "Trained for some hours on two processor cores, on few real people, nearly all seen from the front: expect"
    yield "misses on unusual clothes, small or dark figures and crowded scenes. Not for identifying people."


def _training(part: str, origin: Mapping[str, Any] | None) -> Iterator[str]:
    if not origin:
        return
    recipe = origin.get("recipe", {})
    data = ", ".join(f"`{Path(s.get('path') or s['kind']).name}` {s['weight']:g}" for s in recipe.get("data", ()))
    yield f"- {part}: {origin.get('step', '?')} steps, seed {recipe.get('seed', '?')}, drawn from {data}"
    yield ""


def measured(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(what, figure) rows of the card, from the figures as JSON by name; "not measured" where there are none.

    >>> next(measured({"picking": {"r_pick": {"value": 0.91, "low": 0.85, "high": 0.96}}}))
    ('made-up test videos: R_pick', '0.910 [0.850, 0.960]')
    """
    picking, shop = found.get("picking") or {}, found.get("video-to-shop") or {}
    for key, name in (
        ("r_pick", "R_pick"),
        ("r_duplication", "R_duplication"),
        ("r_optimal", "R_optimal"),
        ("precision", "precision of picks"),
        ("clustering_f1", "clustering F1"),
    ):
        yield f"made-up test videos: {name}", _interval(picking.get(key))
    for k in ("1", "5", "20"):
        name = f"made-up test videos: Recall@{k} over all garments that have an item"
        yield name, _interval(shop.get("recall", {}).get(k))
    detection = found.get("detection") or {}
    for key, name in (("ap50_large", "AP50, classes with 25 boxes or more"), ("ap50", "AP50, six classes")):
        low, high = detection.get(f"{key}_interval", (None, None))
        figure = detection.get(key)
        shown = _interval({"value": figure, "low": low, "high": high} if figure is not None else None)
        yield f"street photos (ccp test): {name}", shown
    for name, value in detection.get("ap50_of", {}).items():
        yield f"street photos: AP50 of {name}", "no true box" if value is None else f"{value:.3f}"
    for run in found.get("retrieval") or ():
        yield f"{run['name']}: right of {run['queries']}", str(run["right"])
        yield f"{run['name']}: Recall@5", _interval(run["recall"].get("5"))


def _interval(figure: Mapping[str, float] | None) -> str:
    if not figure or figure.get("value") is None:
        return "not measured"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _read(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadBundle(path, f"no JSON file of figures ({error}); measure again with `dprnet evaluate`") from None
