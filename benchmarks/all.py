"""Every benchmark, one after another, on a machine that does nothing else; `make bench` is this.

    python benchmarks/all.py [NAME...] [--quick] [--out FILE.csv] [--folder out/bench]

Rows go to the CSV of all runs (benchmarks/results.csv); those of this run, as a table and a plot, to the folder. A
benchmark that fails, for want of a peer too, fails the run once the others are done. With --quick everything runs on
little, to see that it runs: its figures mean nothing, and go to the folder alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from _page import markdown, plot, rows_of

HERE = Path(__file__).parent

# Arguments of each, and those of a quick try. `service` needs a gallery and a video of the user's.
SCRIPTS: dict[str, tuple[list[str], list[str]]] = {
    "start": (["start.py"], ["start.py", "--rounds", "1"]),
    "decode": (["decode.py"], ["decode.py", "--rounds", "1", "--quick"]),
    "networks": (["networks.py"], ["networks.py", "--rounds", "1", "--seconds", "1"]),
    "gallery": (["gallery.py", "--count", "400"], ["gallery.py", "--count", "16", "--rounds", "1"]),
    "flow": (["flow.py"], ["flow.py", "--seconds", "2", "--heights", "360", "--rounds", "1"]),
    "clustering": (["clustering.py"], ["clustering.py", "--sizes", "50", "500"]),
    "search": (["search.py", "--items", "20000"], ["search.py", "--items", "500", "--queries", "20"]),
    "table3": (["table3.py"], ["table3.py", "--seconds", "0.1"]),
    "memory of decoding": (["memory.py"], ["memory.py", "--hours", "0.02"]),
    "memory of a search": (
        ["memory.py", "--stage", "search", "--every", "2s"],
        ["memory.py", "--stage", "search", "--hours", "0.01"],
    ),
    "scale": (["scale.py"], ["scale.py"]),
}
NEED_DATA = {"gallery", "search"}
WITHOUT_ROWS = {"scale"}  # arithmetic from costs that were measured before
APART = {"all", "service"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(SCRIPTS)}")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE / "results.csv")
    parser.add_argument("--folder", type=Path, default=Path("out/bench"))
    given = parser.parse_args()
    if unknown := sorted(set(given.names) - set(SCRIPTS)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(SCRIPTS)}")
    given.folder.mkdir(parents=True, exist_ok=True)
    rows = given.folder / "rows.csv"
    rows.unlink(missing_ok=True)
    failed = [name for name in given.names or SCRIPTS if not ran(name, rows, quick=given.quick)]
    if rows.is_file():
        found = rows_of(rows)
        (given.folder / "results.md").write_text(markdown(found), encoding="utf-8")
        plot(found, given.folder / "ratios.png")
        if not given.quick:
            append(rows, given.out)
        print(f"{markdown(found).split('##')[0]}{given.folder / 'results.md'}\n{given.folder / 'ratios.png'}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def ran(name: str, rows: Path, *, quick: bool) -> bool:
    """Run one; whether it ended well."""
    if name in NEED_DATA and "DPRNET_DATA" not in os.environ:
        print(f"== {name}: set DPRNET_DATA to the folder of real data", file=sys.stderr)
        return False
    script, *arguments = SCRIPTS[name][quick]
    if name not in WITHOUT_ROWS:
        arguments += ["--out", str(rows)]
    print(f"== {name}", flush=True)
    start = time.monotonic()
    code = subprocess.run([sys.executable, str(HERE / script), *arguments]).returncode
    print(f"== {name}: {time.monotonic() - start:.0f} s, exit code {code}", flush=True)
    return code == 0


def append(rows: Path, out: Path) -> None:
    """The rows of this run behind those of all runs."""
    head, _, body = rows.read_text(encoding="utf-8").partition("\n")
    before = out.read_text(encoding="utf-8") if out.is_file() else f"{head}\n"
    if before.partition("\n")[0].strip() != head.strip():
        raise SystemExit(f"{out}: other columns than {head.strip()}; move it away")
    out.write_text(before + body, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
