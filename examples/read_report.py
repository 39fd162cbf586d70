"""Read a stored report and list the garments that have no good view, with what held them back.

python examples/read_report.py out/look/report.json
"""

import sys
from pathlib import Path

from dprnet.core.classes import COARSE_CLASSES
from dprnet.report import read_json

report = read_json(Path(sys.argv[1]))
picks = report.picks
print(f"{len(picks)} garments, {int(picks.picked.sum())} in a good view")
for garment, best in enumerate(picks.best):
    if not picks.picked[garment]:
        print(f"{COARSE_CLASSES[picks.detections.labels[best]]}: {picks.reason(int(best))}")
