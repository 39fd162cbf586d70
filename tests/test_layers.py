"""The house's one rule: a part imports only parts of a lower layer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "dprnet"
LAYERS = [  # lowest first: a part may import only parts of a lower layer, and itself
    {"core"},
    {"decode", "detect", "pick", "embed", "gallery", "report", "data"},  # never one another
    {"pipeline", "train"},  # not each other
    {"evaluate", "batch", "live", "service", "check", "demo"},
    {"cli", "__init__"},
    {"__main__"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
HEAVY = {"torch", "torchvision", "lancedb", "pyarrow", "lightning", "timm", "scipy", "av", "faiss", "numpy", "PIL"}


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Full names of all that a module imports, also inside functions and for type checking only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def part_of(name: str) -> str | None:
    """The part of dprnet that a full name lies in; None for third parties and for dprnet itself."""
    words = name.split(".")
    if words[0] != "dprnet" or len(words) == 1 or words[1].startswith("__"):
        return None
    return words[1] if words[1] in LEVEL or (ROOT / words[1]).is_dir() or (ROOT / f"{words[1]}.py").is_file() else None


def broken(path: Path, text: str) -> Iterator[str]:
    """The rule's breaches in one module, each with the two names."""
    relative = path.relative_to(ROOT)
    mine = relative.parts[0].removesuffix(".py")
    package = ".".join(("dprnet", *relative.parts[:-1]))
    if mine not in LEVEL:
        yield f"{relative}: '{mine}' stands in no layer; add it to LAYERS and to CONTRIBUTING.md"
        return
    for name in imports(ast.parse(text), package):
        other = part_of(name)
        if other in {None, mine}:
            continue
        if other not in LEVEL or LEVEL[other] >= LEVEL[mine]:
            yield f"{relative}: '{mine}' imports '{other}' ({name}), which is not below it"


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downwards(path: Path):
    found = list(broken(path, path.read_text(encoding="utf-8")))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("core/x.py", "from dprnet.pick import pick"),
        ("pick/x.py", "import dprnet.detect.model"),
        ("report/x.py", "def f():\n    from dprnet.gallery import Gallery"),
        ("embed/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..detect import Detector"),
        ("train/x.py", "from dprnet import pipeline"),
        ("pipeline/x.py", "from dprnet.cli import main"),
        ("gallery/x.py", "from dprnet.data import shopset"),
        ("unheard_of/x.py", ""),
    ],
)
def test_the_rule_sees_a_breach(part: str, text: str):
    assert list(broken(ROOT / part, text))


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("pick/x.py", "from dprnet.core.records import Picks\nimport numpy"),
        ("pick/x.py", "from .clustering import cluster"),
        ("cli/x.py", "from dprnet.evaluate import picking\nfrom dprnet import __version__"),
    ],
)
def test_the_rule_lets_the_rest_pass(part: str, text: str):
    assert not list(broken(ROOT / part, text))


def test_verbs_import_nothing_heavy_at_their_top():
    for path in (ROOT / "cli").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = ast.Module([node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))], [])
        for name in imports(top, "dprnet.cli"):
            assert name.split(".")[0] not in HEAVY, f"{path.name} imports {name}"


def test_verbs_are_short():
    for path in (ROOT / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - (node.body[0].end_lineno or 0)  # without signature and docstring
                assert length <= 25, f"{path.name}: {node.name} has {length} lines of body"
