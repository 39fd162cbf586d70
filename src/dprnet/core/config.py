"""Settings: typed, strict, and named when they are wrong.

A settings model lives in the module it configures and derives from :class:`Settings`; a recipe is one TOML file whose
tables are such models. An unknown key stops the run and names the nearest known one.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from dprnet.core.errors import BadRecipe, MissingFile

MAX_RECIPE_BYTES = 1_000_000


class Settings(BaseModel):
    """Base of every settings model: frozen, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Settings)


def load_recipe(path: Path | str, model: type[S]) -> S:
    """Read a recipe (TOML) into its settings model.

    Raises:
        MissingFile: no such file.
        BadRecipe: not TOML, an unknown key (the nearest known one is named), or a value that does not fit.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise BadRecipe(path, f"larger than {MAX_RECIPE_BYTES} bytes; a recipe holds values only")
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFile(path, "no such recipe; see the folder recipes/") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadRecipe(path, f"cannot be read as UTF-8 text ({type(error).__name__})") from None
    except tomllib.TOMLDecodeError as error:
        raise BadRecipe(path, f"not TOML: {error}") from None
    return parse_settings(values, model, str(path))


def parse_settings(values: Any, model: type[S], where: str = "settings") -> S:
    """Values (from TOML or JSON) as a settings model.

    Raises:
        BadRecipe: naming the first wrong key or value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise BadRecipe(where, _sentence(error, model)) from None


def _sentence(error: ValidationError, model: type[Settings]) -> str:
    errors = error.errors()
    # A misspelt key often leaves another one missing: the misspelling explains both.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    path = [str(part) for part in first["loc"]]
    name = ".".join(path)
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        nearest = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"known keys: {', '.join(known) or 'none'}"
        return f"unknown key '{name}'; {hint}"
    if first["type"] == "missing":
        return f"key '{name}' is missing"
    return f"{name}: {first['msg']}, got {first['input']!r}"


def _known_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        inner = model.model_fields.get(part)
        if inner is None:
            continue
        candidates = [inner.annotation, *getattr(inner.annotation, "__args__", ())]
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if models:
            model = models[0]
    return list(model.model_fields)
