"""Index a catalogue, search a video, print what was found.

python examples/search_video.py look.mp4 catalogue.csv out/look [BUNDLE]
"""

import sys
from pathlib import Path

from dprnet import VideoToShop
from dprnet.pipeline import index
from dprnet.report import write_folder

video, catalogue, out = map(Path, sys.argv[1:4])
shop = VideoToShop.from_pretrained(sys.argv[4] if len(sys.argv) > 4 else "tiny")

indexed = index(catalogue, out / "gallery", shop.embedder)
print(f"{indexed.items} items, {len(indexed.problems)} problems")

report, pictures = shop.in_gallery(indexed.folder).search_shown(video, every="0.5s")
for garment, items in enumerate(report.matches.items):
    best = report.picks.views[[garment]]
    names = [f"{item.title or item.item_id} ({item.similarity:.2f})" for item in items]
    print(f"garment {garment} at {best.time_s[0]:.1f} s: {', '.join(names) or 'no good view'}")

print(*write_folder(report, pictures, out), sep="\n")
