from __future__ import annotations

import hashlib
import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dprnet.core.bundle import MAX_MANIFEST_BYTES, Bundle, save_pretrained
from dprnet.core.errors import BadBundle, MissingFile

WEIGHTS = {"layer.weight": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3), "steps": np.array([7], np.int64)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    settings = {"detector": {"filters": 8}, "embedder": {"size": 4}}
    save_pretrained(tmp_path / "b", "mine", settings, {"detector": WEIGHTS, "embedder": WEIGHTS}, card="# Card")
    return tmp_path / "b"


def test_what_is_saved_is_read_back(folder: Path) -> None:
    bundle = Bundle.from_pretrained(folder)
    assert (bundle.name, bundle.card) == ("mine", "# Card")
    assert bundle.settings("detector") == {"filters": 8}
    assert bundle.settings("matching") == {}
    weights = bundle.weights("detector")
    assert weights["layer.weight"].dtype == np.float16
    assert np.allclose(weights["layer.weight"], WEIGHTS["layer.weight"], atol=1e-3)
    assert weights["steps"].tolist() == [7]


def test_parts_not_given_are_kept(folder: Path) -> None:
    before = Bundle.from_pretrained(folder)
    after = save_pretrained(folder, "mine", {"picking": {"cut": 0.3}}, {}, origin={"picking": "validation"})
    assert after.settings("detector") == {"filters": 8}
    assert after.settings("picking") == {"cut": 0.3}
    assert after.weights("embedder").keys() == WEIGHTS.keys()
    assert after.card == "# Card"
    assert after.identity != before.identity
    assert after.embedder_identity == before.embedder_identity, "a gallery stays good when only picking changed"


def test_the_identity_of_the_embedder_follows_its_weights_and_settings(folder: Path) -> None:
    seen = {Bundle.from_pretrained(folder).embedder_identity}
    changed = WEIGHTS | {"steps": np.array([8], np.int64)}
    seen.add(save_pretrained(folder, "mine", {}, {"embedder": changed}).embedder_identity)
    seen.add(save_pretrained(folder, "mine", {"embedder": {"size": 5}}, {}).embedder_identity)
    assert len(seen) == 3
    assert all(identity.startswith("mine@") for identity in seen)


def test_no_such_bundle(tmp_path: Path) -> None:
    for name in (tmp_path / "none", "no-such-name", "", tmp_path):
        with pytest.raises(MissingFile):
            Bundle.from_pretrained(name)


def test_a_part_without_weights_says_what_makes_them(tmp_path: Path) -> None:
    bundle = save_pretrained(tmp_path / "b", "half", {}, {"detector": WEIGHTS})
    with pytest.raises(BadBundle, match="no embedder weights; make them with `dprnet train embedder`"):
        bundle.weights("embedder")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a bundle manifest"),
        (b"{", "not a bundle manifest"),
        (b"[1]", "not a bundle manifest"),
        (b"\xff\xfe", "not a bundle manifest"),
        (b"[" * 100_000, "not a bundle manifest"),
        (b" " * (MAX_MANIFEST_BYTES + 1), "larger than"),
        (b'{"schema": 1, "name": "x", "settings": {}}', "'weights' is missing or no dict"),
        (b'{"schema": "1", "name": "x", "settings": {}, "weights": {}}', "'schema' is missing or no int"),
        (
            b'{"schema": 99, "name": "x", "settings": {}, "weights": {}}',
            "schema 99, this version reads up to 1",
        ),
    ],
)
def test_a_damaged_manifest_is_told(folder: Path, content: bytes, sentence: str) -> None:
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(BadBundle) as caught:
        Bundle.from_pretrained(folder)
    assert sentence in str(caught.value)


def with_weights(folder: Path, content: bytes) -> Bundle:
    """The bundle with other bytes as its detector, named truly in the manifest: the SHA-256 is no help."""
    (folder / "detector.safetensors").write_bytes(content)
    manifest = json.loads((folder / "bundle.json").read_text("utf-8"))
    manifest["weights"]["detector"] = hashlib.sha256(content).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    return Bundle.from_pretrained(folder)


def tensors(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(start: int, end: int, shape: tuple[int, ...] = (2,), dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


MALFORMED = {
    "empty": b"",
    "short": b"\1\2\3",
    "header larger than the file": tensors({"a": entry(0, 8)}, bytes(8), length=10_000),
    "header of 2 GB": tensors({"a": entry(0, 8)}, bytes(8), length=2 << 30),
    "header of 16 EB": tensors({"a": entry(0, 8)}, bytes(8), length=2**64 - 1),
    "header no JSON": tensors(b"{nope}", bytes(8)),
    "header no text": tensors(b"\xff\xfe\xfd\xfc", bytes(8)),
    "header deep": tensors(b'{"a":' * 50_000, bytes(8)),
    "overlapping offsets": tensors({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
    "hole between tensors": tensors({"a": entry(0, 8), "b": entry(12, 20)}, bytes(20)),
    "offsets beyond the file": tensors({"a": entry(0, 800, (200,))}, bytes(8)),
    "offsets backwards": tensors({"a": entry(8, 0)}, bytes(8)),
    "shape other than the bytes": tensors({"a": entry(0, 8, (1000, 1000))}, bytes(8)),
    "shape that overflows": tensors({"a": entry(0, 8, (2**40, 2**40))}, bytes(8)),
    "unknown type": tensors({"a": entry(0, 8, dtype="F33")}, bytes(8)),
    "pickle": pickle.dumps({"a": [1.0, 2.0]}),
    "zip as torch.save writes": b"PK\x03\x04" + bytes(200),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_weights_are_one_typed_error(folder: Path, name: str) -> None:
    with pytest.raises(BadBundle, match=r"detector\.safetensors: not a safetensors file"):
        with_weights(folder, MALFORMED[name]).weights("detector")


def test_well_formed_weights_made_by_hand_are_read(folder: Path) -> None:
    content = tensors({"a": entry(0, 8)}, struct.pack("<ff", 1.5, -2.0))
    assert with_weights(folder, content).weights("detector")["a"].tolist() == [1.5, -2.0]


# VmHWM, not ru_maxrss: the latter starts with what the parent process used.
MEASURE = """
import sys
from pathlib import Path
from dprnet.core.bundle import Bundle
from dprnet.core.errors import BadBundle
def peak():
    return int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])
bundles = [Bundle.from_pretrained(path) for path in sorted(Path(sys.argv[1]).iterdir())]
before = peak()
for bundle in bundles:
    try:
        bundle.weights("detector")
        print("read", bundle.folder)
    except BadBundle:
        pass
print(peak() - before)
"""


def test_malformed_weights_cost_little_memory(tmp_path: Path) -> None:
    for number, content in enumerate(MALFORMED.values()):
        with_weights(save_pretrained(tmp_path / f"{number:02}", "x", {}, {"detector": WEIGHTS}).folder, content)
    done = subprocess.run([sys.executable, "-c", MEASURE, tmp_path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100_000, f"memory grew by {done.stdout} kB"


def test_changed_weights_are_noticed(folder: Path) -> None:
    path = folder / "embedder.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadBundle, match="SHA-256 differs"):
        Bundle.from_pretrained(folder).weights("embedder")


class Trap:
    """Unpickling this would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".pth", ".pkl", ".ckpt"])
def test_pickled_weights_are_never_opened(folder: Path, suffix: str) -> None:
    sprung = folder / "sprung"
    trap = pickle.dumps(Trap(sprung))
    (folder / f"detector{suffix}").write_bytes(trap)
    (folder / "detector.safetensors").unlink()
    with pytest.raises(BadBundle, match="no detector weights"):
        Bundle.from_pretrained(folder).weights("detector")
    with pytest.raises(BadBundle, match="not a safetensors file"):
        with_weights(folder, trap).weights("detector")
    assert not sprung.exists()
    pickle.loads(trap)
    assert sprung.exists(), "the trap works, had anyone stepped into it"


def test_a_part_cannot_name_a_file_elsewhere(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.safetensors").write_bytes((folder / "detector.safetensors").read_bytes())
    with pytest.raises(BadBundle):
        Bundle.from_pretrained(folder).weights("../secret")
