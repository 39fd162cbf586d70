"""The documentation holds: links lead somewhere, commands exist, examples run."""

from __future__ import annotations

import ast
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from dprnet.cli import run

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)


def commands(page: Path) -> list[list[str]]:
    """The lines of shell blocks that call dprnet or make, as words."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line for line in words if line and line[0] in {"dprnet", "make"}]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), f"{page.name} links to {target}, which is not there"
        if anchor and linked.suffix == ".md":
            heads = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.M)
            slugs = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in slugs, f"{page.name} links to {target}, which has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_exist(page: Path, capsys):
    goals = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for words in commands(page):
        if words[0] == "make":
            assert set(words[1:]) <= goals, f"{page.name}: {' '.join(words)}"
            continue
        verbs = [word for word in words[1:3] if re.fullmatch(r"[a-z-]+", word)]
        depth = 2 if verbs[0] in {"train", "evaluate", "calibrate", "world", "annotate"} else 1
        assert run([*verbs[:depth], "--help"]) == 0, f"{page.name}: {' '.join(words)}"
        known = set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", capsys.readouterr().out))
        used = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert used <= known, f"{page.name}: {' '.join(words)}: no such option {used - known}"


def test_the_readme_names_the_two_commands():
    assert {("make", "demo"), ("make", "test")} <= {tuple(words) for words in commands(ROOT / "README.md")}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_in_pages_compiles(page: Path):
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


def test_the_readme_python_runs(random_bundle, small_catalogue, moving_square, tmp_path, monkeypatch, capsys):
    block = blocks(ROOT / "README.md", "python")[0]
    monkeypatch.chdir(tmp_path)
    assert run(["index", str(small_catalogue), "--gallery", "gallery", "--bundle", str(random_bundle)]) == 0
    (tmp_path / "look.mp4").write_bytes(moving_square.read_bytes())
    capsys.readouterr()
    exec(block.replace('"tiny"', repr(str(random_bundle))), {})
    assert capsys.readouterr().out.startswith("0 ")


def test_examples_are_short():
    for example in EXAMPLES:
        text = example.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 40, example.name
        assert f"python examples/{example.name} " in (ast.get_docstring(ast.parse(text)) or ""), example.name


def test_examples_run(random_bundle, small_catalogue, moving_square, tmp_path, monkeypatch, capsys):
    out, bundle = str(tmp_path / "out"), str(random_bundle)
    arguments = {
        "search_video.py": [str(moving_square), str(small_catalogue), out, bundle],
        "read_report.py": [f"{out}/report.json"],
        "own_gallery.py": [str(small_catalogue.parent / "blue.png"), f"{out}/gallery", bundle],
    }
    assert set(arguments) == {example.name for example in EXAMPLES}
    for name, words in arguments.items():
        monkeypatch.setattr(sys, "argv", [name, *words])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")  # three starts of torch would take longer
        printed = capsys.readouterr().out
        assert printed, name
    assert "blue" in printed.splitlines()[0]
