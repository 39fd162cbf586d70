"""Artefacts as Markdown: nothing in a text is taken for markup, pictures are small, every figure has its command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dprnet.core.errors import BadImage
from dprnet.evaluate.reproduce.artefact import Artefact, Claim, Table
from dprnet.evaluate.reproduce.markdown import COLOURS, WIDTH, Origin, small_png, write_markdown

ORIGIN = Origin(
    about="Set s (0123, 2 videos).", command="--set out/s --bundle b", machine="two cores", date="2026-11-24",
    absent=(("table2", "has not been run: `dprnet reproduce table2`."),),
)  # fmt: skip


def picture(path: Path, width: int = 1600, height: int = 800) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_text_pictures_and_commands(tmp_path: Path) -> None:
    picture(tmp_path / "figure6.png")
    found = [
        Artefact(
            name="figure6", title="Picking", published="It falls slowly.", pictures=("figure6.png",), wall_s=120,
            processor_s=60, claims=(Claim(published="a|b", ours="0.5 [0.4, 0.6]", holds=False, difference="Why."),),
            tables=(Table(title="T", columns=("x", "y"), rows=(("<img src=x>", "two\nlines"),)),), notes=("A note.",),
        ),
        Artefact(name="table1", title="Sizes", published="818 videos.", wall_s=60, processor_s=60),
    ]  # fmt: skip
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "other.md").write_text("stays")
    path = write_markdown(found, tmp_path, tmp_path / "docs", title="Figures", origin=ORIGIN)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Figures\n")
    assert "Measured on two cores, 2026-11-24." in text
    assert "Made in 3.0 minutes, 2.0 of processor time." in text
    assert "Made in 2.0 minutes, 1.0 of processor time." in text
    for name in ("figure6", "table1"):
        assert f"```sh\ndprnet reproduce {name} --set out/s --bundle b\n```" in text
    assert "| Figure 6 | a\\|b | 0.5 \\[0.4, 0.6] | does not hold |" in text
    assert "- **a\\|b: does not hold.** 0.5 \\[0.4, 0.6]. Why." in text
    assert "| &lt;img src=x> | two lines |" in text
    assert "Table 2 has not been run" in text
    assert "![Figure 6: Picking](pictures/figure6.png)" in text
    with Image.open(tmp_path / "docs" / "pictures" / "figure6.png") as small:
        assert small.size == (WIDTH, WIDTH // 2)
        assert len(small.getcolors() or ()) <= COLOURS
    assert sorted(part.name for part in (tmp_path / "docs").iterdir()) == ["other.md", "pictures", "reproduced.md"]
    again = write_markdown(found, tmp_path, tmp_path / "docs", title="Figures", origin=ORIGIN)
    assert again.read_text(encoding="utf-8") == text


def test_a_small_picture_is_not_made_larger(tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    path.write_bytes(small_png(picture(tmp_path / "given.png", 60, 40)))
    with Image.open(path) as small:
        assert small.size == (60, 40)


@pytest.mark.parametrize("content", [None, b"", b"\x89PNG\r\n\x1a\n", b"not a picture"])
def test_a_picture_that_is_gone_or_damaged_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "figure6.png").write_bytes(content)
    one = Artefact(name="figure6", title="t", published="p", pictures=("figure6.png",))
    with pytest.raises(BadImage, match=r"figure6\.png"):
        write_markdown([one], tmp_path, tmp_path / "docs", title="Figures", origin=ORIGIN)
    assert not (tmp_path / "docs" / "reproduced.md").exists()
