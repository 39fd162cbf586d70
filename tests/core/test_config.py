from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from dprnet.core.config import MAX_RECIPE_BYTES, Settings, load_recipe, parse_settings
from dprnet.core.errors import BadRecipe, MissingFile


class Picking(Settings):
    occlusion: float = Field(default=0.5, ge=0, le=1)
    viewpoint: float = 0.5


class Recipe(Settings):
    name: str
    pick: Picking = Picking()
    maybe: Picking | None = None


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "recipe.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_recipe_is_read_into_its_model(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, 'name = "a"\n[pick]\nocclusion = 0.25\n'), Recipe)
    assert recipe == Recipe(name="a", pick=Picking(occlusion=0.25))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('name = "a"\n[pick]\nocclussion = 1', "unknown key 'pick.occlussion'; did you mean 'occlusion'?"),
        ('name = "a"\n[maybe]\nviewpiont = 1', "unknown key 'maybe.viewpiont'; did you mean 'viewpoint'?"),
        ('nmae = "a"\nname = "b"', "unknown key 'nmae'; did you mean 'name'?"),
        ('name = "a"\nzzzz = 1', "unknown key 'zzzz'; known keys: name, pick, maybe"),
        ("", "key 'name' is missing"),
        ('name = "a"\n[pick]\nocclusion = 2', "pick.occlusion: Input should be less than or equal to 1, got 2"),
        ("name = ", "not TOML: "),
        ("a = 1\na = 2", "not TOML: "),
    ],
)
def test_a_wrong_recipe_is_told_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        load_recipe(written(tmp_path, text), Recipe)
    assert sentence in str(caught.value)
    assert "recipe.toml: " in str(caught.value)


def test_no_file_no_text_too_large(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        load_recipe(tmp_path / "none.toml", Recipe)
    with pytest.raises(BadRecipe, match="UTF-8"):
        load_recipe(written(tmp_path, b"name = '\xff'"), Recipe)
    with pytest.raises(BadRecipe, match="larger than"):
        load_recipe(written(tmp_path, b"#" * (MAX_RECIPE_BYTES + 1)), Recipe)
    with pytest.raises(BadRecipe):
        load_recipe(tmp_path, Recipe)


def test_settings_are_frozen_and_told_where_they_stand() -> None:
    settings = parse_settings({"occlusion": 0.1}, Picking)
    with pytest.raises(ValidationError):
        settings.occlusion = 0.2
    with pytest.raises(BadRecipe, match=r"^bundle\.json: unknown key 'oclusion'"):
        parse_settings({"oclusion": 1}, Picking, "bundle.json")
    with pytest.raises(BadRecipe):
        parse_settings(["not", "a", "table"], Picking)
