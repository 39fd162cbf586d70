"""Row S7: nothing that we import may run what a file says."""

from __future__ import annotations

import ast
from pathlib import Path

import dprnet

FORBIDDEN = {
    "pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml",
    "torch.load", "torch.hub", "torch.hub.load", "np.load", "numpy.load",
}  # fmt: skip
SAFE = {"allow_pickle": False, "weights_only": True}


def dangers(source: str) -> list[str]:
    """Imports and calls that would open a pickle, or code from elsewhere."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found += [name for name in names if name.partition(".")[0] in FORBIDDEN or name in FORBIDDEN]
        elif isinstance(node, ast.Call):
            keywords = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
            if keywords.get("trust_remote_code") or keywords.get("allow_pickle"):
                found.append(ast.unparse(node.func))
            name = ast.unparse(node.func)
            if "." in name and name in FORBIDDEN and not any(keywords.get(key) is value for key, value in SAFE.items()):
                found.append(name)
    return found


def test_what_would_be_found() -> None:
    for source in ("import pickle", "from yaml import load", "torch.load(path)", "np.load(path, allow_pickle=True)",
                   "torch.hub.load('a/b')", "f(trust_remote_code=True)"):  # fmt: skip
        assert dangers(source), source
    for source in ("torch.load(path, weights_only=True)", "np.load(path, allow_pickle=False)", "json.loads(text)"):
        assert not dangers(source), source


def test_no_pickles_no_code_from_elsewhere() -> None:
    found = {
        str(path): dangers(path.read_text(encoding="utf-8")) for path in Path(dprnet.__file__).parent.rglob("*.py")
    }
    assert len(found) > 200
    assert {path: names for path, names in found.items() if names} == {}
